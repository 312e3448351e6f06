"""Limits: which apply to a cell, what is said of it, and what is proposed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.runs import (
    CPU_MACHINE,
    MACHINE,
    make_cell,
    make_measurement,
    make_memory,
    make_run,
)
from whisperbench.asked.suite import SUITE_FILE, Limit, Suite, read_suite
from whisperbench.errors import InputError
from whisperbench.judge.limits import (
    applying,
    as_toml,
    describe,
    figures_of,
    judge,
    on_device,
    propose,
    what_filled,
)
from whisperbench.results.records import Cell, Run, Verdict

GPU_FIGURES = {
    "weight_mib": 1500.0,
    "context_mib": 520.0,
    "load_peak_allocated_mib": 1600.0,
    "load_peak_reserved_mib": 1700.0,
    "load_peak_process_mib": 2250.0,
    "load_peak_device_mib": 2260.0,
    "peak_allocated_mib": 1825.0,
    "peak_reserved_mib": 2000.0,
    "peak_process_mib": 2530.0,
    "peak_device_mib": 2540.0,
    "driver_reserved_mib": 600.0,
}
CPU_FIGURES = {
    "weight_mib": 144.0,
    "context_mib": 274.0,
    "load_peak_process_mib": 504.0,
    "peak_process_mib": 551.0,
}
INT8 = make_cell("int8")


def a_ceiling(metric: str = "peak_process_mib", max_mib: float = 1024.0) -> Limit:
    """Return an absolute ceiling on every cell."""
    return Limit(
        models=("*",),
        precisions=("*",),
        devices=("*",),
        metric=metric,
        reason="it must fit",
        max=max_mib,
    )


def a_ratio(metric: str = "weight_mib", max_ratio: float = 0.5, of: str = "fp16") -> Limit:
    """Return a relative ceiling on every cell."""
    return msgspec.structs.replace(
        a_ceiling(metric), max=None, max_ratio=max_ratio, of=of, reason="halving is the point"
    )


def only(
    ceiling: Limit,
    figures: dict[str, float],
    references: dict[str, dict[str, float]] | None = None,
    cell: Cell = INT8,
) -> Verdict:
    """Judge a cell by one ceiling."""
    (verdict,) = judge(cell, figures, [ceiling], references or {}, "fp16")
    return verdict


# Which apply.


@pytest.mark.parametrize(
    ("change", "applies"),
    [
        ({}, True),
        ({"models": ("owner/whisper",)}, True),
        ({"models": ("other", "owner/*")}, True),
        ({"models": ("owner",)}, False),
        ({"models": ("OWNER/*",)}, False),
        ({"precisions": ("fp16", "int8")}, True),
        ({"precisions": ("int8-*",)}, False),
        ({"devices": ("nvidia-*-sm90-*",)}, True),
        ({"devices": ("cpu-*",)}, False),
        ({"batch_sizes": (1, 4)}, True),
        ({"batch_sizes": (2, 8)}, False),
    ],
)
def test_a_ceiling_is_for_the_cells_that_it_names(
    change: dict[str, tuple[str, ...]], applies: bool
) -> None:
    """Each of model, precision, device and batch size must match; no batch size means all."""
    fields = msgspec.structs.asdict(a_ceiling()) | change
    found = applying(
        [Limit(**fields)],
        "memory",
        make_cell("int8", batch_size=4),
        MACHINE.device_key,
    )
    assert bool(found) is applies


def test_ceilings_stay_in_the_order_of_the_file() -> None:
    """All that apply are judged, in the order that they were written in."""
    names = ["weight_mib", "context_mib", "peak_process_mib"]
    ceilings = [a_ceiling(name) for name in names]
    found = applying(ceilings, "memory", INT8, "cpu-x-2c")
    assert found == ceilings
    verdicts = judge(INT8, {}, found, {}, "fp16")
    assert [verdict.metric for verdict in verdicts] == names
    assert judge(INT8, GPU_FIGURES, [], {}, "fp16") == ()


def test_ceilings_of_a_device() -> None:
    """`on_device` looks at the device key alone."""
    here = msgspec.structs.replace(a_ceiling(), devices=("nvidia-*", "cpu-*-2c"))
    elsewhere = msgspec.structs.replace(a_ceiling(), devices=("cpu-*-4c",))
    assert on_device([elsewhere, here], CPU_MACHINE.device_key) == [here]


def test_a_ceiling_is_described() -> None:
    """A sentence names the cells and the limit."""
    assert describe(a_ceiling()) == "*, *: peak_process_mib at most 1024 MiB"
    ratio = msgspec.structs.replace(a_ratio(), models=("a", "b*"), batch_sizes=(1, 4))
    assert describe(ratio) == "a b*, *, batch 1, 4: weight_mib at most 0.5 of fp16's"


# Absolute ceilings.


@pytest.mark.parametrize("actual", [0.0, 1023.9, 1024.0])
def test_at_most_the_ceiling_is_ok(actual: float) -> None:
    """A figure up to the limit, and exactly at it, keeps it."""
    verdict = only(a_ceiling(), {"peak_process_mib": actual})
    assert verdict == Verdict(
        verdict="ok",
        metric="peak_process_mib",
        head=actual,
        limit=1024.0,
        unit="MiB",
        sentence=f"peak_process_mib is {actual:.1f} MiB of at most 1024.0 MiB",
    )


def test_a_page_over_the_ceiling_is_over() -> None:
    """No tolerance is added to a ceiling: it is where it is."""
    actual = 1024.0 + 4096 / 2**20
    verdict = only(a_ceiling(), {"peak_process_mib": actual})
    assert verdict.verdict == "over-limit"
    assert (verdict.head, verdict.limit) == (actual, 1024.0)


def test_a_gpu_over_its_ceiling_is_told_all() -> None:
    """The sentence holds cell, figure, excess, limit, reason, what filled it, and the remedy."""
    verdict = only(a_ceiling(max_mib=2500.0), GPU_FIGURES)
    assert verdict == Verdict(
        verdict="over-limit",
        metric="peak_process_mib",
        head=2530.0,
        limit=2500.0,
        unit="MiB",
        sentence=(
            "owner/whisper int8: peak_process_mib is 2530.0 MiB, 30.0 MiB over its ceiling of "
            "2500.0 MiB (it must fit); in it: weights 1500 MiB, other tensors 325 MiB, torch's "
            "cache 175 MiB, context and libraries 530 MiB; find what grew, or raise the ceiling "
            "in benchmarks/suite.toml and say why"
        ),
    )


def test_a_cpu_over_its_ceiling_is_told_all() -> None:
    """Where torch keeps no count, the process is taken apart as far as can be."""
    sentence = only(a_ceiling(max_mib=500.0), CPU_FIGURES).sentence
    assert sentence == (
        "owner/whisper int8: peak_process_mib is 551.0 MiB, 51.0 MiB over its ceiling of "
        "500.0 MiB (it must fit); in it: weights 144 MiB, interpreter and libraries 274 MiB, "
        "everything else 133 MiB; find what grew, or raise the ceiling in "
        "benchmarks/suite.toml and say why"
    )


@pytest.mark.parametrize(
    ("metric", "clause"),
    [
        (
            "peak_device_mib",
            "weights 1500 MiB, other tensors 325 MiB, torch's cache 175 MiB, "
            "context and libraries 540 MiB",
        ),
        ("peak_reserved_mib", "weights 1500 MiB, other tensors 325 MiB, torch's cache 175 MiB"),
        ("peak_allocated_mib", "weights 1500 MiB, other tensors 325 MiB"),
        (
            "load_peak_process_mib",
            "weights 1500 MiB, other tensors 100 MiB, torch's cache 100 MiB, "
            "context and libraries 550 MiB",
        ),
        ("load_peak_allocated_mib", "weights 1500 MiB, other tensors 100 MiB"),
    ],
)
def test_a_peak_is_taken_apart_into_what_lies_inside_it(metric: str, clause: str) -> None:
    """A figure of torch's own names nothing that lies outside it; a phase's is the phase's."""
    assert what_filled(metric, GPU_FIGURES) == f"; in it: {clause}"


