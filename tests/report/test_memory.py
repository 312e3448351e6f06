"""The memory part of the summary, as golden text. No figure here was measured.

Over 300 lines, because it is one subject with one set of helpers.
"""

from __future__ import annotations

import msgspec
import pytest

from tests.runs import (
    CPU_MACHINE,
    make_cell,
    make_measurement,
    make_memory,
    make_run,
)
from whisperbench.asked.suite import Limit
from whisperbench.judge.limits import judge
from whisperbench.report.summary import WIDTH, details
from whisperbench.results.records import ManifestEntry, Measurement, Run

CARD = Limit(
    models=("*",),
    precisions=("*",),
    devices=("*",),
    metric="peak_process_mib",
    max=2500.0,
    reason="it must fit a 6 GB card",
)
HALF = msgspec.structs.replace(
    CARD, metric="weight_mib", max=None, max_ratio=0.55, of="fp16", reason="halving"
)
HIDDEN = "device delta (NVML), process figures are hidden"


def gpu_figures(weights: float, reserved: float) -> dict[str, float]:
    """Make up the figures of a cell on a GPU; every metric has another one."""
    tensors, process, device = reserved - 200, reserved + 560, reserved + 571
    return {
        "weight_mib": weights,
        "context_mib": 521.5,
        "load_peak_allocated_mib": weights + 40,
        "load_peak_reserved_mib": weights + 60,
        "load_peak_process_mib": weights + 600,
        "load_peak_device_mib": weights + 611,
        "first_call_peak_allocated_mib": tensors + 5,
        "first_call_peak_reserved_mib": reserved + 1,
        "first_call_peak_process_mib": process + 2,
        "first_call_peak_device_mib": device + 3,
        "steady_call_peak_allocated_mib": tensors,
        "steady_call_peak_reserved_mib": reserved,
        "steady_call_peak_process_mib": process,
        "steady_call_peak_device_mib": device,
        "peak_allocated_mib": tensors + 5,
        "peak_reserved_mib": reserved + 1,
        "peak_process_mib": process + 2,
        "peak_device_mib": device + 3,
        "driver_reserved_mib": 612.0,
    }


FIGURES = {
    "fp16": gpu_figures(2944.0, 3300.0),
    "int8": gpu_figures(1547.0, 1922.0),
    "int8-t0": gpu_figures(1547.0, 2100.0),
    "nf4": gpu_figures(880.4, 1250.0),
}


def on_a_gpu(precision: str, *limits: Limit, model: str = "owner/whisper") -> Measurement:
    """Make up a memory measurement that has been judged by these limits."""
    cell = make_cell(precision, model=model)
    figures = FIGURES[precision]
    verdicts = judge(cell, figures, limits, FIGURES, "fp16")
    return make_memory(cell, figures, verdicts=verdicts)


def on_a_cpu(precision: str, weights: float, process: float, longest_gap_ms: float) -> Measurement:
    """Make up a memory measurement on a CPU that has been judged."""
    cell = make_cell(precision, model="dummy:tiny", device="cpu")
    figures = {
        "weight_mib": weights,
        "context_mib": 273.6,
        "load_peak_process_mib": process - 40,
        "first_call_peak_process_mib": process - 10,
        "steady_call_peak_process_mib": process,
        "peak_process_mib": process,
    }
    return make_memory(
        cell,
        figures,
        verdicts=judge(cell, figures, [CARD], {}, "fp16"),
        judged="process (RSS)",
        longest_gap_ms=longest_gap_ms,
    )


def shown(run: Run) -> list[str]:
    """Summarise a run, and require that every line fits and nothing was cut off."""
    lines = details(run).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert not any("…" in line or "\x1b" in line for line in lines)
    return lines


def headings(lines: list[str]) -> list[str]:
    """Return the headings of a table's columns, with those of their groups."""
    rule = next(turn for turn, line in enumerate(lines) if line.startswith(" ───"))
    groups, names = lines[rule - 2], lines[rule - 1]
    found = []
    end = 0
    group = ""
    for name in names.split():
        start = names.index(name, end)
        above, end = groups[end : start + len(name)].strip(), start + len(name)
        group = "" if name == "driver" else above or group  # driver is of no group
        found.append(f"{group} {name}".strip())
    return found


