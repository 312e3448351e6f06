"""What became of the benchmarks that a run was asked for, by model and precision."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from math import nan

from whisperbench.asked.precisions import OWN_NAME, PRECISIONS
from whisperbench.results.records import ManifestEntry, Run, Verdict

_WORST_FIRST = ("invalid", "failed", "regressed", "over-limit", "not-comparable", "skipped")
"""Outcomes that are told in place of a verdict."""

_NOT_SDPA = ("eager", "flash_attention_2")
"""Attentions that stand in a benchmark's id."""


class AskedFor:
    """The benchmarks that a run was asked for.

    What -k or -m took away, or belongs to another shard, nobody wanted here; and what a transcriber
    does not offer has no outcome.
    """

    def __init__(self, run: Run) -> None:
        self._entries = [
            entry
            for entry in run.info.manifest
            if not (entry.deselected or entry.not_offered or run.info.is_elsewhere(entry))
        ]
        self._clips = {row.cell.clip for row in run.measurements}
        self._of_model: dict[tuple[str, str], list[tuple[str, ManifestEntry]]] = {}

    def of(
        self, model: str, attention: str, batch_size: int, clip: str | None
    ) -> dict[str, list[ManifestEntry]]:
        """Return those of a model, a batch size and a clip, by precision."""
        if (model, attention) not in self._of_model:
            told = ((_precision_of(each, model, attention), each) for each in self._entries)
            self._of_model[model, attention] = [
                (precision, entry) for precision, entry in told if precision is not None
            ]
        found: dict[str, list[ManifestEntry]] = {}
        for precision, entry in self._of_model[model, attention]:
            if _is_in(entry, batch_size, clip, self._clips):
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


def over_limit(verdicts: Iterable[Verdict], metrics: str) -> float:
    """Return the highest figure over a limit, of metrics whose names begin so; NaN without."""
    found = [
        each.head
        for each in verdicts
        if each.verdict == "over-limit" and each.metric.startswith(metrics) and each.head
    ]
    return max(found, default=nan)


@cache
def _of_model(model: str) -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, PRECISIONS), key=len, reverse=True))
    return re.compile(rf"{re.escape(model)}-({names}|{OWN_NAME})(?=-|$)(.*)")


def _precision_of(entry: ManifestEntry, model: str, attention: str) -> str | None:
    """Read the precision out of a benchmark's id; None where it is of another model."""
    found = _of_model(model).match(entry.cell)
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
