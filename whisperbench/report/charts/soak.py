"""What memory grows by over the calls of a soak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
from whisperbench.report.charts.theme import colour
from whisperbench.results.metrics import METRICS, made_by
from whisperbench.results.passes import SoakResult
from whisperbench.results.records import Measurement
from whisperbench.results.soak_course import SoakCourse, SoakLevel
from whisperbench.units import format_figure

MOST_CELLS = 6
"""Cells that are drawn, one under the other."""

HEIGHT = 120
"""Pixels of each."""

LEVELS: Mapping[SoakLevel, tuple[str, str]] = {
    "host": ("process on the host", "fp16"),
    "malloc": ("given out by malloc", "other-1"),
    "allocated": ("tensors", "bf16"),
    "reserved": ("torch", "int8"),
    "process": ("process on the device", "nf4"),
    "device": ("device", "fp32"),
}
"""What is drawn, with its name and the name of its colour. The whole resident set is not: what
malloc keeps free makes it jump by more than all others grow."""


def soak_course(name: str, place: str, rows: Sequence[Measurement]) -> Chart | None:
    """Draw what memory of cells of one place grew by, call by call; None where no file says it.

    Args:
        name: of the chart.
        place: the model, clip and batch size, for the title.
        rows: what soaks have found.
    """
    found = [
        (row, row.found, row.found.course)
        for row in rows
        if isinstance(row.found, SoakResult) and row.found.course is not None
    ]
    drawn = found[:MOST_CELLS]
    if not drawn:
        return None
    values = [each for row, soak, course in drawn for each in _values(row, soak, course)]
    notes = ["Growth is taken over the first call. No slope is taken of the calls in grey."]
    if len(found) > len(drawn):
        notes.append(f"{len(found) - len(drawn)} more stand in the table alone.")
    return Chart(
        name=name,
        title=titled("Memory over many calls", place),
        alt=_alt(place, [row for row, *_ in drawn]),
        specification=_specification(values, [row.cell.precision for row, *_ in drawn]),
        table=_table([row for row, *_ in found]),
        notes=tuple(notes),
    )


def _values(row: Measurement, soak: SoakResult, course: SoakCourse) -> Iterator[Values]:
    precision = shown(row.cell.precision)
    said = f"{precision}: the first {soak.left_out} of {soak.calls} calls"
    yield {
        "precision": precision,
        "kind": "left out",
        "call": 1,
        "to": soak.left_out + 0.5,
        "hover": HOVER + said,
    }
    for level, (label, _) in LEVELS.items():
        held = course.held_mib.get(level, ())
        for call, each in zip(course.call, held, strict=False):
            grown = round(each - held[0], 4)
            yield {
                "precision": precision,
                "kind": "held",
                "level": label,
                "call": call,
                "mib": grown,
            }


def _specification(values: Sequence[Values], precisions: Sequence[str]) -> Specification:
    call, grown = "calls", "growth, MiB"
    known = {str(each["level"]) for each in values if "level" in each}
    colours = {label: colour(name) for label, name in LEVELS.values() if label in known}
    layers = [
        of_kind(
            "left out",
            {"type": "rect", "color": colour("line"), "opacity": 0.5},
            {"x": quantity("call", call), "x2": {"field": "to"}, "description": hovering()},
        ),
        of_kind(
            "held",
            {"type": "line", "strokeWidth": 2},
            {
                "x": quantity("call", call),
                "y": quantity("mib", grown, axis={"tickCount": 3}),
                "color": coloured("level", colours, legend=True),
            },
        ),
    ]
    order = [shown(each) for each in precisions]
    return panels({"layer": layers}, values, field="precision", order=order, height=HEIGHT, own="y")


def _table(rows: Sequence[Measurement]) -> Table:
    metrics = [
        each for each in made_by("soak") if any(row.metric(each.name) is not None for row in rows)
    ]
    headings = ("precision", *(_heading(each.name) for each in metrics))
    lines = []
    for row in rows:
        found = [row.metric(each.name) for each in metrics]
        texts = ("" if each is None else format_figure(max(each.figures)) for each in found)
        lines.append((printable(row.cell.precision), *texts))
    return Table(headings=headings, rows=tuple(lines))


def _heading(metric: str) -> str:
    row = METRICS[metric]
    return f"{row.headings['soak']}, {row.unit}".removesuffix(", 1")


def _alt(place: str, rows: Sequence[Measurement]) -> str:
    said = []
    for row in rows:
        slopes = {
            METRICS[each.name].headings["soak"]: max(each.figures)
            for each in row.metrics
            if each.name in METRICS and each.unit == METRICS[each.name].unit == "KiB/call"
        }
        if slopes:
            named = max(slopes, key=lambda heading: slopes[heading])
            said.append(
                f"{row.cell.precision} grows by at most {format_figure(slopes[named])} KiB a call "
                f"({named})"
            )
    return printable(
        f"Lines for each precision of {place}: what its memory grew by over the calls of a soak. "
        f"{'; '.join(said) or 'No slope was taken'}."
    )