GPU_GOLDEN = """\
NVIDIA H200, driver 580.1, CUDA 13.0 (nvidia-h200-sm90-140gib)
Python 3.12.3, torch 2.11.0, transformers 5.17.0, bitsandbytes 0.50.2

memory, MiB: model owner/whisper, clip harbour, batch 1, attention sdpa

                                 load            first   steady
 precision  weights  context  process  device  process  tensors  torch  process  device  driver
 ──────────────────────────────────────────────────────────────────────────────────────────────
 fp16          2944      522     3544    3555     3862     3100   3300     3860    3871     612
 int8          1547      522     2147    2158     2484     1722   1922     2482    2493     612
 int8-t0       1547      522     2147    2158     2662     1900   2100     2660    2671     612
 nf4            880      522     1480    1491     1812     1050   1250     1810    1821     612

Limits are judged by the figure: process (NVML).
The probe polled 12000 times, every 1.0 ms; its longest gap was 12.5 ms.
load, first and steady are the peaks of loading, of the first call and of later calls.
tensors is what torch has allocated, and torch is what it has reserved. process and device
are read through NVML; device is the growth over the idle device. driver is what the driver
keeps for itself.
limit ok: owner/whisper int8: peak_process_mib is 2484.0 MiB of at most 2500.0 MiB
limit ok: owner/whisper int8: weight_mib is 0.525 of fp16's (1547.0 of 2944.0 MiB), of at most 0.55
limit not judged: owner/whisper nf4: weight_mib at most 0.55 of bf16's could not be judged: no
weight_mib of bf16 in this run
no limit: owner/whisper fp16 (whisperbench limits --propose RUN.json writes some)
over-limit: test[2]: over it is
4 benchmarks asked for: 3 measured, 1 over-limit"""


def test_golden_of_a_gpu() -> None:
    """Four precisions: their figures, how they were read, and each of the verdicts."""
    run = make_run(
        on_a_gpu("fp16"),
        on_a_gpu("int8", CARD, HALF),
        on_a_gpu("int8-t0", CARD),
        on_a_gpu("nf4", msgspec.structs.replace(HALF, of="bf16")),
        manifest=tuple(
            ManifestEntry(
                benchmark=f"test[{index}]",
                cell=str(index),
                outcome="over-limit" if index == 2 else "measured",
                reason="over it is" if index == 2 else "",
            )
            for index in range(4)
        ),
    )
    assert shown(run) == GPU_GOLDEN.splitlines()


CPU_GOLDEN = """\
Some CPU, 2 cores (cpu-some-cpu-2c)
Python 3.12.3, torch 2.11.0, transformers 5.17.0, bitsandbytes 0.50.2

memory, MiB: model dummy:tiny, clip harbour, batch 1, attention sdpa

                                 load    first   steady
 precision  weights  context  process  process  process
 ──────────────────────────────────────────────────────
 fp32           144      274      511      541      551
 int8          96.9      274      590      620      630

Limits are judged by the figure: process (RSS).
The probe polled 6000 times, every 1.0 ms; its longest gap was 13.6 ms.
load, first and steady are the peaks of loading, of the first call and of later calls.
The column process is the resident memory of the process.
limit ok: dummy:tiny fp32: peak_process_mib is 551.0 MiB of at most 2500.0 MiB
limit ok: dummy:tiny int8: peak_process_mib is 630.0 MiB of at most 2500.0 MiB
2 benchmarks asked for: 2 measured"""


def test_golden_of_a_cpu() -> None:
    """Columns that a CPU has nothing for are left out; those that stay keep their headings."""
    rows = [on_a_cpu("fp32", 144.0, 551.0, 8.0), on_a_cpu("int8", 96.9, 630.0, 13.6)]
    assert shown(make_run(*rows, machine=CPU_MACHINE)) == CPU_GOLDEN.splitlines()


def test_hidden_process_figures_are_said() -> None:
    """Where the driver hides them their columns are gone, and what was judged is said."""
    figures = {name: value for name, value in FIGURES["int8"].items() if "process" not in name}
    cell = make_cell("int8")
    row = make_memory(
        cell, figures, verdicts=judge(cell, figures, [CARD], {}, "fp16"), judged=HIDDEN
    )
    lines = shown(make_run(row))
    assert f"Limits are judged by the figure: {HIDDEN}." in lines
    assert (
        "limit ok: owner/whisper int8: peak_device_mib is 2496.0 MiB of at most 2500.0 MiB "
        "(in place of peak_process_mib, which hides)"
    ) in " ".join(lines)
    names = headings(lines)
    assert not any("process" in name for name in names)
    assert "load device" in names
    assert [name for name in names if name.startswith("steady")] == [
        "steady tensors",
        "steady torch",
        "steady device",
    ]


def test_rows_that_were_judged_differently_are_both_named() -> None:
    """One line for each way in which the figures were read."""
    other = make_memory(make_cell("nf4"), FIGURES["nf4"], judged=HIDDEN)
    lines = shown(make_run(on_a_gpu("fp16"), on_a_gpu("int8"), other))
    judged = [line for line in lines if line.startswith("Limits are judged by")]
    assert judged == [
        "Limits are judged by the figure: process (NVML).",
        f"Limits are judged by the figure: {HIDDEN}.",
    ]


def test_a_missing_figure_is_an_empty_cell() -> None:
    """A cell that ran out of memory has its row, as far as it got."""
    cut_short = {"context_mib": 521.5, "load_peak_process_mib": 987.0}
    rows = [on_a_gpu("fp16"), make_memory(make_cell("int8"), cut_short)]
    table = [line.split() for line in shown(make_run(*rows)) if line.startswith((" fp16", " int8"))]
    assert [len(cells) for cells in table] == [11, 3]
    assert table[1] == ["int8", "522", "987"]