@pytest.mark.parametrize("figures", [GPU_FIGURES, CPU_FIGURES])
def test_the_parts_make_the_whole(figures: dict[str, float]) -> None:
    """Whatever the peak, its parts add up to it."""
    for metric in (name for name in figures if "peak_" in name):
        clause = what_filled(metric, figures)
        parts = [float(words.split()[-2]) for words in clause.split(", ")]
        assert sum(parts) == pytest.approx(figures[metric], abs=len(parts))


def test_nothing_is_said_of_parts_that_are_not_there() -> None:
    """A part of no size is left out."""
    figures = GPU_FIGURES | {"peak_reserved_mib": 1825.0}
    assert "torch's cache" not in what_filled("peak_process_mib", figures)


@pytest.mark.parametrize("metric", ["weight_mib", "context_mib", "driver_reserved_mib"])
def test_a_figure_that_is_no_peak_is_not_taken_apart(metric: str) -> None:
    """Weights over their ceiling are not explained by themselves."""
    sentence = only(a_ceiling(metric, 10.0), GPU_FIGURES).sentence
    assert "(it must fit); find what grew" in sentence
    assert "in it" not in sentence


@pytest.mark.parametrize("prefix", ["", "load_"])
@pytest.mark.parametrize("max_mib", [2500.0, 2000.0])
def test_a_hidden_process_is_judged_by_the_device(prefix: str, max_mib: float) -> None:
    """Where the driver hides what a process holds, the device's growth stands in, and says so."""
    metric = f"{prefix}peak_process_mib"
    hidden = {name: value for name, value in GPU_FIGURES.items() if "process" not in name}
    hidden[f"{prefix}peak_device_mib"] = 2400.0
    verdict = only(a_ceiling(metric, max_mib), hidden)
    assert verdict.verdict == ("ok" if max_mib == 2500.0 else "over-limit")
    assert (verdict.metric, verdict.head) == (f"{prefix}peak_device_mib", 2400.0)
    assert f"(in place of {metric}, which hides)" in verdict.sentence


