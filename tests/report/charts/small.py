"""Made-up runs that every chart can be drawn of. No figure in them was measured."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tests.pulls.artifacts import Left, Side
from tests.runs import (
    cost_of,
    make_cell,
    make_cost,
    make_measurement,
    make_memory,
    make_run,
    make_soak,
)
from whisperbench.judge.comparison import hold_against
from whisperbench.judge.left import left_in
from whisperbench.report.charts.all import Pictured
from whisperbench.results.passes import MemoryCourse, MemoryPhase, MemoryResult, Part
from whisperbench.results.records import Measurement, Run, Verdict

FIGURES = {"fp16": (1.0, 4096.0, 2944.0), "int8": (4.0, 2560.0, 1547.0)}
"""Seconds of a transcription, MiB of the peak, MiB of the weights."""

KERNELS = {
    "fp16": (("nvjet_sm90_hsh_128x120", 600.0), ("at::native::elementwise_kernel", 200.0)),
    "int8": (("cutlass_80_i16832gemm_s8", 500.0), ("kInt8VectorQuant", 300.0)),
}
"""Names, and microseconds of each in each stage."""


def make_small(
    *,
    slower: float = 1.0,
    precisions: Sequence[str] = ("fp16", "int8"),
    model: str = "owner/whisper",
    clip: str = "harbour",
) -> Run:
    """Make a run with a transcription, memory and a cost of each precision.

    Args:
        slower: what the times of int8 are multiplied by.
        precisions: which of them.
        model: its name.
        clip: its name.
    """
    rows: list[Measurement] = []
    for precision in precisions:
        seconds, peak, weights = FIGURES.get(precision, FIGURES["int8"])
        middle = seconds * (slower if precision == "int8" else 1.0)
        cell = make_cell(precision, model=model, clip=clip)
        rows.append(
            make_measurement(
                "transcribe",
                precision,
                tuple(middle * share for share in (0.875, 1.0, 1.125, 1.0, 1.0)),
                model=model,
                clip=clip,
                weight_mib=weights,
                rtfx_fixed_tokens=26.4 / middle,
            )
        )
        rows.append(make_held(precision, peak, model=model, clip=clip))
        slopes = {"malloc": 0.25, "host": 0.5, "allocated": 64.0, "reserved": 62.5, "drift": 1.05}
        rows.append(make_soak(msgspec.structs.replace(cell, tokens=8), slopes))
        cost = make_cost(
            msgspec.structs.replace(cell, tokens=4), {"kernels": 400 * slower}, gpu_ms=4.0
        )
        parts = tuple(
            Part(kind="kernel", name=name, op="", module="", stage=stage, count=4, time_us=time_us)
            for stage in ("encoder", "decode")
            for name, time_us in KERNELS.get(precision, ())
        )
        found = msgspec.structs.replace(cost_of(cost), parts=parts)
        rows.append(msgspec.structs.replace(cost, found=found))
    return make_run(*rows)


def make_held(
    precision: str, peak: float, *, model: str = "owner/whisper", clip: str = "harbour"
) -> Measurement:
    """Make what a memory pass found: a peak, a limit, and what was held over time."""
    verdict = Verdict(
        verdict="ok",
        metric="peak_process_mib",
        unit="MiB",
        sentence=f"peak_process_mib is {peak} MiB of at most 5120 MiB",
        head=peak,
        limit=5120.0,
    )
    row = make_memory(
        make_cell(precision, model=model, clip=clip),
        {"peak_process_mib": peak},
        verdicts=(verdict,),
    )
    assert isinstance(row.found, MemoryResult)
    course = MemoryCourse(
        of="process",
        at_s=(0.5, 1.0, 2.0, 3.0, 4.0),
        held_mib=(200.0, 500.0, peak, peak / 2, peak / 2),
        phases=(
            MemoryPhase(name="start", start_s=0.0, end_s=1.0),
            MemoryPhase(name="load", start_s=1.0, end_s=2.5),
            MemoryPhase(name="steady call", start_s=2.5, end_s=4.0),
        ),
    )
    return msgspec.structs.replace(row, found=msgspec.structs.replace(row.found, course=course))


def make_pictured() -> Pictured:
    """Make all that charts can be made of: a run, its base, and pairs in turns."""
    base, head = make_small(), make_small(slower=1.5)
    steady = (1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01)
    slow = tuple(1.25 * seconds + 0.002 * at for at, seconds in enumerate(steady))
    left = left_in(Left(base=Side(token_s=steady), head=Side(token_s=slow)).content())
    return Pictured(
        run=head,
        base=base,
        compared=hold_against(base, head, None),
        courses=left.tried(None).pairs.courses(),
    )
