"""Two runs held against each other, for the figures that do not wobble: pure, data in, changes out.

Exact counts and the GPU's own time are judged here. Wall time, memory and quality are not yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Literal, NamedTuple

import msgspec

from whisperbench.errors import InputError
from whisperbench.result import Cell, Measurement, Metric, Part, Run

DEVICE_TIME_TOLERANCE = 0.01
"""Growth of summed GPU time from which it is a regression: ten times what it varies by."""

CAUSES = 3
"""Causes that a sentence names."""

Outcome = Literal["ok", "improved", "regressed", "inconclusive", "not-comparable", "new", "missing"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one figure of one cell."""

    outcome: Outcome
    stage: str
    cell: Cell
    metric: str
    base: float | None
    head: float | None
    sentence: str


def compare(base: Run, head: Run) -> list[Change]:
    """Judge each exact count and GPU time of two runs.

    Cells are paired that are the same in all but the checkpoint's fingerprint, which is a suspect.

    Returns:
        A change for each such figure of either run, in the order of the head's, what only the
        base has last.

    Raises:
        InputError: a run measured a cell twice, so that one of the two would not be judged.
    """
    before, after = _by_identity(base, "base"), _by_identity(head, "head")
    changes: list[Change] = []
    for identity, row in after.items():
        changes += _of_cell(before.get(identity), row)
    for identity, row in before.items():
        if identity not in after:
            changes += [
                _change("missing", row, metric, "the head did not measure this cell", base=metric)
                for metric in _judged(row)
            ]
    return changes


def _identity(row: Measurement) -> tuple[str, Cell]:
    return row.stage, msgspec.structs.replace(row.cell, checkpoint="")


def _by_identity(run: Run, which: str) -> dict[tuple[str, Cell], Measurement]:
    found: dict[tuple[str, Cell], Measurement] = {}
    for row in run.measurements:
        if found.setdefault(_identity(row), row) is not row:
            raise InputError(
                f"the {which} has two measurements of {row.stage}, {row.cell.model} "
                f"{row.cell.precision}, {row.cell.clip}; compare runs of one cell each"
            )
    return found


def _judged(row: Measurement) -> list[Metric]:
    return [metric for metric in row.metrics if metric.kind in ("exact", "device_time")]


def _of_cell(base: Measurement | None, head: Measurement) -> Iterator[Change]:
    known = {metric.name: metric for metric in _judged(base)} if base is not None else {}
    for metric in _judged(head):
        old = known.pop(metric.name, None)
        if base is None or old is None:
            yield _change("new", head, metric, "the base has no such figure", head=metric)
        else:
            yield _judge(base, head, old, metric)
    for metric in known.values():
        yield _change("missing", head, metric, "the head has no such figure", base=metric)
    for which, row in (("base", base), ("head", head)):
        if row is not None and "not_counted" in row.notes:
            yield Change(
                outcome="not-comparable",
                stage=head.stage,
                cell=head.cell,
                metric="not counted",
                base=None,
                head=None,
                sentence=f"by the {which}: {row.notes['not_counted']}",
            )


def _judge(base: Measurement, head: Measurement, old: Metric, new: Metric) -> Change:
    differing = sorted(
        f"{name} was {old.conditions.get(name, 'unknown')} and is "
        f"{new.conditions.get(name, 'unknown')}"
        for name in old.conditions.keys() | new.conditions.keys()
        if old.conditions.get(name) != new.conditions.get(name)
    )
    for field in ("unit", "kind", "better"):
        if getattr(old, field) != getattr(new, field):
            differing.append(f"{field} was {getattr(old, field)} and is {getattr(new, field)}")
    if differing:
        return _change("not-comparable", head, new, "; ".join(differing), old, new)
    for which, metric in (("base", old), ("head", new)):
        if _spread(metric) > DEVICE_TIME_TOLERANCE:
            sentence = f"the {which}'s own executions differ by {100 * _spread(metric):.1f} %"
            return _change("inconclusive", head, new, f"{sentence}; measure it again", old, new)
    before, after = _value(old), _value(new)
    grown = after - before if new.better == "lower" else before - after
    tolerance = DEVICE_TIME_TOLERANCE * before if new.kind == "device_time" else 0.0
    if abs(grown) <= tolerance:
        return _change("ok", head, new, "", old, new)
    outcome: Outcome = "regressed" if grown > 0 else "improved"
    digits = ".10g" if new.kind == "exact" else ".4g"
    sentence = f"{before:{digits}} to {after:{digits}} {new.unit}".removesuffix(" 1")
    if before:
        sentence += f" ({100 * (after / before - 1):+.2f} %)"
    causes = causes_of(base, head, new.name)
    if causes:
        sentence += f": {', '.join(causes)}"
    return _change(outcome, head, new, sentence, old, new)