def test_a_process_that_is_seen_is_judged_itself() -> None:
    """The device's figure stands in for nothing that is there."""
    verdict = only(a_ceiling(max_mib=2535.0), GPU_FIGURES)
    assert (verdict.verdict, verdict.metric) == ("ok", "peak_process_mib")


@pytest.mark.parametrize("metric", ["peak_process_mib", "peak_reserved_mib", "driver_reserved_mib"])
def test_what_was_not_measured_has_not_passed(metric: str) -> None:
    """A ceiling on a figure that is not there is `missing`, with the cell and the condition."""
    verdict = only(a_ceiling(metric), {"weight_mib": 1.0})
    assert verdict == Verdict(
        verdict="missing",
        metric=metric,
        head=None,
        limit=1024.0,
        unit="MiB",
        sentence=(
            f"owner/whisper int8: {metric} at most 1024 MiB could not be judged: {metric} was "
            "not measured"
        ),
    )


# Relative ceilings.


@pytest.mark.parametrize("weight_mib", [1000.0, 1500.0])
def test_at_most_the_ratio_is_ok(weight_mib: float) -> None:
    """A share up to the limit, and exactly at it, keeps it."""
    verdict = only(
        a_ratio(), {"weight_mib": weight_mib}, {"fp16": {"weight_mib": 3000.0}, "fp32": {}}
    )
    ratio = weight_mib / 3000.0
    assert verdict == Verdict(
        verdict="ok",
        metric="weight_mib",
        head=ratio,
        limit=0.5,
        unit="1",
        sentence=(
            f"weight_mib is {ratio:.3f} of fp16's ({weight_mib:.1f} of 3000.0 MiB), of at most 0.5"
        ),
    )


def test_over_the_ratio_is_told_all() -> None:
    """The sentence holds the cell, both figures, the limit, its reason and the remedy."""
    verdict = only(a_ratio(), {"weight_mib": 1550.0}, {"fp16": {"weight_mib": 3000.0}})
    assert verdict == Verdict(
        verdict="over-limit",
        metric="weight_mib",
        head=1550.0 / 3000.0,
        limit=0.5,
        unit="1",
        sentence=(
            "owner/whisper int8: weight_mib is 0.517 of fp16's (1550.0 of 3000.0 MiB), over its "
            "ceiling of 0.5 (halving is the point); look at which layers are not quantized, or "
            "raise the ceiling in benchmarks/suite.toml and say why"
        ),
    )


