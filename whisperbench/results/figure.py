"""One figure of a cell: its value, and what the rule that judges it needs to know."""

from __future__ import annotations

import math
from statistics import median
from typing import Literal

import msgspec

from whisperbench.results.kinds import Kind
from whisperbench.results.scalars import Figure, Line


class Metric(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One figure of a cell: a value, the samples it was taken from, or one of each process."""

    name: Line
    """With its unit at the end, as in `latency_s`, unless it is a plain ratio or a count."""
    unit: Line
    kind: Kind
    """How noisy it is, and so which rule judges it."""
    better: Literal["lower", "higher"]
    value: Figure | None = None
    samples: tuple[Figure, ...] | None = None
    """Of each round; the figure is their median."""
    processes: tuple[Figure, ...] | None = None
    """In a baseline of several processes: the figure of each."""
    derived: bool = False
    """Whether it is another figure of the cell, divided by something: that one is judged."""
    conditions: dict[Line, Line] = {}
    """What must be equal, beside the cell, before it is compared, by names of `CONDITIONS`
    (results/metric_row.py). A figure without any is the program's own and compares everywhere."""

    def __post_init__(self) -> None:
        """Refuse a metric that says nothing, says it twice, or is not finite."""
        said = [part for part in (self.value, self.samples, self.processes) if part is not None]
        if len(said) != 1 or said == [()]:
            raise ValueError(f"metric {self.name}: needs a value or samples, and not both")
        if not all(math.isfinite(figure) for figure in self.samples or self.figures):
            raise ValueError(f"metric {self.name}: holds a figure that is not finite")

    @property
    def figures(self) -> tuple[float, ...]:
        """The figure of each process, which is the median of its samples where it has any."""
        if self.processes is not None:
            return self.processes
        return (median(self.samples) if self.samples else self.value or 0.0,)
