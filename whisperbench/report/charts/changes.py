"""What changed: the growth of each figure against its base, with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whisperbench.errors import printable
from whisperbench.judge.rules import signed
from whisperbench.report.charts.chart import (
    HOVER,
    Chart,
    Specification,
    Table,
    Values,
    at_zero,
    category,
    coloured,
    hovering,
    quantity,
    specified,
    told_apart,
)
from whisperbench.report.charts.theme import colour
from whisperbench.report.pull_request import worst_first
from whisperbench.report.verdicts import where
from whisperbench.results.records import Judged, Judgement, name_of

MOST_ROWS = 24
"""Figures that are drawn, the worst first; the table has all of them."""

ROW = 24
"""Pixels of a figure."""

_COLOURS: dict[Judgement, tuple[str, str]] = {
    "regressed": ("bad", "diamond"),
    "over-limit": ("bad", "square"),
    "improved": ("good", "triangle-up"),
    "inconclusive": ("int8-t0", "circle"),
    "ok": ("fp32", "circle"),
}
"""The colour and the shape of each verdict that has a growth."""

_EDGE = (0.1, 3.0)
"""Shares at which a picture ends at least and at most: what lies beyond stands at its edge."""


def changes(name: str, judged: Sequence[Judged]) -> Chart | None:
    """Draw the growth of what was judged; None where nothing has one that is not nought."""
    order = [
        each
        for each in in_order(judged)
        if each.verdict.change and each.verdict.verdict in _COLOURS
    ]
    if not order:
        return None
    drawn = order[:MOST_ROWS]
    values = list(_values(drawn))
    return Chart(
        name=name,
        title="Growth of each figure against the base",
        alt=_alt(order),
        specification=_specification(values),
        table=table_of(order),
        notes=tuple(_notes(len(order), drawn)),
    )


def in_order(judged: Sequence[Judged]) -> list[Judged]:
    """Return what is not just as it was, the worst first."""
    return worst_first(
        each for each in judged if each.verdict.verdict != "ok" or each.verdict.change
    )


def table_of(judged: Sequence[Judged]) -> Table:
    """Return verdicts as a table, each with the sentence that names its causes."""
    rows = tuple(
        (
            each.verdict.verdict,
            printable(where(each)),
            printable(each.verdict.metric),
            "" if each.verdict.change is None else f"{100 * each.verdict.change:+.2f} %",
            _interval(each),
            printable(each.verdict.sentence),
        )
        for each in judged
    )
    return Table(headings=("verdict", "where", "figure", "growth", "interval", "why"), rows=rows)


def _interval(each: Judged) -> str:
    if each.verdict.interval is None:
        return ""
    low, high = each.verdict.interval
    return f"{signed(low)} to {signed(high)}"


def _what(each: Judged) -> str:
    """Name a figure: a time by its benchmark, and others by their own names."""
    return each.benchmark if each.verdict.metric == "latency_s" else each.verdict.metric


def _edge(drawn: Sequence[Judged]) -> float:
    """Return where the picture ends, as a share: intervals may be far wider than the growths."""
    least, most = _EDGE
    return min(most, max(least, 1.5 * max(abs(each.verdict.change or 0.0) for each in drawn)))


def _values(drawn: Sequence[Judged]) -> Iterator[Values]:
    edge = _edge(drawn)

    def percent(share: float) -> float:
        return 100 * max(-edge, min(share, edge))

    labels = told_apart(
        [
            [
                f"{_what(each)}, {each.cell.precision}",
                f"{_what(each)}, {name_of(each.cell)}",
                f"{_what(each)}, {name_of(each.cell, with_clip=True)}",
            ]
            for each in drawn
        ],
        most=36,
    )
    for each, label in zip(drawn, labels, strict=True):
        verdict = each.verdict
        low, high = verdict.interval or (verdict.change or 0.0, verdict.change or 0.0)
        growth = f"{100 * (verdict.change or 0.0):+.2f} %"
        said = f"{verdict.verdict}: {where(each)}: {verdict.metric} {growth} {_interval(each)}"
        yield {
            "row": label,
            "verdict": verdict.verdict,
            "percent": percent(verdict.change or 0.0),
            "low": percent(low),
            "high": percent(high),
            "hover": HOVER + printable(said).strip(),
        }


def _specification(values: Sequence[Values]) -> Specification:
    said = {row["verdict"] for row in values}
    verdicts = [each for each in _COLOURS if each in said]
    colours = {str(each): colour(_COLOURS[each][0]) for each in verdicts}
    shapes = {"domain": verdicts, "range": [_COLOURS[each][1] for each in verdicts]}
    by_verdict = coloured("verdict", colours, legend=True)
    y = category("row")
    axis = "growth against the base, % (to the right is more)"
    scale = {"padding": 10}
    return specified(
        {
            "layer": [
                at_zero("x"),
                {
                    "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.55},
                    "encoding": {
                        "x": quantity("low", axis, scale=scale),
                        "x2": {"field": "high"},
                        "y": y,
                        "color": by_verdict,
                    },
                },
                {
                    "mark": {"type": "point", "size": 80},
                    "encoding": {
                        "x": quantity("percent", axis, scale=scale),
                        "y": y,
                        "color": by_verdict,
                        "shape": {"field": "verdict", "type": "nominal", "scale": shapes},
                        "description": hovering(),
                    },
                },
            ]
        },
        values,
        height=90 + ROW * len(values),
    )


def _alt(order: Sequence[Judged]) -> str:
    said = "; ".join(
        f"{each.verdict.metric} of {name_of(each.cell)} ({each.verdict.verdict}), "
        f"{100 * (each.verdict.change or 0.0):+.1f} %"
        for each in order[:3]
    )
    return printable(
        f"A point for each figure that grew or shrank, at its growth against the base, with its "
        f"interval where there is one. The first are: {said}."
    )


def _notes(found: int, drawn: Sequence[Judged]) -> Iterator[str]:
    if any(each.verdict.interval is not None for each in drawn):
        yield "A bar is the interval that the growth lies in; a point without one is exact."
    reached = [*(each.verdict.interval or (each.verdict.change or 0.0,) for each in drawn)]
    if any(abs(share) > _edge(drawn) for shares in reached for share in shares):
        yield "What reaches an edge of the picture goes beyond it."
    if found > len(drawn):
        yield f"{found - len(drawn)} further figures stand in the table alone."
