"""Charts: which there are, what they say in words, and their specifications."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isclose

import altair
import msgspec
import pytest

from tests.report.charts.small import make_held, make_pictured, make_small
from tests.runs import cost_of, make_cell, make_cost, make_measurement, make_run
from whisperbench.report.charts.all import FEW, Pictured, charts_of
from whisperbench.report.charts.chart import Chart, told_apart
from whisperbench.report.charts.kernels import COLOURS as OF_FAMILIES
from whisperbench.report.charts.rounds import MOST_TICKS
from whisperbench.report.charts.theme import COLOURS, PRECISIONS, colours_of
from whisperbench.results.families import FAMILIES, OTHER, family_of
from whisperbench.results.passes import MemoryCourse, MemoryResult, Part

NAMES = ("time-memory", "changes", "rounds", "memory", "soak", "kernels", "times", "pairs")


@pytest.fixture(scope="module")
def charts() -> dict[str, Chart]:
    """All charts of a made-up run with a base and pairs."""
    return charts_of(make_pictured())


def test_a_run_with_everything_in_it_has_every_chart(charts: dict[str, Chart]) -> None:
    """They stand in the order in which a reader needs them."""
    assert tuple(charts) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_specifications(
    name: str, charts: dict[str, Chart], golden: Callable[[str, str], None]
) -> None:
    """What is drawn, and what is said of it, is that of the golden file."""
    chart = charts[name]
    drawn = {key: each for key, each in chart.specification.items() if key != "config"}
    told = {
        "title": chart.title,
        "alt": chart.alt,
        "notes": chart.notes,
        "table": [chart.table.headings, *chart.table.rows],
        "specification": drawn,
    }
    golden(f"{name}.json", json.dumps(told, indent=1, ensure_ascii=False))


@pytest.mark.parametrize("name", NAMES)
def test_specifications_are_vega_lite(name: str, charts: dict[str, Chart]) -> None:
    """Vega-Lite's own schema, as Altair has it, knows all that stands in them."""
    altair.Chart.from_dict(charts[name].specification)


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_is_told_in_words_and_as_a_table(name: str, charts: dict[str, Chart]) -> None:
    """Who does not see a chart has sentences and every figure that is drawn as a table."""
    chart = charts[name]
    assert chart.alt.endswith(".")
    assert len(chart.alt) > 60
    assert all(note.endswith(".") for note in chart.notes)
    assert chart.table.rows
    assert {len(row) for row in chart.table.rows} == {len(chart.table.headings)}


def test_what_was_not_measured_has_no_chart() -> None:
    """A run of times alone has a chart of its rounds, and no empty ones."""
    assert [*charts_of(Pictured(run=make_run(make_measurement())))] == ["rounds"]
    assert charts_of(Pictured(run=make_run())) == {}


def test_an_older_file_has_no_memory_over_time() -> None:
    """A file that does not say what was held over time has its peaks drawn all the same."""
    rows = [
        msgspec.structs.replace(row, found=msgspec.structs.replace(row.found, course=None))
        if row.benchmark == "memory"
        else row
        for row in make_small().measurements
    ]
    assert {"time-memory", "memory"} & {*charts_of(Pictured(run=make_run(*rows)))} == {
        "time-memory"
    }


def test_a_cpu_has_no_kernels() -> None:
    """Where no kernel ran there is no chart of them, and no time of a GPU in that of times."""
    cost = make_cost(make_cell("fp32", device="cpu"), {"aten_ops": 7})
    found = charts_of(Pictured(run=make_run(cost)))
    assert [*found] == ["times"]
    assert {row[3] for row in found["times"].table.rows} == {""}


def test_without_peaks_the_weights_are_drawn() -> None:
    """Memory that was not measured is the weights', and the chart says so."""
    rows = [row for row in make_small().measurements if row.benchmark != "memory"]
    chart = charts_of(Pictured(run=make_run(*rows)))["time-memory"]
    assert "No peak of memory was measured, so that the weights stand for it." in chart.notes
    assert "weights from bottom to top" in chart.alt


def test_what_ran_out_of_memory_is_in_the_table() -> None:
    """A precision without a peak has no point, and a row that says why."""
    rows = [
        make_measurement("transcribe", "fp16", (1.0, 1.1, 1.2)),
        make_held("fp16", 4000.0),
        msgspec.structs.replace(make_held("int8", 1.0), metrics=()),
    ]
    table = charts_of(Pictured(run=make_run(*rows)))["time-memory"].table
    (row,) = (row for row in table.rows if row[0] == "int8")
    assert row[table.headings.index("peak memory")] == "out of memory"


def test_few_models_have_charts_each_and_of_many_the_first() -> None:
    """As many charts are drawn as a reader looks at, and as two seconds allow."""

    def drawn(number: int) -> int:
        models = [make_small(model=f"m{at}", precisions=("fp16",)) for at in range(number)]
        run = make_run(*(row for each in models for row in each.measurements))
        return sum(name.startswith("memory") for name in charts_of(Pictured(run=run)))

    assert drawn(FEW) == FEW
    assert drawn(FEW + 1) == 1


