"""What a row of the registry of metrics says, and the names that its parts are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from whisperbench.results.kinds import KINDS, Kind

Pass = Literal["latency", "startup", "memory", "cost", "quality", "numerics"]
"""A way of running a cell; each has a result type in results/passes.py."""

Stage = Literal["encoder", "decode"]
STAGES: tuple[Stage, ...] = ("encoder", "decode")
"""Stages of a cost: the encoder, and all the rest of `generate()`."""

PHASES = ("load", "first_call", "steady_call")
"""Phases of the memory pass that have peaks of their own; "" stands for the whole of it."""

LEVELS = ("allocated", "reserved", "process", "device")
"""What a peak is of: torch's tensors, torch's cache with them, the process, and the device's growth
over its idle level."""

COPY_DIRECTIONS = ("htod", "dtoh", "dtod", "ptop", "htoh", "other")
"""Which way a copy goes: from host or device to host or device, from one GPU to another, or as no
program of ours does."""


@dataclass(frozen=True, kw_only=True)
class MadeOf:
    """Which parts of a cost make a count up: they are named as the causes of a change."""

    kind: Literal["op", "kernel", "copy", "memset", "sync", "allocation", "call"]
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
    """Its column in the table of a pass; what has the same one there is summed. None: not shown."""
    made_of: MadeOf | None = None
    """What a change of it is explained by; None where that is not kept."""
    stage: Stage | None = None
    """Of a cost, the stage that it is of,"""
    count: str = ""
    """and its name within that stage."""
    only_if_seen: bool = False
    """Of a count, whether it is left out where nothing was counted."""
    phase: str = ""
    """Of a peak, the phase that it is of."""
    level: str | None = None
    """Of a peak, what it is a peak of."""
    conditions: tuple[str, ...] = ()
    """What must be equal, beside the cell, before it is compared, as far as its pass tells: the
    device, or Python's minor version. A figure without any is the program's own and compares
    everywhere."""
    sign: str = ""
    """Of a count of odd clips, the sign that they have."""

    def __post_init__(self) -> None:
        """Take what no kind's rule lets be 0."""
        if KINDS[self.kind].positive:
            object.__setattr__(self, "can_be_zero", False)