@pytest.mark.parametrize(
    ("figures", "references", "whose", "absent"),
    [
        ({"weight_mib": 1.0}, {}, "fp16", "fp16"),
        ({"weight_mib": 1.0}, {"fp32": {"weight_mib": 3.0}}, "fp16", "fp16"),
        ({"weight_mib": 1.0}, {"fp16": {"context_mib": 3.0}}, "fp16", None),
        ({"weight_mib": 1.0}, {"fp16": {"weight_mib": 0.0}}, "fp16", None),
        ({"weight_mib": 1.0}, {"fp16": {}}, "fp16", None),
        ({"context_mib": 1.0}, {"fp16": {"weight_mib": 3.0}}, "int8", None),
        ({"context_mib": 1.0}, {}, "int8", None),
    ],
)
def test_a_ratio_without_both_figures_has_not_passed(
    figures: dict[str, float],
    references: dict[str, dict[str, float]],
    whose: str,
    absent: str | None,
) -> None:
    """No reference, a reference of zero, or no figure of its own: `missing`, and whose it is.

    Only a precision that was not measured at all is `absent`: it may not have been asked for.
    """
    verdict = only(a_ratio(), figures, references)
    assert (verdict.verdict, verdict.head, verdict.limit) == ("missing", None, 0.5)
    assert (verdict.unit, verdict.absent) == ("1", absent)
    assert verdict.sentence == (
        "owner/whisper int8: weight_mib at most 0.5 of fp16's could not be judged: no weight_mib "
        f"of {whose} in this run"
    )


def test_a_ratio_compares_like_with_like() -> None:
    """Where the cell's process figure hides, its device figure is held against fp16's device."""
    verdict = only(
        a_ratio("peak_process_mib"),
        {"peak_device_mib": 400.0},
        {"fp16": {"peak_process_mib": 100.0, "peak_device_mib": 1000.0}},
    )
    assert (verdict.verdict, verdict.metric, verdict.head) == ("ok", "peak_device_mib", 0.4)


# The sentences.


@pytest.mark.parametrize("ceiling", [a_ceiling(max_mib=2000.0), a_ratio("peak_process_mib")])
def test_a_sentence_is_one_line(ceiling: Limit) -> None:
    """A reason of several lines, as suite.toml's profiles have, does not break the sentence."""
    ceiling = msgspec.structs.replace(ceiling, reason="first line\nand second")
    verdict = only(ceiling, GPU_FIGURES, {"fp16": GPU_FIGURES})
    assert verdict.verdict == "over-limit"
    assert "\n" not in verdict.sentence
    assert "(first line and second)" in verdict.sentence


@pytest.mark.parametrize("over_mib", [0.004, 0.04, 0.4, 4.0])
def test_a_sentence_does_not_deny_itself(over_mib: float) -> None:
    """What is over by little is not said to be 0.0 MiB over."""
    sentence = only(a_ceiling(), {"peak_process_mib": 1024.0 + over_mib}).sentence
    assert "is 1024.0 MiB, " not in sentence
    assert " 0.0 MiB over" not in sentence


# What is proposed.


def measured_run() -> Run:
    """Make up a run of two precisions on a GPU, memory and latency."""
    return make_run(
        make_measurement(weight_mib=2944.0, peak_process_mib=9999.0),
        make_memory(make_cell("fp16"), {"weight_mib": 2944.0, "peak_process_mib": 3900.25}),
        make_memory(make_cell("int8", batch_size=4), GPU_FIGURES),
    )


def test_a_proposal_a_memory_measurement() -> None:
    """Every cell of the stage `memory` has a row of its own, and no other stage has."""
    assert propose(measured_run()) == [
        Limit(
            models=("owner/whisper",),
            precisions=("fp16",),
            devices=("nvidia-h200-sm90-140gib",),
            batch_sizes=(1,),
            metric="peak_process_mib",
            max=3987.0,  # 3900.25 * 1.02 + 8 = 3986.255
            reason="3900 MiB measured, and 2 % + 8 MiB",
        ),
        Limit(
            models=("owner/whisper",),
            precisions=("int8",),
            devices=("nvidia-h200-sm90-140gib",),
            batch_sizes=(4,),
            metric="peak_process_mib",
            max=2589.0,  # 2530 * 1.02 + 8 = 2588.6
            reason="2530 MiB measured, and 2 % + 8 MiB",
        ),
    ]


def test_a_hidden_process_is_proposed_by_the_device() -> None:
    """The first of the process's and the device's figure that there is gets the ceiling."""
    (row,) = propose(make_run(make_memory(INT8, {"weight_mib": 1.0, "peak_device_mib": 100.0})))
    assert (row.metric, row.max) == ("peak_device_mib", 110.0)


def test_a_cpus_ceiling_has_the_headroom_that_a_cpu_needs() -> None:
    """Resident memory differs by more between runs than a GPU's memory does."""
    cell = msgspec.structs.replace(INT8, device="cpu")
    (row,) = propose(make_run(make_memory(cell, {"weight_mib": 1.0, "peak_process_mib": 600.0})))
    assert row.max == 758.0  # 600 * 1.25 + 8
    assert row.reason == "600 MiB measured, and 25 % + 8 MiB"


