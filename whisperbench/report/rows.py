"""The measurements of a pass, table by table, with what the pass has found beside their figures."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

from whisperbench.results.metrics import METRICS
from whisperbench.results.passes import Found
from whisperbench.results.records import Cell, Measurement, Place, Run

FoundT = TypeVar("FoundT", bound=Found)


@dataclass(frozen=True)
class Row(Generic[FoundT]):
    """A measurement of one pass."""

    measurement: Measurement
    found: FoundT

    @property
    def cell(self) -> Cell:
        """What was measured."""
        return self.measurement.cell

    def value(self, metric: str) -> float | None:
        """Return a figure, of several the middle one; None where it was not measured.

        Raises:
            KeyError: there is no such metric.
        """
        METRICS[metric]  # a report that asks for what is not there must not pass for one of nothing
        found = self.measurement.metric(metric)
        return median(found.figures) if found is not None else None


def rows_of(run: Run, kind: type[FoundT]) -> list[Row[FoundT]]:
    """Return the measurements of a pass."""
    return [Row(row, row.found) for row in run.measurements if isinstance(row.found, kind)]


def by_place(run: Run, kind: type[FoundT]) -> dict[Place, list[Row[FoundT]]]:
    """Return the measurements of a pass by what those of one table have in common."""
    places: dict[Place, list[Row[FoundT]]] = {}
    for row in rows_of(run, kind):
        places.setdefault(row.cell.place, []).append(row)
    return places
