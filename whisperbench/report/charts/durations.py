"""What short and long audio costs, as a picture: time against duration, a line a precision."""

from __future__ import annotations

from collections.abc import Iterator

from whisperbench.report.charts.chart import (
    HOVER,
    Chart,
    Specification,
    Table,
    Values,
    coloured,
    hovering,
    of_kind,
    quantity,
    specified,
    titled,
)
from whisperbench.report.charts.theme import colours_of, shapes_of
from whisperbench.report.durations import LEGEND, Durations, Timed, cells, headings
from whisperbench.units import format_figure, format_seconds

HEIGHT = 300


def durations(name: str, found: Durations) -> Chart | None:
    """Draw the time of a transcription against the duration of its audio; None of one duration."""
    rows = [row for row in found.rows if row.latency_s > 0]
    if len({row.audio_s for row in rows}) < 2:
        return None
    precisions = list(dict.fromkeys(row.precision for row in rows))
    return Chart(
        name=name,
        title=titled("Time against duration", found.name),
        alt=_alt(found, rows),
        specification=specified(
            {"layer": _layers(precisions, rows)}, [*_values(rows)], height=HEIGHT
        ),
        table=Table(headings=headings(found), rows=tuple(cells(found, row) for row in found.rows)),
        notes=(
            "Both axes are logarithmic, so that what costs the same a second is a straight line.",
            *(f"{sentence}." for sentence in LEGEND.removesuffix(".").split(". ")[:1]),
        ),
    )


def _values(rows: list[Timed]) -> Iterator[Values]:
    for row in rows:
        said = (
            f"{row.precision}: {format_figure(row.audio_s)} s of audio take "
            f"{format_seconds(row.latency_s)}"
        )
        yield {
            "kind": "point",
            "precision": row.precision,
            "audio": row.audio_s,
            "seconds": row.latency_s,
            "hover": HOVER + said,
        }


def _layers(precisions: list[str], rows: list[Timed]) -> list[Specification]:
    scale = {"type": "log", "nice": False}
    lengths = sorted({row.audio_s for row in rows})
    x = quantity(
        "audio",
        "duration of the audio, s",
        scale={**scale, "domain": [lengths[0] / 1.2, lengths[-1] * 1.2]},
        axis={"values": lengths},
    )
    times = [row.latency_s for row in rows]
    y = quantity(
        "seconds",
        "time of a transcription, s (p50)",
        scale={**scale, "domain": [min(times) / 1.3, max(times) * 1.3]},
    )
    colour = coloured("precision", colours_of(precisions), legend=True)
    shape = {"scale": shapes_of(precisions), "legend": None}
    return [
        of_kind("point", {"type": "line", "strokeWidth": 2}, {"x": x, "y": y, "color": colour}),
        of_kind(
            "point",
            {"type": "point", "size": 100},
            {
                "x": x,
                "y": y,
                "color": colour,
                "shape": {"field": "precision", "type": "nominal", **shape},
                "description": hovering(),
            },
        ),
    ]


def _alt(found: Durations, rows: list[Timed]) -> str:
    said = "; ".join(
        f"{format_figure(row.audio_s)} s take {format_seconds(row.latency_s)} in {row.precision}"
        for row in rows
    )
    return (
        f"A line for each precision of {found.name}: the duration of the audio from left to right, "
        f"and the time of its transcription from bottom to top. {said}."
    )