def test_nothing_is_proposed_of_a_cell_over_its_ceiling() -> None:
    """A regression is no reason for a higher ceiling."""
    over = Verdict(
        verdict="over-limit", metric="x", head=2.0, limit=1.0, unit="MiB", sentence="it is over"
    )
    row = make_memory(INT8, {"weight_mib": 1.0, "peak_process_mib": 600.0})
    assert propose(make_run(row))
    assert propose(make_run(msgspec.structs.replace(row, verdicts=(over,)))) == []


def test_nothing_is_proposed_of_nothing() -> None:
    """Neither a latency nor a pass without a peak is grounds for a ceiling."""
    assert propose(make_run(make_measurement(peak_process_mib=1.0))) == []
    assert propose(make_run(make_memory(INT8, {"weight_mib": 1.0}))) == []


def test_nothing_is_proposed_of_a_cell_that_ran_out() -> None:
    """How far a cell got that did not get through is no measure of what it takes."""
    cut_short = {name: value for name, value in GPU_FIGURES.items() if name != "weight_mib"}
    assert propose(make_run(make_memory(INT8, cut_short))) == []


def reread(rows: Sequence[Limit], tmp_path: Path) -> Suite:
    """Append rows to the committed suite.toml, without its own, and read that."""
    text = SUITE_FILE.read_text(encoding="utf-8").partition("[[limit]]")[0]
    path = tmp_path / "suite.toml"
    path.write_text(text + "\n\n".join(map(as_toml, rows)) + "\n", encoding="utf-8")
    return read_suite(path)


def kept(run: Run, suite: Suite) -> list[str]:
    """Judge a run by a suite's ceilings; return the verdicts."""
    verdicts: list[str] = []
    for row in run.measurements:
        if row.stage == "memory":
            limits = applying(suite.limit, "memory", row.cell, run.machine.device_key)
            judged = judge(row.cell, figures_of(row), limits, {}, "fp16")
            verdicts += [verdict.verdict for verdict in judged] or ["none"]
    return verdicts


def test_proposals_can_be_pasted(tmp_path: Path) -> None:
    """What is written is TOML that reads back as it was, and that the run keeps."""
    run = measured_run()
    rows = propose(run)
    suite = reread(rows, tmp_path)
    assert list(suite.limit) == rows
    assert kept(run, suite) == ["ok", "ok"]


@pytest.mark.parametrize(
    "other", [make_cell("int8", clip="mountain"), make_cell("int8", attention="eager")]
)
def test_cells_that_a_ceiling_cannot_tell_apart_share_one(tmp_path: Path, other: Cell) -> None:
    """A run of several clips or attentions keeps what is proposed from it, too."""
    run = make_run(
        make_memory(INT8, {"weight_mib": 1.0, "peak_process_mib": 1000.0}),
        make_memory(other, {"weight_mib": 1.0, "peak_process_mib": 1500.0}),
    )
    assert set(kept(run, reread(propose(run), tmp_path))) == {"ok"}


@pytest.mark.parametrize(
    "model", ["whisper[ft]", "what?", "whi*", 'say "whisper"', "back\\slash", "größer-日本"]
)
def test_a_proposal_is_for_the_model_of_that_very_name(tmp_path: Path, model: str) -> None:
    """The name of a folder may hold what is special in a pattern or in TOML."""
    run = make_run(make_memory(make_cell("int8", model=model), GPU_FIGURES))
    suite = reread(propose(run), tmp_path)
    assert kept(run, suite) == ["ok"]
    other = make_run(make_memory(make_cell("int8", model="whisper"), GPU_FIGURES))
    assert kept(other, suite) == ["none"]


# In suite.toml.


def test_the_committed_file_reads() -> None:
    """The ceilings that ship have their types, and the out-of-the-box cells have one."""
    suite = read_suite()
    for precision in suite.profile["cpu"].precisions:
        cell = make_cell(precision, model=suite.profile["cpu"].models[0])
        assert applying(suite.limit, "memory", cell, CPU_MACHINE.device_key)


ABSOLUTE = """
[[limit]]
models = ["dummy:tiny"]
precisions = ["int8*"]
devices = ["cpu-*"]
batch_sizes = [1]
metric = "peak_process_mib"
max = 1024
reason = "it must fit"
"""
RATIO = ABSOLUTE.replace("max = 1024", 'max_ratio = 0.55\nof = "fp16"')


