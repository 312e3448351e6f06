"""GPU time that differs alone, and is executed again: pure, runs in, what is judged out.

Equal kernels can take one of several times, by where a process's memory came to lie: the encoder of
large-v3 in fp16 takes 7.96 or 8.03 ms on an H200, process by process. One execution a side of the
two levels looks like a change. The least of several is the lower level on both sides, unless all
executions of one side met the other (docs/ab.md has how often that is).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from whisperbench.asked.suite import Suite
from whisperbench.judge.compare import Identity, identity_of
from whisperbench.judge.comparison import Comparison, hold_against
from whisperbench.results.metrics import METRICS
from whisperbench.results.records import Judged, Measurement, Run, name_of
from whisperbench.units import counted

AGAIN = 4
"""Executions a side after the first, of what is in doubt. Their number is fixed: to stop at the
first that agree would hide a third of +1 % behind two levels. Of two levels that are equally
frequent, five executions of a side miss the lower one in 3 % of the comparisons."""

LEVELS = 0.02
"""As a share of the base: what differs by more is another matter than where memory lies. Levels
were 0.9 % apart."""

Executions = Sequence[tuple[Run, Run]]
"""Of base and head, in their order; the first of them are of all that one execution decides."""


def judge_executions(executions: Executions, suite: Suite | None) -> Comparison:
    """Judge what one execution decides, and GPU time by the least of those that there are.

    Args:
        executions: the first, and those of what was in doubt.
        suite: whose tolerances and gate hold.

    Raises:
        InputError: a run measured a cell twice.
    """
    base, head = ([_by_identity(pair[side]) for pair in executions] for side in (0, 1))
    found = hold_against(
        _least(executions[0][0], base[1:]), _least(executions[0][1], head[1:]), suite
    )
    said = [
        f"{row.benchmark}, {name_of(row.cell)}: GPU time differed alone, so that each side was "
        f"executed {counted(times, 'time')}; the least of each is judged"
        for identity, row in head[0].items()
        if (times := sum(identity in each for each in head)) > 1
    ]
    return replace(found, circumstances=[*found.circumstances, *said])


def in_doubt(found: Comparison, base: Run, head: Run) -> frozenset[Identity]:
    """Return the cells to execute again: GPU time differs, by little, and kernels do not.

    Args:
        found: what is judged of one execution a side.
        base: what it measured.
        head: likewise.
    """
    rows = _by_identity(base), _by_identity(head)
    return frozenset(
        identity_of(each) for each in found.judged if _is_in_doubt(each, rows[0], rows[1])
    )


def _is_in_doubt(
    each: Judged, base: dict[Identity, Measurement], head: dict[Identity, Measurement]
) -> bool:
    verdict = each.verdict
    if verdict.kind != "device_time" or verdict.verdict not in ("regressed", "improved"):
        return False
    rows = base[identity_of(each)], head[identity_of(each)]
    was, now = (_kernels(row, verdict.metric) for row in rows)
    change = verdict.change
    return change is not None and abs(change) <= LEVELS and was is not None and was == now


def _kernels(row: Measurement, gpu_time: str) -> tuple[float, ...] | None:
    """Return how many kernels ran in the stage of a GPU time; None where they were not counted."""
    name = f"{METRICS[gpu_time].stage}_kernels"
    return next((metric.figures for metric in row.metrics if metric.name == name), None)


def _least(run: Run, again: Sequence[dict[Identity, Measurement]]) -> Run:
    """Return a run whose GPU times are the least of its own and of the executions after it."""
    return msgspec.structs.replace(
        run, measurements=tuple(_least_of_row(row, again) for row in run.measurements)
    )


def _least_of_row(row: Measurement, again: Sequence[dict[Identity, Measurement]]) -> Measurement:
    others = [each[identity_of(row)] for each in again if identity_of(row) in each]
    metrics = []
    for metric in row.metrics:
        figures = [*metric.figures]
        if metric.kind == "device_time":
            figures += _figures(row, others, metric.name)
        least = min(figures)
        metrics.append(
            metric
            if least == metric.figures[0]
            else msgspec.structs.replace(metric, value=least, samples=None, processes=None)
        )
    return msgspec.structs.replace(row, metrics=tuple(metrics))


def _figures(row: Measurement, others: Sequence[Measurement], name: str) -> Iterator[float]:
    """Yield a GPU time of further executions, as far as these did what the first one did."""
    for other in others:
        if _kernels(other, name) == _kernels(row, name):
            for metric in other.metrics:
                if metric.name == name:
                    yield from metric.figures


def _by_identity(run: Run) -> dict[Identity, Measurement]:
    return {identity_of(row): row for row in run.measurements}
