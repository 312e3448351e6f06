"""The picture of the mission: what each precision takes of time and of memory, and its ceiling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isnan

from whisperbench.errors import printable
from whisperbench.judge.frontier import Frontier
from whisperbench.report.charts.chart import (
    HOVER,
    Chart,
    Specification,
    Values,
    coloured,
    hovering,
    of_kind,
    quantity,
    shown,
    specified,
    titled,
)
from whisperbench.report.charts.labels import Box, placed
from whisperbench.report.charts.standings import table_of, times_of
from whisperbench.report.charts.theme import colour, colours_of, shapes_of
from whisperbench.report.placing import beaten_by, frontier_of
from whisperbench.report.standing import Standing, Subject
from whisperbench.results.records import Machine
from whisperbench.units import format_mib, format_seconds

HEIGHT = 330

NEAR = 2.5
"""The device's memory is drawn where it is at most so many times what was taken: farther up it
would leave no room for the rest."""

_INNER = (480.0, 260.0)
"""About the pixels within the axes, for placing labels."""


def time_memory(name: str, subject: Subject, machine: Machine, runs: int = 1) -> Chart | None:
    """Draw time against memory; None where no precision has both.

    Of memory the peak counts, or where no peak was measured the weights.

    Args:
        name: of the chart.
        subject: a model on a clip at a batch size.
        machine: what it was measured on.
        runs: how many runs it was measured in.
    """
    peaks = any(not isnan(each.peak_mib) for each in subject.standings)
    told = [each for each in subject.standings if not isnan(each.latency_s + _held(each, peaks))]
    if not told:
        return None
    most = max(max(_held(each, peaks), _or(each.limit_mib)) for each in told)
    ground = float(machine.memory_mib) if peaks and machine.memory_mib <= NEAR * most else None
    top = 1.12 * max(most, ground or 0.0)
    longest = 1.15 * max(each.latency_s * (1 + _or(each.spread)) for each in told)
    on_host = machine.on_host
    frontier = frontier_of(subject, on_host=on_host, processes=runs) if peaks else None
    values = list(_values(subject, told, peaks, longest, top, ground, frontier))
    what = "peak memory" if peaks else "weights"
    scale = "MiB" if top < 4096 else "GiB"
    return Chart(
        name=name,
        title=titled("Time against memory", subject.name),
        alt=_alt(subject, told, peaks, what, frontier),
        specification=specified(
            {
                "layer": _layers(
                    [each.precision for each in told], longest, top, what, scale, _kinds(values)
                )
            },
            values,
            height=HEIGHT,
        ),
        table=table_of([subject], on_host=machine.on_host),
        notes=tuple(_notes(subject, told, peaks, machine, ground, values)),
    )


_POINTS: Mapping[str, Specification] = {
    "point": {},
    "beaten": {"filled": False, "strokeWidth": 2.5},
}
"""Kinds of points, and how each is drawn: what is beaten is hollow."""


def _kinds(values: Sequence[Values]) -> list[str]:
    """Return the kinds of points that there are."""
    return [kind for kind in _POINTS if any(row["kind"] == kind for row in values)]


def _held(each: Standing, peaks: bool) -> float:
    return each.peak_mib if peaks else each.weight_mib


def _or(value: float) -> float:
    return 0.0 if isnan(value) else value


def _bars(each: Standing, at: tuple[float, float], top: float) -> Iterator[Box]:
    """Yield where the spread and the limit of a precision stand, in pixels."""
    x, y = at
    half = x * _or(each.spread)
    if half > 6:
        yield x - half, y - 2, x + half, y + 2
    if not isnan(each.limit_mib):
        limit = (1 - each.limit_mib / top) * _INNER[1]
        yield x - 14, limit - 3, x + 14, limit + 3
        yield x - 1, min(limit, y), x + 1, max(limit, y)


def _label(each: Standing, base: Standing) -> str:
    """Write a precision, and how many times the reference's time it takes."""
    times = times_of(each, base) if each.precision != base.precision else ""
    return f"{shown(each.precision)}, {times} ×" if times else shown(each.precision)


def _values(
    subject: Subject,
    told: Sequence[Standing],
    peaks: bool,
    longest: float,
    top: float,
    ground: float | None,
    frontier: Frontier | None,
) -> Iterator[Values]:
    unit = 1024.0 if top >= 4096 else 1.0
    pixels = [
        (each.latency_s / longest * _INNER[0], (1 - _held(each, peaks) / top) * _INNER[1])
        for each in told
    ]
    base = subject.of(subject.reference)
    labels = [_label(each, base) for each in told]
    bars = [bar for each, at in zip(told, pixels, strict=True) for bar in _bars(each, at, top)]
    spots = placed(pixels, labels, *_INNER, others=bars)
    for each, label, spot in zip(told, labels, spots, strict=True):
        held = _held(each, peaks)
        winner = beaten_by(frontier, each.precision)
        said = ", ".join(
            filter(
                None,
                (
                    f"{each.precision}: {format_seconds(each.latency_s)}",
                    format_mib(held),
                    f"{100 * each.wer:.2f} % of words wrong" if frontier and each.wer >= 0 else "",
                    f"beaten by {winner}" if winner else "",
                ),
            )
        )
        low, high = (each.latency_s * (1 + sign * _or(each.spread)) for sign in (-1, 1))
        row: dict[str, str | float | None] = {
            "precision": each.precision,
            "seconds": each.latency_s,
            "memory": held / unit,
        }
        kind = "beaten" if winner else "point"
        yield {**row, "kind": kind, "hover": HOVER + said, "low": low, "high": high}
        yield {**row, "kind": "label", "label": label, **spot._asdict()}
        if peaks and not isnan(each.limit_mib):
            most = f"{each.precision}: at most {format_mib(each.limit_mib)} by its limit"
            yield {**row, "kind": "ceiling", "limit": each.limit_mib / unit, "hover": HOVER + most}
    if ground is not None:
        said = f"the device has {format_mib(ground)}"
        yield {"kind": "device", "memory": ground / unit, "hover": HOVER + said, "said": said}


