"""Figures over recordings: a line a figure, with its changes marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whisperbench.errors import printable
from whisperbench.judge.history import Change, History, Series
from whisperbench.report.charts.chart import (
    HOVER,
    Chart,
    Specification,
    Table,
    Values,
    hovering,
    of_kind,
    quantity,
    specified,
    told_apart,
)
from whisperbench.report.charts.theme import SHAPES, colour, colours_of
from whisperbench.report.history import recording_name
from whisperbench.results.kinds import Kind
from whisperbench.results.records import name_of
from whisperbench.units import counted

MOST_LINES = 6
"""Figures that a chart has: those that changed most, and then those that are asked for first."""

_KINDS: tuple[tuple[str, str, tuple[Kind, ...]], ...] = (
    ("history-times", "Times over the recordings", ("wall", "device_time")),
    ("history-memory", "Memory over the recordings", ("memory",)),
    ("history-counts", "Counts and words over the recordings", ("exact", "quality")),
)

_FIRST = ("transcribe", "memory", "quality", "cost")
"""Benchmarks that are asked for first."""


def history_charts(history: History) -> dict[str, Chart]:
    """Draw a history: a chart each of times, memory and counts, as far as there are any."""
    found = (_chart(history, *row) for row in _KINDS)
    return {chart.name: chart for chart in found if chart is not None}


def _chart(history: History, name: str, title: str, kinds: Sequence[Kind]) -> Chart | None:
    """Draw figures of some kinds; None where none has two recordings."""
    most: dict[int, float] = {}
    for change in history.changes:
        share = change.share if change.share is not None else float("inf")
        most[id(change.series)] = max(most.get(id(change.series), 0.0), abs(share))
    known = [
        series
        for series in history.series
        if series.kind in kinds
        and len(series.points) > 1
        and series.points[0].figure
        # A slope is about 0, and no share of it says anything.
        and "creep" not in series.metric
    ]
    if not known:
        return None
    drawn = sorted(known, key=lambda each: (-most.get(id(each), 0.0), _asked(each)))[:MOST_LINES]
    labels = told_apart([_names(each) for each in drawn])
    changes = [change for change in history.changes if any(change.series is one for one in drawn)]
    values = [
        *(
            row
            for series, label in zip(drawn, labels, strict=True)
            for row in _values(history, series, label)
        ),
        *(
            _mark(history, change, labels[[one is change.series for one in drawn].index(True)])
            for change in changes
        ),
    ]
    others = len(known) - len(drawn)
    return Chart(
        name=name,
        title=title,
        alt=_alt(history, drawn, changes),
        specification=specified(_body(values, drawn, labels), values, height=300),
        table=_table(history, drawn),
        notes=(
            "Each line begins at the oldest recording that has the figure, at 0 %.",
            *(("A diamond is where a figure changed.",) if changes else ()),
            *(
                (f"{counted(others, 'other figure')} changed less or not at all.",)
                if others
                else ()
            ),
        ),
    )


def _asked(series: Series) -> int:
    """Return the place of a figure among those that changed alike."""
    known = series.benchmark in _FIRST
    return _FIRST.index(series.benchmark) if known else len(_FIRST)


def _names(series: Series) -> list[str]:
    what = series.benchmark if series.metric == "latency_s" else series.metric
    return [
        f"{what}, {series.cell.precision}",
        f"{what}, {name_of(series.cell)}",
        f"{what}, {name_of(series.cell, with_clip=True)}",
    ]


def _share(series: Series, figure: float) -> float:
    """Return by how much a figure is over that of the oldest recording, in percent."""
    return 100 * (figure / series.points[0].figure - 1)


def _values(history: History, series: Series, label: str) -> Iterator[Values]:
    for point in series.points:
        when = recording_name(history.recordings[point.recording])
        said = f"{label}: {point.figure:.6g} {series.unit}".removesuffix(" 1")
        yield {
            "kind": "point",
            "line": label,
            "recording": point.recording + 1,
            "percent": _share(series, point.figure),
            "low": _share(series, min(point.figures)),
            "high": _share(series, max(point.figures)),
            "hover": HOVER + printable(f"{said}, {when}"),
        }


def _mark(history: History, change: Change, label: str) -> Values:
    point = next(each for each in change.series.points if each.recording == change.after)
    share = f" ({100 * change.share:+.2f} %)" if change.share is not None else ""
    said = f"{label} changed: {change.old:.6g} to {change.new:.6g}{share}"
    when = recording_name(history.recordings[change.after])
    return {
        "kind": "worse" if change.worse else "better",
        "line": label,
        "recording": change.after + 1,
        "percent": _share(change.series, point.figure),
        "hover": HOVER + printable(f"{said}, {when}"),
    }


def _body(
    values: Sequence[Values], drawn: Sequence[Series], labels: Sequence[str]
) -> Specification:
    precisions = [each.cell.precision for each in drawn]
    known = colours_of([*dict.fromkeys(precisions)])
    x = quantity(
        "recording",
        "recording, the oldest is 1",
        scale={"nice": False, "zero": False, "padding": 12},
        axis={"tickMinStep": 1, "format": "d"},
    )
    y = quantity("percent", "growth over the oldest, %", scale={"zero": False})
    scale = {"domain": [*labels], "range": [known[name] for name in precisions]}
    shapes = {"domain": [*labels], "range": [*SHAPES[: len(labels)]]}
    by_line = {"field": "line", "type": "nominal", "scale": scale, "legend": {"columns": 2}}
    shape = {"field": "line", "type": "nominal", "scale": shapes, "legend": {"columns": 2}}
    spread = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": by_line}
    line = {"x": x, "y": y, "color": by_line}
    marks = [
        of_kind(
            kind,
            {"type": "point", "shape": "diamond", "size": 260, "filled": False, "strokeWidth": 3},
            {"x": x, "y": y, "color": {"value": colour(tone)}, "description": hovering()},
        )
        for kind, tone in (("worse", "bad"), ("better", "good"))
        if any(row["kind"] == kind for row in values)
    ]
    return {
        "layer": [
            of_kind("point", {"type": "rule", "opacity": 0.6}, spread),
            of_kind("point", {"type": "line"}, line),
            of_kind(
                "point",
                {"type": "point", "size": 60},
                {**line, "shape": shape, "description": hovering()},
            ),
            *marks,
        ]
    }


def _alt(history: History, drawn: Sequence[Series], changes: Sequence[Change]) -> str:
    many = counted(len(history.recordings), "recording")
    lines = f"A line for each of {counted(len(drawn), 'figure')} over {many}."
    if not changes:
        return f"{lines} None has changed."
    first = changes[-1]
    share = f" by {100 * first.share:+.1f} %" if first.share is not None else ""
    return printable(
        f"{lines} {counted(len(changes), 'change')} of theirs: the newest is that of "
        f"{first.series.metric} of {name_of(first.series.cell)}{share}."
    )


def _table(history: History, drawn: Sequence[Series]) -> Table:
    rows = []
    for series in drawn:
        first, last = series.points[0], series.points[-1]
        rows.append(
            (
                printable(f"{series.benchmark}, {name_of(series.cell, with_clip=True)}"),
                printable(series.metric),
                printable(series.unit),
                recording_name(history.recordings[first.recording]),
                f"{first.figure:.6g}",
                f"{last.figure:.6g}",
                f"{_share(series, last.figure):+.2f} %",
            )
        )
    return Table(
        headings=("what", "figure", "unit", "oldest recording", "oldest", "newest", "growth"),
        rows=tuple(rows),
    )
