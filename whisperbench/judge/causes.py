"""What a change of a count is made of, from the parts that the cost pass keeps."""

from __future__ import annotations

from typing import NamedTuple

from whisperbench.results.metric_row import MadeOf, Stage
from whisperbench.results.metrics import METRICS
from whisperbench.results.passes import CostResult, QualityResult
from whisperbench.results.records import Measurement, executions

CAUSES = 3
"""Causes that a sentence names."""


def causes_of(base: Measurement, head: Measurement, metric: str) -> list[str]:
    """Name what a change of a count is made of: the parts that grew or shrank most.

    As in "+32 aten::to a token, from Linear8bitLt", or of an error rate the clips, as in "+2 wrong
    words in harbour". Nothing where no part has changed.
    """
    if isinstance(base.found, QualityResult) and isinstance(head.found, QualityResult):
        return _clips_of(base.found, head.found)
    row = METRICS.get(metric)
    if (
        row is None
        or row.stage is None
        or row.made_of is None
        or not isinstance(base.found, CostResult)
        or not isinstance(head.found, CostResult)
    ):
        return []
    before, after = (_parts(found, row.stage, row.made_of) for found in (base.found, head.found))
    if row.made_of.kind in ("call", "allocation") and not (before and after):
        return []  # one of the files does not say what they are made of
    changes = {
        key: after.get(key, 0.0) - before.get(key, 0.0) for key in before.keys() | after.keys()
    }
    by_time = row.made_of.by_time
    changed = {key: change for key, change in changes.items() if abs(change) > by_time}
    # What a module calls itself is the cause of what is called within it.
    outermost = {key: change for key, change in changed.items() if not key.within}
    most = sorted((outermost or changed).items(), key=lambda item: (-abs(item[1]), item[0]))
    if row.made_of.kind == "call":
        # What is new says more than what all functions call.
        most.sort(key=lambda item: item[0] in before and item[0] in after)
    times = executions(head.cell, row.stage)
    return [_cause(key, change, times, by_time) for key, change in most[:CAUSES]]


def _clips_of(base: QualityResult, head: QualityResult) -> list[str]:
    """Name the clips that are heard otherwise."""
    before = {clip.name: clip for clip in base.clips}
    changes = [
        (clip.word_edits - before[clip.name].word_edits, clip.name)
        for clip in head.clips
        if clip.name in before and clip.word_edits != before[clip.name].word_edits
    ]
    most = sorted(changes, key=lambda change: (-abs(change[0]), change[1]))[:CAUSES]
    return [f"{change:+d} wrong words in {name}" for change, name in most]


class _Key(NamedTuple):
    """What is told apart where causes are named."""

    name: str
    module: str
    within: bool
    """Whether it is an op that another op called."""


def _parts(found: CostResult, stage: Stage, made_of: MadeOf) -> dict[_Key, float]:
    """Sum what makes a metric up, by count or by time; copies and waits by their op."""
    if made_of.kind == "call":
        return {_Key(name, "", False): n for name, n in found.calls.get(stage, {}).items()}
    summed: dict[_Key, float] = {}
    for part in found.parts:
        if part.stage != stage or part.kind != made_of.kind or not made_of.includes(part.name):
            continue
        own = part.kind in ("op", "kernel")
        name = (
            part.name if own else f"{part.kind} {part.name}".rstrip() + f" in {part.op or 'no op'}"
        )
        key = _Key(name, part.module, part.kind == "op" and bool(part.op))
        summed[key] = summed.get(key, 0.0) + (part.time_us if made_of.by_time else part.count)
    return summed


def _cause(key: _Key, change: float, tokens: int, by_time: bool) -> str:
    each = change / tokens
    amount = f"{each:+.1f} us" if by_time else f"{each:+.4g}"
    source = f", from {key.module}" if key.module else ""
    return f"{amount} {key.name}{' a token' if tokens > 1 else ''}{source}"
