"""What a cell holds of memory over time, phase by phase."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from whisperbench.errors import printable
from whisperbench.report.charts.chart import (
    HOVER,
    Chart,
    Specification,
    Table,
    Values,
    coloured,
    hovering,
    of_kind,
    panels,
    quantity,
    shown,
    titled,
)
from whisperbench.report.charts.theme import colour, colours_of
from whisperbench.results.passes import MemoryCourse, MemoryPhase, MemoryResult
from whisperbench.results.records import Measurement
from whisperbench.units import format_figure, format_seconds

MOST_CELLS = 6
"""Cells that are drawn, one under the other."""

MOST_READINGS = 100
"""Readings of each that are drawn, the highest of as many neighbours as there are too many."""

HEIGHT = 110
"""Pixels of each."""

_LABELLED = 0.08
"""Share of the time from which a phase has room for its name."""

_SHORT = {"first call": "first", "steady call": "steady"}


def memory_course(name: str, place: str, rows: Sequence[Measurement]) -> Chart | None:
    """Draw memory over time of cells of one place; None where no file says it.

    Args:
        name: of the chart.
        place: the model, clip and batch size, for the title.
        rows: what memory passes have found.
    """
    found = [
        (row, row.found.course)
        for row in rows
        if isinstance(row.found, MemoryResult) and row.found.course is not None
    ]
    drawn = found[:MOST_CELLS]
    if not drawn:
        return None
    precisions = [row.cell.precision for row, _ in drawn]
    whole_s = max(course.at_s[-1] for _, course in drawn if course.at_s)
    values = [each for row, course in drawn for each in _values(row, course, whole_s)]
    notes = [
        "Each reading is the highest of its span. A dashed line is the limit of the precision."
    ]
    if any(course.of == "device" for _, course in drawn):
        notes.append("Where a process's own figure is hidden, it is the growth of the device's.")
    if len(found) > len(drawn):
        notes.append(f"{len(found) - len(drawn)} more stand in the table alone.")
    return Chart(
        name=name,
        title=titled("Memory over time", place),
        alt=_alt(place, drawn),
        specification=_specification(values, precisions),
        table=_table(found),
        notes=tuple(notes),
    )


def _highest(course: MemoryCourse, phase: MemoryPhase) -> float | None:
    held = [
        mib
        for at_s, mib in zip(course.at_s, course.held_mib, strict=True)
        if phase.start_s <= at_s <= phase.end_s
    ]
    return max(held, default=None)


def _values(row: Measurement, course: MemoryCourse, whole_s: float) -> Iterator[Values]:
    cell = {"precision": shown(row.cell.precision)}
    for at, phase in enumerate(course.phases):
        most = _highest(course, phase)
        held = "" if most is None else f", at most {format_figure(most)} MiB"
        lasts_s = phase.end_s - phase.start_s
        said = f"{cell['precision']}, {printable(phase.name)}: {format_seconds(lasts_s)}{held}"
        yield {
            **cell,
            "kind": "phase",
            "from": phase.start_s,
            "to": phase.end_s,
            "shade": 0.75 if at % 2 else 0.25,
            "hover": HOVER + said,
        }
        if lasts_s > _LABELLED * whole_s:
            label = _SHORT.get(phase.name, shown(phase.name))
            yield {
                **cell,
                "kind": "name",
                "from": (phase.start_s + phase.end_s) / 2,
                "label": label,
            }
    step = ceil(len(course.at_s) / MOST_READINGS)
    for at in range(0, len(course.at_s), step):
        ends_s, held_mib = course.at_s[at : at + step][-1], max(course.held_mib[at : at + step])
        yield {**cell, "kind": "held", "at": ends_s, "mib": held_mib}
    limits = [
        each.limit
        for each in row.verdicts
        if each.limit is not None and each.metric == f"peak_{course.of}_mib"
    ]
    for limit in limits[:1]:
        said = f"{cell['precision']}: limit {format_figure(limit)} MiB"
        yield {**cell, "kind": "limit", "mib": limit, "hover": HOVER + said}


def _specification(values: Sequence[Values], precisions: Sequence[str]) -> Specification:
    time, held = "seconds from the process's start", "MiB"
    order = [shown(each) for each in precisions]
    by_precision = coloured(
        "precision", dict(zip(order, colours_of(precisions).values(), strict=True))
    )
    y = quantity("mib", held, axis={"tickCount": 3})
    shade = {"field": "shade", "type": "quantitative", "scale": None, "legend": None}
    layers = [
        of_kind(
            "phase",
            {"type": "rect", "color": colour("line")},
            {
                "x": quantity("from", time),
                "x2": {"field": "to"},
                "opacity": shade,
                "description": hovering(),
            },
        ),
        of_kind(
            "held",
            {"type": "line", "interpolate": "step-before", "strokeWidth": 2},
            {"x": quantity("at", time), "y": y, "color": by_precision},
        ),
        of_kind(
            "limit",
            {"type": "rule", "strokeDash": [5, 3], "strokeWidth": 2},
            {"y": y, "color": by_precision, "description": hovering()},
        ),
        of_kind(
            "name",
            {"type": "text", "baseline": "top", "fontSize": 11},
            {"x": quantity("from", time), "y": {"value": 2}, "text": {"field": "label"}},
        ),
    ]
    return panels({"layer": layers}, values, field="precision", order=order, height=HEIGHT)


def _table(found: Sequence[tuple[Measurement, MemoryCourse]]) -> Table:
    names = list(dict.fromkeys(phase.name for _, course in found for phase in course.phases))
    rows = []
    for row, course in found:
        own = {phase.name: phase for phase in course.phases}
        texts = []
        for name in names:
            most = _highest(course, own[name]) if name in own else None
            took = format_seconds(own[name].end_s - own[name].start_s) if name in own else ""
            texts.append(f"{format_figure(most)} MiB in {took}" if most is not None else took)
        rows.append((printable(row.cell.precision), *texts))
    return Table(headings=("precision", *map(printable, names)), rows=tuple(rows))


def _alt(place: str, drawn: Sequence[tuple[Measurement, MemoryCourse]]) -> str:
    said = "; ".join(
        f"{row.cell.precision} holds at most {format_figure(max(course.held_mib))} MiB"
        for row, course in drawn
        if course.held_mib
    )
    return printable(
        f"A line for each precision of {place}: the memory it holds from its process's start on, "
        f"with its phases shaded. {said}."
    )
