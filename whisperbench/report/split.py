"""The split of a run as text: what each shard has, and what it is predicted to take."""

from __future__ import annotations

from collections.abc import Sequence

from whisperbench.asked.shards import Part, Work, split
from whisperbench.units import counted


def describe_split(work: Work, shards: int) -> list[str]:
    """Write a split, a line a shard, and what it gains, where times are known that predict it.

    Raises:
        InputError: there are fewer parts than shards.
    """
    found = split(work, shards)
    if not work.has_times:
        lines = [
            f"shard {number}/{shards}: {_content(shard)}"
            for number, shard in enumerate(found, start=1)
        ]
        return [*lines, *known(work)]
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
    """Say what the prediction rests on, and what it does not."""
    if not work.has_times:
        return [
            "no times are known, so none can be predicted: all benchmarks count alike, and loading "
            "a model counts as one. whisperbench record makes a baseline of this device, which "
            "has times; --times RUN.json names another file"
        ]
    lines = [f"the times are of {work.source}, this device's baseline"] if work.source else []
    if work.guessed:
        lines.append(
            f"{counted(work.guessed, 'benchmark')} of {work.benchmarks()} are not in those times, "
            "and count as the middle one of their function"
        )
    return lines


def _content(shard: Sequence[Part]) -> str:
    benchmarks = sum(len(part.members) for part in shard)
    loaded = frozenset[str]().union(*(part.checkpoints for part in shard))
    loading = f", loads {', '.join(sorted(loaded))}" if loaded else ", loads nothing itself"
    return counted(benchmarks, "benchmark") + loading


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
