"""What a soak keeps of its calls: the bounds of its slopes, and the series that can be drawn."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from whisperbench.results.scalars import Amount, Figure, Line, Positive


class Creep(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """How fast one figure of a soak grew, with the bounds of 99 in 100 such soaks."""

    metric: Line
    value: Figure
    low: Figure
    high: Figure


MOST_CALLS = 200
"""Calls that a file may hold of a soak: they are there to be drawn."""

SoakLevel = Literal["malloc", "host", "resident", "allocated", "reserved", "process", "device"]
"""What memory of a soak is of: what malloc has given out; the process on the host, without what
malloc holds free; the same with it; torch's tensors; torch's cache with them; the process on the
device; and the device's growth over its idle level."""


class SoakCourse(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What was read after each call, or after each of some, evenly chosen, where there are many."""

    call: Annotated[tuple[Positive, ...], msgspec.Meta(max_length=MOST_CALLS)]
    """Number of the call, from 1 on."""
    wall_ms: Annotated[tuple[Amount, ...], msgspec.Meta(max_length=MOST_CALLS)]
    cpu_ms: Annotated[tuple[Amount, ...], msgspec.Meta(max_length=MOST_CALLS)]
    """CPU time of all threads of the process."""
    held_mib: dict[SoakLevel, Annotated[tuple[Figure, ...], msgspec.Meta(max_length=MOST_CALLS)]]

    def __post_init__(self) -> None:
        """Refuse readings without a call and calls without a reading."""
        lengths = map(len, (self.wall_ms, self.cpu_ms, *self.held_mib.values()))
        if any(length != len(self.call) for length in lengths):
            raise ValueError("the course of a soak has other calls than readings")
