"""What a change of a count is made of, from the parts that the cost pass keeps."""

from __future__ import annotations

from typing import NamedTuple

from whisperbench.results.records import Measurement, Part

CAUSES = 3
"""Causes that a sentence names."""


def causes_of(base: Measurement, head: Measurement, metric: str) -> list[str]:
    """Name what a change of a count is made of: the parts that grew or shrank most.

    As in "+32 aten::to a token, from Linear8bitLt", or of an error rate the clips, as in "+2 wrong
    words in harbour". Nothing where no part has changed.
    """
    if head.clips:
        return _clips_of(base, head)
    stage, _, counted = metric.partition("_")
    by_time = metric.endswith("gpu_time_ms")
    before, after = (_parts(row, stage, counted) for row in (base, head))
    if counted in ("python_calls", "allocations") and not (before and after):
        return []  # one of the files does not say what they are made of
    changes = {
        key: after.get(key, 0.0) - before.get(key, 0.0) for key in before.keys() | after.keys()
    }
    changed = {key: change for key, change in changes.items() if abs(change) > by_time}
    # What a module calls itself is the cause of what is called within it.
    outermost = {key: change for key, change in changed.items() if not key.within}
    most = sorted((outermost or changed).items(), key=lambda item: (-abs(item[1]), item[0]))
    if counted == "python_calls":
        # What is new says more than what all functions call.
        most.sort(key=lambda item: item[0] in before and item[0] in after)
    tokens = (head.cell.tokens or 1) if stage == "decode" else 1
    return [_cause(key, change, tokens, by_time) for key, change in most[:CAUSES]]


def _clips_of(base: Measurement, head: Measurement) -> list[str]:
    """Name the clips that are heard otherwise."""
    before = {clip.name: clip for clip in base.clips}
    changes = [
        (clip.word_edits - before[clip.name].word_edits, clip.name)
        for clip in head.clips
        if clip.name in before and clip.word_edits != before[clip.name].word_edits
    ]
    most = sorted(changes, key=lambda change: (-abs(change[0]), change[1]))[:CAUSES]
    return [f"{change:+d} wrong words in {name}" for change, name in most]


_COUNTED_IN: dict[str, tuple[tuple[str, ...], str]] = {
    "aten_ops": (("op",), "aten::"),
    "kernels": (("kernel",), ""),
    "gpu_time_ms": (("kernel",), ""),
    "memsets": (("memset",), ""),
    "stream_syncs": (("sync",), "cudaStream"),
    "device_syncs": (("sync",), "cudaDevice"),
    "event_syncs": (("sync",), "cudaEvent"),
    "allocations": (("allocation",), ""),
}
"""The kinds of parts that a metric counts, and how their names begin. What any other metric, such
as a peak or least work, is made of is not kept."""


def _makes_up(part: Part, counted: str) -> bool:
    if counted.startswith(("copies_", "copy_bytes_")):
        return part.kind == "copy" and part.name == counted.rpartition("_")[2]
    if counted == "other_ops":
        return part.kind == "op" and not part.name.startswith("aten::")
    kinds, beginning = _COUNTED_IN.get(counted, ((), ""))
    return part.kind in kinds and part.name.startswith(beginning)


class _Key(NamedTuple):
    """What is told apart where causes are named."""

    name: str
    module: str
    within: bool
    """Whether it is an op that another op called."""


def _parts(row: Measurement, stage: str, counted: str) -> dict[_Key, float]:
    """Sum what makes a metric up, by count or by time; copies and waits by their op."""
    if counted == "python_calls":
        return {_Key(name, "", False): n for name, n in row.calls.get(stage, {}).items()}
    found: dict[_Key, float] = {}
    for part in row.parts:
        if part.stage != stage or not _makes_up(part, counted):
            continue
        own = part.kind in ("op", "kernel")
        name = (
            part.name if own else f"{part.kind} {part.name}".rstrip() + f" in {part.op or 'no op'}"
        )
        key = _Key(name, part.module, part.kind == "op" and bool(part.op))
        size = part.time_us if counted == "gpu_time_ms" else part.count
        found[key] = found.get(key, 0.0) + size
    return found


def _cause(key: _Key, change: float, tokens: int, by_time: bool) -> str:
    each = change / tokens
    amount = f"{each:+.1f} us" if by_time else f"{each:+.4g}"
    source = f", from {key.module}" if key.module else ""
    return f"{amount} {key.name}{' a token' if tokens > 1 else ''}{source}"