def with_ceiling(tmp_path: Path, table: str) -> Path:
    """Append a ceiling to the committed file."""
    path = tmp_path / "suite.toml"
    path.write_text(SUITE_FILE.read_text(encoding="utf-8") + table, encoding="utf-8")
    return path


def test_both_kinds_of_ceiling_read(tmp_path: Path) -> None:
    """A limit may be a whole number; batch sizes may be left out."""
    before = len(read_suite().limit)
    absolute, ratio = read_suite(with_ceiling(tmp_path, ABSOLUTE + RATIO)).limit[before:]
    assert (absolute.max, absolute.max_ratio, absolute.of) == (1024.0, None, None)
    assert (ratio.max, ratio.max_ratio, ratio.of) == (None, 0.55, "fp16")
    assert absolute.batch_sizes == (1,)
    everywhere = read_suite(with_ceiling(tmp_path, ABSOLUTE.replace("batch_sizes = [1]\n", "")))
    assert everywhere.limit[-1].batch_sizes == ()


@pytest.mark.parametrize(
    ("table", "old", "new", "word"),
    [
        (ABSOLUTE, "max =", "max_mib =", "unknown field `max_mib`"),
        (ABSOLUTE, "max = 1024\n", "", "needs one of max, min and max_ratio, and no other"),
        (
            RATIO,
            "max_ratio",
            "max = 5\nmax_ratio",
            "needs one of max, min and max_ratio, and no other",
        ),
        (RATIO, "max_ratio", "min = 5\nmax_ratio", "needs one of max, min and max_ratio"),
        (ABSOLUTE, "[[limit]]", "[[ceiling]]", "[[ceiling]] is [[limit]] now: rename the table"),
        (RATIO, 'of = "fp16"\n', "", "max_ratio and of go together"),
        (ABSOLUTE, "reason", 'of = "fp16"\nreason', "max_ratio and of go together"),
        (RATIO, '"fp16"', '"fp17"', "fp17"),
        (
            ABSOLUTE,
            '"int8*"',
            '"int8", "int9*"',
            "no precision is called 'int9*'; choose from fp32",
        ),
        (ABSOLUTE, "1024", "0", "max must be > 0, for everything takes some memory"),
        (ABSOLUTE, "1024", "-1", ">= 0"),
        (ABSOLUTE, "1024", "nan", ">= 0"),
        (ABSOLUTE, "1024", "inf", "max"),
        (ABSOLUTE, "1024", '"1024"', "max"),
        (RATIO, "0.55", "0", "> 0"),
        (RATIO, "0.55", "inf", "max_ratio"),
        (RATIO, '"fp16"', '"fp*"', "of = 'fp*' is not a precision"),
        (ABSOLUTE, "peak_process_mib", "peak_proces_mib", "metric"),
        (ABSOLUTE, '"it must fit"', '""', "reason"),
        (ABSOLUTE, 'reason = "it must fit"\n', "", "missing required field `reason`"),
        (ABSOLUTE, '["dummy:tiny"]', "[]", "models"),
        (ABSOLUTE, '["dummy:tiny"]', '["dummy:tiny", ""]', "models"),
        (ABSOLUTE, '["int8*"]', "[]", "precisions"),
        (ABSOLUTE, '["cpu-*"]', "[]", "devices"),
        (ABSOLUTE, '["cpu-*"]', '[""]', "devices"),
        (ABSOLUTE, '["cpu-*"]', '"cpu-*"', "devices"),
        (ABSOLUTE, "[1]", "[0]", "batch_sizes"),
        (ABSOLUTE, 'metric = "peak_process_mib"\n', "", "missing required field `metric`"),
    ],
)
def test_a_mistake_in_a_ceiling_is_an_error(
    tmp_path: Path, table: str, old: str, new: str, word: str
) -> None:
    """A ceiling that says nothing, says two things or can never apply is refused by file name."""
    assert table.count(old) == 1
    path = with_ceiling(tmp_path, table.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_suite(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert word in str(caught.value).removeprefix(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_proposed_limit_is_a_whole_number_of_mib() -> None:
    """Limits are rounded up, so that rounding never takes of the headroom."""
    for measured in (0.1, 50.0, 99.999, 100.0, 100.001, 123456.7):
        (row,) = propose(
            make_run(make_memory(INT8, {"weight_mib": 1.0, "peak_process_mib": measured}))
        )
        assert row.max is not None
        assert row.max == math.floor(row.max)
        assert 0.0 <= row.max - (measured * 1.02 + 8.0) < 1.0
