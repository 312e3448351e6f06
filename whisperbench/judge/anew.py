"""A run's cells held against limits once more: pure, a run in, the same with other verdicts out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from whisperbench.asked.suite import Limit
from whisperbench.judge.limits import Figures, applying, figures_of, judge
from whisperbench.results.metric_row import Pass
from whisperbench.results.passes import MemoryResult, NumericsResult, QualityResult, SoakResult
from whisperbench.results.records import Measurement, Place, Run, Verdict

_PASSES: dict[type, Pass] = {
    MemoryResult: "memory",
    QualityResult: "quality",
    NumericsResult: "numerics",
    SoakResult: "soak",
}


def held_to(run: Run, limits: Sequence[Limit]) -> Run:
    """Return a run whose verdicts are those of limits.

    What the run says for itself counts for nothing. What it says against itself stays, such as
    that a cell found no memory.

    Cells are judged in the order in which they were measured, each with those before it to be
    compared with, as the suite does it.

    Args:
        run: what was measured.
        limits: all of suite.toml's.
    """
    seen: dict[tuple[Pass, Place], dict[str, Figures]] = {}
    return msgspec.structs.replace(
        run, measurements=tuple(_judged(row, run, limits, seen) for row in run.measurements)
    )


def _judged(
    row: Measurement,
    run: Run,
    limits: Sequence[Limit],
    seen: dict[tuple[Pass, Place], dict[str, Figures]],
) -> Measurement:
    made_by = _PASSES.get(type(row.found))
    found: tuple[Verdict, ...] = ()
    if made_by is not None:
        figures = figures_of(row)
        others = seen.setdefault((made_by, row.cell.place), {})
        others[row.cell.precision] = figures
        applied = applying(limits, made_by, row.cell, run.machine.device_key)
        found = judge(row.cell, figures, applied, others, run.info.reference)
    said = {(each.verdict, each.metric) for each in found}
    against = (
        each
        for each in row.verdicts
        if each.verdict != "ok" and (each.verdict, each.metric) not in said
    )
    return msgspec.structs.replace(row, verdicts=(*found, *against))
