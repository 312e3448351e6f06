"""The split of a run as text: what each shard has, and what it is predicted to take."""

from __future__ import annotations

from collections.abc import Sequence

from whisperbench.asked.shards import Part, Work, split
from whisperbench.units import counted


def describe_split(work: Work, shards: int) -> list[str]:
    """Write a split, a line a shard, and what it gains.

    Raises:
        InputError: there are fewer parts than shards.
    """
    found = split(work, shards)
    lengths = [work.seconds(shard) for shard in found]
    lines = [
        f"shard {number}/{shards}: {_time(length)}, {_content(shard)}"
        for number, (shard, length) in enumerate(zip(found, lengths, strict=True), start=1)
    ]
    alone = work.seconds(work.parts)
    lines.append(
        f"{counted(shards, 'shard')}: {_time(max(lengths))}; in one process {_time(alone)}, "
        f"{alone / max(lengths):.2f} times as long"
    )
    return [*lines, *known(work)]


def known(work: Work) -> list[str]:
    """Say what the prediction does not rest on."""
    if work.process_s is None and work.guessed == work.benchmarks():
        return [
            "no times are known, so each benchmark counts as one second, and each loading too: "
            "give a run's with --times"
        ]
    if work.guessed:
        return [
            f"{counted(work.guessed, 'benchmark')} of {work.benchmarks()} are not in those times, "
            "and count as the middle one of their function"
        ]
    return []


def _content(shard: Sequence[Part]) -> str:
    benchmarks = sum(len(part.members) for part in shard)
    loaded = frozenset[str]().union(*(part.checkpoints for part in shard))
    loading = f", loads {', '.join(sorted(loaded))}" if loaded else ", loads nothing itself"
    return counted(benchmarks, "benchmark") + loading


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
