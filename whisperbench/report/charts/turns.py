"""Pairs of base and head in turns: each pair's growth, and what every look said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whisperbench.errors import printable
from whisperbench.judge.pairs import Course
from whisperbench.judge.rules import signed
from whisperbench.report.charts.chart import (
    HOVER,
    Chart,
    Specification,
    Table,
    Values,
    at_zero,
    coloured,
    hovering,
    of_kind,
    panels,
    quantity,
    told_apart,
)
from whisperbench.report.charts.theme import colour
from whisperbench.report.pull_request import WORST
from whisperbench.results.records import name_of
from whisperbench.units import counted

MOST_FIGURES = 6
"""Figures that are drawn, the worst first; the table has all of them."""

HEIGHT = 100
"""Pixels of each."""

_TICK = {"type": "tick", "orient": "horizontal", "thickness": 2, "opacity": 1}

_COLOURS = {
    "regressed": colour("bad"),
    "improved": colour("good"),
    "ok": colour("fp16"),
    "undecided": colour("fp32"),
}
"""What a look can come to."""


def turns(name: str, courses: Sequence[Course]) -> Chart | None:
    """Draw the pairs of a comparison in turns; None where no figure was decided by pairs."""
    order = sorted(
        courses,
        key=lambda each: (WORST.index(each.outcome), -abs(_growth(each))),
    )
    drawn = order[:MOST_FIGURES]
    if not drawn:
        return None
    names = _names(drawn)
    values = [
        each for course, text in zip(drawn, names, strict=True) for each in _values(course, text)
    ]
    notes = [
        "A point is a pair of processes. A bar is what the pairs so far say at a look: the growth "
        "lies within it, for all figures together, at every look.",
        "A figure has regressed where the bar is above zero, and is ok where the short line, the "
        "bound for this figure alone, is below the dashed tolerance.",
    ]
    if len(order) > len(drawn):
        notes.append(
            f"{counted(len(order) - len(drawn), 'further figure')} stand in the table alone."
        )
    return Chart(
        name=name,
        title="Growth of the head over the base, pair by pair",
        alt=_alt(order),
        specification=_specification(values, names, max(len(course.growths) for course in drawn)),
        table=_table(order),
        notes=tuple(notes),
    )


def _growth(course: Course) -> float:
    return course.looks[-1].decision.growth if course.looks else 0.0


def _names(courses: Sequence[Course]) -> list[str]:
    return told_apart(
        [
            [
                f"{each.benchmark} {each.cell.precision}: {each.outcome}",
                f"{each.benchmark} {name_of(each.cell)}: {each.outcome}",
                f"{each.benchmark} {name_of(each.cell, with_clip=True)}: {each.outcome}",
            ]
            for each in courses
        ],
        most=56,
    )


def _values(course: Course, row: str) -> Iterator[Values]:
    """Yield pairs, looks and the tolerance, none of them far outside what the pairs span."""
    least, most = min([*course.growths, 0.0]), max([*course.growths, course.tolerance])
    room = 0.6 * (most - least)
    low, high = least - room, most + room

    def percent(share: float) -> float:
        return 100 * max(low, min(share, high))

    for number, growth in enumerate(course.growths, start=1):
        said = f"{row}: pair {number}: {growth:+.1%}"
        yield {
            "row": row,
            "kind": "pair",
            "pair": number,
            "percent": percent(growth),
            "hover": HOVER + said,
        }
    for look in course.looks:
        found = look.decision
        bounds = f"between {found.low:+.1%} and {signed(found.high)}"
        after = f"after {counted(look.pairs, 'pair')}: {found.growth:+.1%}, {bounds}"
        said = f"{row}: {after}: {found.outcome}"
        at = look.pairs + 0.25
        yield {
            "row": row,
            "kind": "look",
            "pair": at,
            "low": percent(found.low),
            "high": percent(found.high),
            "outcome": found.outcome,
            "hover": HOVER + said,
        }
        yield {
            "row": row,
            "kind": "mean",
            "pair": at,
            "percent": percent(found.growth),
            "outcome": found.outcome,
        }
        if found.at_most < high:
            yield {
                "row": row,
                "kind": "bound",
                "pair": at,
                "percent": percent(found.at_most),
                "outcome": found.outcome,
            }
    yield {
        "row": row,
        "kind": "tolerance",
        "percent": 100 * course.tolerance,
        "hover": f"{HOVER}tolerance: {course.tolerance:+.1%}",
    }


def _specification(values: Sequence[Values], rows: Sequence[str], most: int) -> Specification:
    by_outcome = coloured("outcome", _COLOURS)
    x = quantity(
        "pair",
        "pairs of processes",
        scale={"domain": [0.5, most + 0.75], "nice": False},
        axis={"tickMinStep": 1, "grid": False},
    )
    y = quantity("percent", "growth, %", axis={"tickCount": 4})
    low = quantity("low", "growth, %")
    at_look = {"x": x, "y": y, "color": by_outcome}
    layers = [
        of_kind(
            "tolerance",
            {"type": "rule", "strokeDash": [5, 3], "color": colour("bad")},
            {"y": y, "description": hovering()},
        ),
        at_zero("y"),
        of_kind(
            "look",
            {"type": "rule", "strokeWidth": 6, "opacity": 0.45},
            {**at_look, "y": low, "y2": {"field": "high"}, "description": hovering()},
        ),
        of_kind("mean", {**_TICK, "width": 12}, at_look),
        of_kind("bound", {**_TICK, "width": 8}, at_look),
        of_kind(
            "pair",
            {"type": "point", "size": 45, "color": colour("ink")},
            {"x": x, "y": y, "description": hovering()},
        ),
    ]
    return panels({"layer": layers}, values, field="row", order=rows, height=HEIGHT, own="y")


def _table(order: Sequence[Course]) -> Table:
    rows = []
    for each in order:
        last = each.looks[-1].decision if each.looks else None
        rows.append(
            (
                printable(f"{each.benchmark}, {name_of(each.cell, with_clip=True)}"),
                each.outcome,
                str(len(each.growths)),
                "" if last is None else f"{last.growth:+.1%}",
                "" if last is None else f"{last.low:+.1%} to {signed(last.high)}",
                f"{each.tolerance:.1%}",
                " ".join(f"{growth:+.1%}" for growth in each.growths),
            )
        )
    headings = ("figure", "verdict", "pairs", "growth", "interval", "tolerance", "each pair")
    return Table(headings=headings, rows=tuple(rows))


def _alt(order: Sequence[Course]) -> str:
    said = "; ".join(
        f"{each.benchmark} of {name_of(each.cell)} is {each.outcome} after "
        f"{counted(each.looks[-1].pairs if each.looks else len(each.growths), 'pair')}, "
        f"{_growth(each):+.1%}"
        for each in order[:MOST_FIGURES]
    )
    return printable(f"A panel for each figure of wall time, with a point for each pair: {said}.")
