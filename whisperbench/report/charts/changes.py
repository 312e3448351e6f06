"""What changed: the growth of each figure against its base, with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whisperbench.errors import printable
from whisperbench.report.charts.chart import (
    HOVER,
    Chart,
    Specification,
    Table,
    Values,
    hovering,
    quantity,
    specified,
    told_apart,
)
from whisperbench.report.charts.theme import colour
from whisperbench.report.pull_request import WORST
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

_MOST_GROWTH = 3.0
"""A growth beyond which a point stands at the edge, as a share: 300 %."""


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
        title="What changed",
        alt=_alt(order),
        specification=_specification(values),
        table=table_of(order),
        notes=tuple(_notes(len(order), drawn)),
    )


def in_order(judged: Sequence[Judged]) -> list[Judged]:
    """Return what is not just as it was, the worst first."""
    return sorted(
        (each for each in judged if each.verdict.verdict != "ok" or each.verdict.change),
        key=lambda each: (WORST.index(each.verdict.verdict), -abs(each.verdict.change or 0.0)),
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
    return f"{100 * low:+.1f} % to {100 * high:+.1f} %"


def _percent(share: float) -> float:
    return 100 * max(-_MOST_GROWTH, min(share, _MOST_GROWTH))


def _values(drawn: Sequence[Judged]) -> Iterator[Values]:
    labels = told_apart(
        [
            [
                f"{each.cell.precision} {each.verdict.metric}",
                f"{each.cell.precision} {each.benchmark} {each.verdict.metric}",
                f"{name_of(each.cell)} {each.benchmark} {each.verdict.metric}",
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
            "percent": _percent(verdict.change or 0.0),
            "low": _percent(low),
            "high": _percent(high),
            "hover": HOVER + printable(said).strip(),
        }


def _specification(values: Sequence[Values]) -> Specification:
    said = {row["verdict"] for row in values}
    verdicts = [each for each in _COLOURS if each in said]
    scale = {"domain": verdicts, "range": [colour(_COLOURS[each][0]) for each in verdicts]}
    shapes = {"domain": verdicts, "range": [_COLOURS[each][1] for each in verdicts]}
    y = {"field": "row", "type": "nominal", "title": None, "sort": None}
    axis = "growth against the base, % (to the right is more)"
    by_verdict = {
        "field": "verdict",
        "type": "nominal",
        "scale": scale,
        "legend": {"symbolOpacity": 1},
    }
    return specified(
        {
            "layer": [
                {
                    "mark": {"type": "rule", "color": colour("soft")},
                    "encoding": {"x": {"datum": 0}},
                },
                {
                    "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.55},
                    "encoding": {
                        "x": quantity("low", axis),
                        "x2": {"field": "high"},
                        "y": y,
                        "color": by_verdict,
                    },
                },
                {
                    "mark": {"type": "point", "size": 80},
                    "encoding": {
                        "x": quantity("percent", axis),
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
    if any(abs(each.verdict.change or 0.0) > _MOST_GROWTH for each in drawn):
        yield "A point at the edge grew by 300 % or more."
    if found > len(drawn):
        yield f"{found - len(drawn)} further figures stand in the table alone."
