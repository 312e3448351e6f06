"""A chart: what it shows, said as a picture's specification, in words, and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whisperbench.errors import printable
from whisperbench.report.charts.theme import CONFIG

Specification = dict[str, Any]
"""Of Vega-Lite, version 6: what its editor and every tool for it reads."""

Values = Mapping[str, str | float | None]
"""A row of a chart's data."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""What a specification calls its language. Nothing is loaded from there."""

WIDTH = 560
"""Pixels of a whole chart: on a screen of 390 its letters still have more than 8."""

_INNER = 470
"""Pixels within the axes of a panel, whose width does not follow from that of the chart."""

HOVER = "hover: "
"""What a description begins with that becomes hover text; Vega makes others of its own."""

LABEL = 28
"""Letters of a name that a chart shows; the table beside it has the whole name."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The figures of a chart as text: what a reader gets who does not see it."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A picture, before it is drawn."""

    name: str
    """Of its file, without an ending: small letters, digits and hyphens."""
    title: str
    alt: str
    """What is seen on it, in sentences."""
    specification: Specification
    table: Table
    notes: tuple[str, ...] = ()
    """What a reader has to know of it, a sentence each."""


def shown(name: str, most: int = LABEL) -> str:
    """Write a name that somebody else chose as a label: in one line, and not too long."""
    text = printable(name)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def titled(what: str, of: str) -> str:
    """Write a chart's title, with what it is of."""
    return f"{what}: {shown(of, 64)}"


def told_apart(names: Sequence[Sequence[str]], most: int = LABEL) -> list[str]:
    """Return a label for each thing, all of them different.

    Args:
        names: of each thing, the shortest first; the first that is free becomes its label.
        most: letters.
    """
    labels: dict[str, None] = {}
    for each in names:
        texts = [shown(name, most) for name in each]
        free = next((text for text in texts if text not in labels), texts[-1])
        number = 1
        label = free
        while label in labels:
            number += 1
            label = f"{free} ({number})"
        labels[label] = None
    return [*labels]


def specified(body: Specification, values: Sequence[Values], *, height: float) -> Specification:
    """Make a specification as wide as all are.

    Args:
        body: its marks and what they encode.
        values: its data.
        height: of the whole chart, in pixels.
    """
    return {
        "$schema": SCHEMA,
        "width": WIDTH,
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": CONFIG,
        "data": {"values": [dict(row) for row in values]},
        **body,
    }


def quantity(field: str, title: str, **more: Any) -> Specification:
    """Encode a field as a quantity with a titled axis."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def hovering(field: str = "hover") -> Specification:
    """Encode the description of a mark, which becomes its hover text."""
    return {"field": field, "type": "nominal"}


def of_kind(kind: str, mark: Specification, encoding: Specification) -> Specification:
    """Make a layer of the rows of one kind, by their field `kind`."""
    return {
        "transform": [{"filter": {"field": "kind", "equal": kind}}],
        "mark": mark,
        "encoding": encoding,
    }


def category(field: str, order: Sequence[str] | None = None, **more: Any) -> Specification:
    """Encode a field as one of several things, in their order or in that of the data."""
    sort = [*order] if order is not None else None
    return {"field": field, "type": "nominal", "title": None, "sort": sort, **more}


def coloured(field: str, colours: Mapping[str, str], *, legend: bool = False) -> Specification:
    """Encode a field as a colour.

    Args:
        field: its name.
        colours: of each of its values, as a specification names them.
        legend: whether the colours are explained.
    """
    scale = {"domain": [*colours], "range": [*colours.values()]}
    shown_as = {"symbolOpacity": 1} if legend else None
    return {"field": field, "type": "nominal", "scale": scale, "legend": shown_as}


def at_zero(axis: str) -> Specification:
    """Make a layer that draws a line where an axis is zero."""
    return {"mark": {"type": "rule"}, "encoding": {axis: {"datum": 0}}}


def panels(
    of: Specification,
    values: Sequence[Values],
    *,
    field: str,
    order: Sequence[str],
    height: float,
    own: str = "",
) -> Specification:
    """Make a specification of panels that stand one under the other.

    Args:
        of: marks and what they encode, or layers of them.
        values: the data of all panels.
        field: which panel a row of the data belongs to.
        order: of the panels.
        height: of each, in pixels.
        own: the axis that has a scale of its own in each panel; of others there is one for all.
    """
    header = {"labelOrient": "top", "labelAnchor": "start", "labelAngle": 0}
    return {
        "$schema": SCHEMA,
        "autosize": {"type": "pad", "contains": "padding"},
        "config": CONFIG,
        "data": {"values": [dict(row) for row in values]},
        "facet": {"row": category(field, order, header=header)},
        "spec": {"width": _INNER, "height": height, **of},
        **({"resolve": {"scale": {own: "independent"}}} if own else {}),
    }
