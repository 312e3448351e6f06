"""What a row of the registry of metrics says, and the names that its parts are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from whisperbench.results.kinds import KINDS, Kind

Pass = Literal["latency", "startup", "memory", "cost", "quality", "numerics", "soak"]
"""A way of running a cell; each has a result type in results/passes.py."""

Stage = Literal["encoder", "decode"]
STAGES: tuple[Stage, ...] = ("encoder", "decode")
"""Stages of a cost: the encoder, and all the rest of `generate()`."""

PeakPhase = Literal["", "load", "first call", "steady call"]
"""A phase of the memory pass that has peaks of its own; "" is the whole pass."""

PEAK_PHASES: Mapping[PeakPhase, str] = {
    "load": "load",
    "first call": "first",
    "steady call": "steady",
}
"""The phases, and what stands over their columns."""

Level = Literal["allocated", "reserved", "process", "device"]
LEVELS: tuple[Level, ...] = ("allocated", "reserved", "process", "device")
"""What a peak is of: torch's tensors, torch's cache with them, the process, and the device's growth
over its idle level."""

CONDITIONS = ("device", "instruction set", "python", "normalizer")
"""What figures can depend on beside their cell: the device's key, the CPU's instruction set,
Python's minor version, and what words go through before they are compared."""

COPY_DIRECTIONS = ("htod", "dtoh", "dtod", "ptop", "htoh", "other")
"""Which way a copy goes: from host or device to host or device, from one GPU to another, or as no
program of ours does."""


@dataclass(frozen=True, kw_only=True)
class MadeOf:
    """Which parts of a cost make a count up: they are named as the causes of a change."""

    kind: Literal["op", "kernel", "copy", "memset", "sync", "graph", "allocation", "call"]
    prefix: str = ""
    """Of their names."""
    without: str | None = None
    """What their names do not begin with."""
    name: str | None = None
    """Their whole name."""
    by_time: bool = False
    """Whether their time is summed, and not their count."""

    def includes(self, name: str) -> bool:
        """Whether a part of this kind belongs to it."""
        return (
            name.startswith(self.prefix)
            and (self.without is None or not name.startswith(self.without))
            and self.name in (None, name)
        )


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """What a metric is. The only place that says it."""

    name: str
    """With its unit at the end, as in `latency_s`, unless it is a plain ratio or a count."""
    unit: str
    kind: Kind
    """How noisy it is, and so which rule judges it."""
    made_by: tuple[Pass, ...]
    """The passes that measure it."""
    better: Literal["lower", "higher"] = "lower"
    derived: bool = False
    """Whether it is another figure of its cell, divided by something: that one is judged."""
    can_be_zero: bool = True
    """Whether 0 can be what was measured. Of what cannot, a 0 says that nothing looked."""
    headings: Mapping[Pass, str] = field(default_factory=dict)
    """Its column in the table of a pass, where it has one; what has the same one is summed."""
    digits: str = ""
    """How its column is formatted, as in ".2%"; by default in three digits."""
    made_of: MadeOf | None = None
    """What a change of it is explained by; None where that is not kept."""
    stage: Stage | None = None
    """Of a cost, the stage that it is of."""
    count: str = ""
    """Of a cost, its name within its stage."""
    only_if_seen: bool = False
    """Of a count, whether it is left out where nothing was counted."""
    phase: PeakPhase = ""
    """Of a peak, the phase that it is of."""
    level: Level | None = None
    """Of a peak, what it is a peak of; None of what is no peak."""
    conditions: tuple[str, ...] = ()
    """What must be equal, beside the cell, before it is compared, as far as its pass tells: names
    of `CONDITIONS`. A figure without any is the program's own and compares everywhere."""
    sign: str = ""
    """Of a count of odd clips, the sign that they have."""

    def __post_init__(self) -> None:
        """Take what no kind's rule lets be 0, and refuse an unknown condition."""
        if not set(self.conditions) <= set(CONDITIONS):
            raise ValueError(f"{self.name}: a condition is none of {', '.join(CONDITIONS)}")
        if KINDS[self.kind].positive:
            object.__setattr__(self, "can_be_zero", False)