def test_of_many_rounds_the_ends_are_drawn() -> None:
    """However many rounds there are, the quickest and the slowest are among the ticks."""
    samples = tuple(1.0 + at / 10_000 for at in range(2 * MOST_TICKS))
    chart = charts_of(Pictured(run=make_run(make_measurement(samples=samples))))["rounds"]
    values = chart.specification["data"]["values"]
    assert len(values) <= MOST_TICKS
    middle = 1.0 + (2 * MOST_TICKS - 1) / 20_000
    ends = [100 * (samples[at] / middle - 1) for at in (0, -1)]
    found = [each["percent"] for each in values]
    assert isclose(min(found), ends[0])
    assert isclose(max(found), ends[1])
    assert any("are drawn" in note for note in chart.notes)


def test_of_many_readings_the_peak_is_drawn() -> None:
    """However many readings a file holds, the line has at most a hundred, the peak among them."""
    row = make_held("fp16", 4000.0)
    assert isinstance(row.found, MemoryResult)
    held = tuple(9000.0 if at == 333 else 100.0 for at in range(1000))
    course = MemoryCourse(
        of="process", at_s=tuple(at / 10 for at in range(1000)), held_mib=held, phases=()
    )
    found = msgspec.structs.replace(row.found, course=course)
    run = make_run(msgspec.structs.replace(row, found=found))
    values = charts_of(Pictured(run=run))["memory"].specification["data"]["values"]
    drawn = [each["mib"] for each in values if each["kind"] == "held"]
    assert len(drawn) == 100
    assert max(drawn) == 9000.0


def test_things_of_one_name_have_labels_of_their_own() -> None:
    """A chart never draws two things on one line."""
    long = "x" * 99
    labels = told_apart([["a", "a b"], ["a", "a c"], ["a"], [long], [long + "y"]], most=8)
    assert labels == ["a", "a c", "a (2)", "xxxxxxx…", "xxxxxxx… (2)"]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16", "attention"),
        ("at::native::(anonymous namespace)::cunn_SoftMaxForward", "attention"),
        ("kInt8VectorQuant", "quantizing"),
        ("kdequant_mm_int32_fp16", "quantizing"),
        ("kDequantizeBlockwise", "quantizing"),
        ("cutlass_80_tensorop_i16832gemm_s8_128x64_128x3_tn_align16", "8-bit matrix products"),
        ("nvjet_sm90_hsh_8x64_64x16_4x1_v_bz_bias_TNN", "matrix products"),
        ("internal::gemvx::kernel", "matrix products"),
        ("sm90_xmma_fprop_implicit_gemm_f16f16_f16f32", "matrix products"),
        ("cub::detail::radix_sort::DeviceRadixSortOnesweepKernel", "search and sort"),
        ("at_cuda_detail::cub::detail::select::DeviceSelectSweepKernel", "search and sort"),
        ("at::native::vectorized_layer_norm_kernel", "norms and sums"),
        ("at::native::reduce_kernel", "norms and sums"),
        ("at::native::CatArrayBatchedCopy", "moving data"),
        ("at::native::index_elementwise_kernel", "moving data"),
        ("at::native::vectorized_elementwise_kernel", "element by element"),
        ("spin", OTHER),
    ],
)
def test_families_of_kernels(name: str, family: str) -> None:
    """Kernels as an H200 names them are told apart by what they do."""
    part = Part(kind="kernel", name=name, op="", module="", stage="decode", count=1)
    assert family_of(part) == family


def test_every_family_has_a_colour() -> None:
    """No bar is without one."""
    assert {*OF_FAMILIES} == {*FAMILIES, OTHER}


def test_ops_are_no_work_of_a_gpu() -> None:
    """What the host does is in no family."""
    part = Part(kind="op", name="aten::mm", op="", module="", stage="decode", count=1)
    assert family_of(part) is None


def test_what_families_take_is_what_kernels_took() -> None:
    """No time of a kernel is lost between its family and the table."""
    run = make_small(precisions=("int8",))
    cost = next(row for row in run.measurements if row.benchmark == "cost")
    took_ms = sum(each.time_us for each in cost_of(cost).parts if each.stage == "encoder") / 1e3
    table = charts_of(Pictured(run=run))["kernels"].table
    assert float(table.rows[0][2]) == took_ms


def test_unknown_precisions_have_colours_too() -> None:
    """A precision of somebody's own is told from those that have a colour."""
    found = colours_of([*PRECISIONS, "mine", "yours"])
    assert len({*found.values()}) == len(PRECISIONS) + 2


def _luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", [each for each in COLOURS if each not in ("ground", "raised", "line")]
)
def test_colours_stand_out(name: str, theme: str) -> None:
    """Letters and marks stand out from the ground by 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    for ground in ("ground", "raised"):
        pair = [_luminance(getattr(COLOURS[each], theme)) for each in (ground, name)]
        assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5