def causes_of(base: Measurement, head: Measurement, metric: str) -> list[str]:
    """Name what a change of a count is made of: the parts that grew or shrank most.

    As in "+32 aten::to a token, from Linear8bitLt". Nothing where no part has changed.
    """
    stage, _, counted = metric.partition("_")
    by_time = metric.endswith("gpu_time_ms")
    before, after = (_parts(row, stage, counted) for row in (base, head))
    changes = {
        key: after.get(key, 0.0) - before.get(key, 0.0) for key in before.keys() | after.keys()
    }
    changed = {key: change for key, change in changes.items() if abs(change) > by_time}
    # What a module calls itself is the cause of what is called within it.
    outermost = {key: change for key, change in changed.items() if not key.within}
    most = sorted((outermost or changed).items(), key=lambda item: (-abs(item[1]), item[0]))
    tokens = (head.cell.tokens or 1) if stage == "decode" else 1
    return [_cause(key, change, tokens, by_time) for key, change in most[:CAUSES]]


_COUNTED_IN: dict[str, tuple[tuple[str, ...], str]] = {
    "aten_ops": (("op",), "aten::"),
    "kernels": (("kernel",), ""),
    "gpu_time_ms": (("kernel",), ""),
    "memsets": (("memset",), ""),
    "stream_syncs": (("sync",), "cudaStream"),
    "device_syncs": (("sync",), "cudaDevice"),
    "event_syncs": (("sync",), "cudaEvent"),
}
"""The kinds of parts that a metric counts, and how their names begin. Of any other metric all ops
and kernels may be the cause."""


def _makes_up(part: Part, counted: str) -> bool:
    if counted.startswith(("copies_", "copy_bytes_")):
        return part.kind == "copy" and part.name == counted.rpartition("_")[2]
    kinds, beginning = _COUNTED_IN.get(counted, (("op", "kernel"), ""))
    return part.kind in kinds and part.name.startswith(beginning)


class _Key(NamedTuple):
    """What is told apart where causes are named."""

    name: str
    module: str
    within: bool
    """Whether it is an op that another op called."""


def _parts(row: Measurement, stage: str, counted: str) -> dict[_Key, float]:
    """Sum what makes a metric up, by count or by time; copies and waits by their op."""
    found: dict[_Key, float] = {}
    for part in row.parts:
        if part.stage != stage or not _makes_up(part, counted):
            continue
        own = part.kind in ("op", "kernel")
        name = part.name if own else f"{part.kind} {part.name} in {part.op or 'no op'}"
        key = _Key(name, part.module, part.kind == "op" and bool(part.op))
        size = part.time_us if counted == "gpu_time_ms" else part.count
        found[key] = found.get(key, 0.0) + size
    return found


def _cause(key: _Key, change: float, tokens: int, by_time: bool) -> str:
    each = change / tokens
    amount = f"{each:+.1f} us" if by_time else f"{each:+.4g}"
    source = f", from {key.module}" if key.module else ""
    return f"{amount} {key.name}{' a token' if tokens > 1 else ''}{source}"


def _spread(metric: Metric) -> float:
    """Return by how much the samples of a figure differ, as a share of their median."""
    samples = metric.samples or ()
    middle = median(samples) if samples else 0.0
    return (max(samples) - min(samples)) / middle if middle else 0.0


def _value(metric: Metric) -> float:
    return median(metric.samples) if metric.samples else metric.value or 0.0


def _change(
    outcome: Outcome,
    row: Measurement,
    metric: Metric,
    sentence: str,
    base: Metric | None = None,
    head: Metric | None = None,
) -> Change:
    return Change(
        outcome=outcome,
        stage=row.stage,
        cell=row.cell,
        metric=metric.name,
        base=_value(base) if base is not None else None,
        head=_value(head) if head is not None else None,
        sentence=sentence,
    )


def as_lines(changes: list[Change]) -> Iterator[str]:
    """Yield what changed, a line each, and at the end how many figures had which outcome."""
    said: dict[tuple[str, str], list[str]] = {}
    for change in changes:
        if change.outcome != "ok":
            where = f"{change.cell.model} {change.cell.precision}, {change.cell.clip}"
            # What happened to many figures alike is said of all of them at once.
            said.setdefault((f"{change.outcome}: {where}", change.sentence), []).append(
                change.metric
            )
    for (where, sentence), metrics in said.items():
        what = metrics[0] if len(metrics) == 1 else f"{len(metrics)} figures"
        yield f"{where}: {what}: {sentence}"
    outcomes = [change.outcome for change in changes]
    counts = ", ".join(f"{outcomes.count(name)} {name}" for name in dict.fromkeys(outcomes))
    yield f"{len(changes)} exact counts and GPU times compared: {counts or 'none'}"
    yield "not judged: wall time, memory and quality"
