"""What became of the benchmarks that a run was asked for, by model and precision."""

from __future__ import annotations

import re
from collections.abc import Iterable

from whisperbench.asked.precisions import PRECISIONS
from whisperbench.results.records import ManifestEntry, Run, Verdict

_WORST_FIRST = ("invalid", "failed", "regressed", "over-limit", "not-comparable", "skipped")
"""Outcomes that are told in place of a verdict."""

_NOT_SDPA = ("eager", "flash_attention_2")
"""Attentions that stand in a benchmark's id."""


def entries_of(
    run: Run, model: str, attention: str, batch_size: int, clip: str | None
) -> dict[str, list[ManifestEntry]]:
    """Return the benchmarks that were asked for of a model, by precision.

    What -k or -m took away, or belongs to another shard, nobody wanted here.
    """
    found: dict[str, list[ManifestEntry]] = {}
    clips = {row.cell.clip for row in run.measurements}
    for entry in run.info.manifest:
        if entry.deselected or run.info.is_elsewhere(entry):
            continue
        precision = _precision_of(entry, model, attention)
        if precision is not None and _is_in(entry, batch_size, clip, clips):
            found.setdefault(precision, []).append(entry)
    return found


def lost(entries: Iterable[ManifestEntry]) -> int:
    """Count those that were not measured."""
    return sum(entry.outcome in ("failed", "invalid", "skipped") for entry in entries)


def worst(verdicts: Iterable[Verdict], entries: Iterable[ManifestEntry]) -> str:
    """Return the worst verdict of a limit or outcome of a benchmark; "none" of no verdict."""
    found = [verdict.verdict for verdict in verdicts]
    outcomes = [entry.outcome for entry in entries]
    bad = next((name for name in _WORST_FIRST if name in (*found, *outcomes)), None)
    return bad.replace("-", " ") if bad else "ok" if "ok" in found else "none"


def _precision_of(entry: ManifestEntry, model: str, attention: str) -> str | None:
    """Read the precision out of a benchmark's id; None where it is of another model."""
    names = "|".join(sorted(map(re.escape, PRECISIONS), key=len, reverse=True))
    found = re.match(rf"{re.escape(model)}-({names})(?=-|$)(.*)", entry.cell)
    if found is None:
        return None
    unlike = [name for name in _NOT_SDPA if f"-{name}" in found[2] and name != attention]
    wanting = attention in _NOT_SDPA and f"-{attention}" not in found[2]
    return None if unlike or wanting else found[1]


def _is_in(entry: ManifestEntry, batch_size: int, clip: str | None, clips: set[str]) -> bool:
    """Whether a benchmark's id is of a batch size and a clip, or of no certain one."""
    parts = entry.cell.split("-")
    batches = [part for part in parts if re.fullmatch(r"b\d+", part)]
    other = any(f"-{name}-" in f"{entry.cell}-" for name in clips - {clip})
    own = clip is not None and f"-{clip}-" in f"{entry.cell}-"
    return (not batches or f"b{batch_size}" in batches) and (own or not other)