def _layers(
    precisions: Sequence[str],
    longest: float,
    top: float,
    what: str,
    unit: str,
    kinds: Sequence[str],
) -> list[Specification]:
    height = top / (1024.0 if unit == "GiB" else 1.0)
    title = f"{what}, {unit}"
    x = quantity(
        "seconds",
        "time of a transcription, s (p50)",
        scale={"domain": [0, longest], "nice": False},
    )
    y = quantity("memory", title, scale={"domain": [0, height], "nice": False})
    by_precision = coloured("precision", colours_of(precisions))
    shapes = {"scale": shapes_of(precisions), "legend": None}
    spread = {"x": {**x, "field": "low"}, "x2": {"field": "high"}}
    own = {name: {"expr": f"datum.{name}"} for name in ("align", "baseline", "dx", "dy")}
    return [
        *_ground(longest, y),
        of_kind(
            "ceiling",
            {"type": "rule", "strokeDash": [2, 3]},
            {"x": x, "y": y, "y2": {"field": "limit"}, "color": by_precision},
        ),
        of_kind(
            "ceiling",
            {"type": "tick", "orient": "horizontal", "thickness": 3, "width": 26, "opacity": 1},
            {
                "x": x,
                "y": quantity("limit", title),
                "color": by_precision,
                "description": hovering(),
            },
        ),
        *(
            of_kind(
                kind,
                {"type": "rule", "strokeWidth": 2},
                {**spread, "y": y, "color": by_precision},
            )
            for kind in kinds
        ),
        *(
            of_kind(
                kind,
                {"type": "point", "size": 130, **_POINTS[kind]},
                {
                    "x": x,
                    "y": y,
                    "color": by_precision,
                    "shape": {"field": "precision", "type": "nominal", **shapes},
                    "description": hovering(),
                },
            )
            for kind in kinds
        ),
        of_kind("label", {"type": "text", **own}, {"x": x, "y": y, "text": {"field": "label"}}),
    ]


def _ground(longest: float, y: Specification) -> list[Specification]:
    """Make the layers of the line that is the device's memory."""
    return [
        of_kind(
            "device",
            {"type": "rule", "strokeDash": [2, 3], "color": colour("bad"), "strokeWidth": 1.5},
            {"y": y, "description": hovering()},
        ),
        of_kind(
            "device",
            {"type": "text", "align": "right", "baseline": "bottom", "dy": -3},
            {"x": {"datum": longest}, "y": y, "text": {"field": "said"}},
        ),
    ]


def _alt(
    subject: Subject,
    told: Sequence[Standing],
    peaks: bool,
    what: str,
    frontier: Frontier | None,
) -> str:
    def beaten(each: Standing) -> str:
        winner = beaten_by(frontier, each.precision)
        return f" and is beaten by {winner}" if winner else ""

    said = "; ".join(
        f"{each.precision} takes {format_seconds(each.latency_s)} and "
        f"{format_mib(_held(each, peaks))}{beaten(each)}"
        for each in told
    )
    return printable(
        f"A point for each precision of {subject.name}: the time of a transcription from left to "
        f"right, and {what} from bottom to top. {said}."
    )


def _notes(
    subject: Subject,
    told: Sequence[Standing],
    peaks: bool,
    machine: Machine,
    ground: float | None,
    values: Sequence[Values],
) -> Iterator[str]:
    base = subject.of(subject.reference)
    if any(times_of(each, base) for each in told if each.precision != base.precision):
        yield f"The number at a point is the time in multiples of that in {shown(base.precision)}."
    if "beaten" in _kinds(values):
        yield (
            "A hollow point is beaten: another precision is as good in time, peak memory and "
            "words, and surely better in one of them."
        )
    if any(each.spread > 0 for each in told):
        yield "A line through a point is the spread: half the interquartile range to either side."
    if peaks and any(not isnan(each.limit_mib) for each in told):
        yield "A bar above or below a point is its limit of benchmarks/suite.toml."
    if peaks and ground is None and machine.memory_mib:
        yield f"The device's memory of {format_mib(machine.memory_mib)} lies above the picture."
    if not peaks:
        yield "No peak of memory was measured, so that the weights stand for it."