def test_a_cell_that_ran_out_is_not_told_to_get_a_limit() -> None:
    """It was not judged, and its figures, as far as it got, are no grounds for a limit."""
    cut_short = {"context_mib": 521.5, "peak_process_mib": 987.0, "load_peak_process_mib": 987.0}
    lines = shown(make_run(on_a_gpu("fp16", CARD), make_memory(make_cell("int8"), cut_short)))
    assert not any(line.startswith("no limit") for line in lines)


def test_memory_alone_has_no_legend_of_latency() -> None:
    """Nothing is said about rounds where nothing was timed, and there is one table."""
    text = "\n".join(shown(make_run(on_a_gpu("int8", CARD))))
    for word in ("p50", "spread", "stage", "× fp16", "RTFx"):
        assert word not in text
    assert text.count("───\n") == 1


def test_memory_comes_after_latency() -> None:
    """Latency's tables and legend, memory's, and what became of all: in this order, once each."""
    run = make_run(
        on_a_gpu("fp16", CARD),
        make_measurement("encoder", samples=(0.01,) * 3, tokens=None),
        on_a_gpu("int8", CARD),
        make_measurement(samples=(1.0,) * 3),
    )
    lines = shown(run)
    starts = (
        " benchmark ",
        " transcribe ",
        " encoder ",
        "p50 is",
        "memory, MiB",
        " precision ",
        " fp16 ",
        " int8 ",
        "Limits are judged",
        "limit ok",
        "4 benchmarks",
    )
    turns = []
    for start in starts:
        (turn,) = [turn for turn, line in enumerate(lines) if line.startswith(start)]
        turns.append(turn)
    assert turns == sorted(turns)
    assert not any(line.startswith(" memory") for line in lines), "memory stands among latencies"


def test_latency_alone_has_no_memory() -> None:
    """Without memory benchmarks there is no word of them."""
    text = "\n".join(shown(make_run(make_measurement())))
    assert "memory" not in text
    assert "limit" not in text


def test_a_reference_of_memory_alone_is_none_of_latency() -> None:
    """Latency's empty ratios are explained, whatever memory was measured."""
    run = make_run(on_a_gpu("fp16"), make_measurement(precision="int8"))
    assert "The columns × fp16 are empty because fp16 was not timed." in shown(run)


def test_each_place_has_its_table() -> None:
    """Cells of other models, clips, batches and attentions stand apart, under their own title."""
    cells = [
        make_cell("int8"),
        make_cell("int8", model="owner/other"),
        make_cell("int8", clip="mountain"),
        make_cell("int8", batch_size=4),
        make_cell("int8", attention="eager"),
    ]
    lines = shown(make_run(*(make_memory(cell, FIGURES["int8"]) for cell in cells)))
    titles = [line for line in lines if line.startswith("memory, MiB: ")]
    assert titles == [
        "memory, MiB: model owner/whisper, clip harbour, batch 1, attention sdpa",
        "memory, MiB: model owner/other, clip harbour, batch 1, attention sdpa",
        "memory, MiB: model owner/whisper, clip mountain, batch 1, attention sdpa",
        "memory, MiB: model owner/whisper, clip harbour, batch 4, attention sdpa",
        "memory, MiB: model owner/whisper, clip harbour, batch 1, attention eager",
    ]
    assert sum(line.startswith(" int8") for line in lines) == len(titles)
    # The lines below are for all of them: a name stands once.
    bare = "owner/whisper int8, owner/other int8, owner/whisper int8 b4, owner/whisper int8 eager"
    assert f"no limit: {bare} (whisperbench limits --propose" in " ".join(lines)


def test_the_probe_is_shown_at_its_worst() -> None:
    """The longest gap of all cells, and the polls of all of them."""
    rows = [
        make_memory(make_cell(precision), FIGURES[precision], longest_gap_ms=gap_ms)
        for precision, gap_ms in (("fp16", 3.0), ("int8", 250.04), ("nf4", 1.5))
    ]
    assert "The probe polled 9000 times, every 1.0 ms; its longest gap was 250.0 ms." in shown(
        make_run(*rows)
    )


@pytest.mark.parametrize("figure", [0.0, 0.04, 9.99, 99.9, 143771.0])
def test_the_widest_table_fits(figure: float) -> None:
    """Figures of a whole card, or of nothing, are neither cut off nor wrapped; nor are names."""
    figures = dict.fromkeys(FIGURES["fp16"], figure)
    cell = make_cell(
        "int8-t0",
        model="openai/whisper-large-v3-turbo@06f233fe",
        clip="a-recording-of-a-meeting",
        batch_size=64,
        attention="flash_attention_2",
    )
    verdicts = judge(cell, figures, [msgspec.structs.replace(CARD, max=0.01)], {}, "fp16")
    lines = shown(make_run(make_memory(cell, figures, verdicts=verdicts)))
    (row,) = [line for line in lines if line.startswith(" int8-t0")]
    assert len(row.split()) == len(headings(lines)) == 11
    assert headings(lines) == [
        "precision",
        "weights",
        "context",
        "load process",
        "load device",
        "first process",
        "steady tensors",
        "steady torch",
        "steady process",
        "steady device",
        "driver",
    ]
