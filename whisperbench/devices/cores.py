"""The host's cores: which CPUs are one, and which each card can have for itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from whisperbench.devices.usable import ROOT
from whisperbench.errors import DeviceError
from whisperbench.units import counted


def physical_cores(usable: frozenset[int], root: Path = ROOT) -> list[frozenset[int]]:
    """Return the CPUs that a process may use, those of one physical core together, in order.

    Args:
        usable: numbers of the CPUs.
        root: of the file system that tells; tests have their own.
    """
    found: dict[frozenset[int], None] = {}
    for cpu in sorted(usable):
        path = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        try:
            siblings = frozenset(_numbers(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            siblings = frozenset({cpu})
        found[(siblings | {cpu}) & usable] = None
    return list(found)


def _numbers(text: str) -> Iterator[int]:
    """Yield the numbers of a list such as "0-3,8"."""
    for part in text.strip().split(","):
        low, _, high = part.partition("-")
        yield from range(int(low), int(high or low) + 1)


def own_cores(
    near: Sequence[frozenset[int]], cores: Sequence[frozenset[int]]
) -> list[frozenset[int]]:
    """Give each card cores of its own, as many as each other card has, near it where that is known.

    Equal numbers, because a process takes as many threads as it has cores, and the shards of one
    run must be alike.

    Args:
        near: for each card the CPUs near it; none where that is unknown.
        cores: physical cores, each as its CPUs.

    Returns:
        For each card its CPUs.

    Raises:
        DeviceError: there are fewer cores than cards.
    """
    every = frozenset[int]().union(*cores)
    pools = [(each & every) or every for each in near]
    distinct = set(pools)
    if sum(map(len, distinct)) > len(frozenset[int]().union(*distinct)):
        pools = [every] * len(near)  # they overlap, and would be handed out twice
    chosen: list[list[frozenset[int]]] = [[] for _ in near]
    shares: list[int] = []
    for pool in dict.fromkeys(pools):
        own = [core for core in cores if core <= pool]
        members = [place for place, each in enumerate(pools) if each == pool]
        share = len(own) // len(members)
        shares.append(share)
        for turn, place in enumerate(members):
            chosen[place] = own[turn * share : (turn + 1) * share]
    fewest = min(shares)
    if not fewest:
        raise DeviceError(
            f"there are fewer cores than GPUs: {counted(len(cores), 'core')} may be used for "
            f"{counted(len(near), 'GPU')}; name fewer with --gpus"
        )
    return [frozenset[int]().union(*own[:fewest]) for own in chosen]
