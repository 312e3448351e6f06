"""How charts look, in light and in dark: a colour is a custom property of CSS, with two values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Colour(NamedTuple):
    """A colour in light and in dark; both stand out by 3 to 1 at least, letters by 4.5 to 1."""

    light: str
    dark: str


COLOURS: Mapping[str, Colour] = {
    "ground": Colour("#ffffff", "#14181d"),
    "raised": Colour("#f4f6f8", "#1d232a"),
    "ink": Colour("#1b2027", "#e8eaed"),
    "soft": Colour("#56606b", "#a6afba"),
    "line": Colour("#d4d9df", "#3b444f"),
    "bad": Colour("#b3261e", "#ff8f85"),
    "good": Colour("#17683a", "#6fd394"),
    "fp16": Colour("#0b62a4", "#6cb6ff"),
    "fp32": Colour("#5b6470", "#b4bcc6"),
    "bf16": Colour("#6a49b8", "#b9a3ff"),
    "int8": Colour("#b84300", "#ff9a5c"),
    "int8-t0": Colour("#7d6200", "#e0c341"),
    "nf4": Colour("#08755a", "#4fd1a5"),
    "other-1": Colour("#a3195b", "#ff8fc0"),
    "other-2": Colour("#00717f", "#5fd0de"),
    "other-3": Colour("#7a4a2b", "#d9a67c"),
}
"""Of the page, of what is good or bad, and of precisions."""

PRECISIONS = ("fp16", "fp32", "bf16", "int8", "int8-t0", "nf4")
"""Precisions that have a colour of their own, in every chart the same."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
"""Of points: who sees no colours tells precisions by these."""

_VARIABLE = re.compile(r"var\(--wb-([a-z0-9-]+)\)")


def colour(name: str) -> str:
    """Return a colour as a specification and a style sheet name it."""
    return f"var(--wb-{name})"


def colours_of(precisions: Sequence[str]) -> dict[str, str]:
    """Return a colour for each precision: its own, or of unknown ones the next of the others.

    With its shape each of 18 unknown ones is told from the others.
    """
    others = [name for name in precisions if name not in PRECISIONS]
    turns = len(SHAPES)
    spare = {name: f"other-{1 + (at + at // turns) % 3}" for at, name in enumerate(others)}
    return {name: colour(spare.get(name, name)) for name in precisions}


def shapes_of(precisions: Sequence[str]) -> dict[str, Any]:
    """Return the scale of an encoding that shapes points by precision."""
    known = {name: SHAPES[at] for at, name in enumerate(PRECISIONS)}
    spare = [name for name in precisions if name not in known]
    known |= {name: SHAPES[at % len(SHAPES)] for at, name in enumerate(spare)}
    return {"domain": [*precisions], "range": [known[name] for name in precisions]}


def themed(text: str, *, dark: bool) -> str:
    """Put the colours of a theme in, for a picture that stands alone."""

    def value(found: re.Match[str]) -> str:
        known = COLOURS.get(found[1])  # a name in a file may look like one of ours
        return found[0] if known is None else known.dark if dark else known.light

    return _VARIABLE.sub(value, text)


def style_sheet() -> str:
    """Return the custom properties as CSS: light, or dark where the reader's system is."""
    light = "".join(f"--wb-{name}:{each.light};" for name, each in COLOURS.items())
    dark = "".join(f"--wb-{name}:{each.dark};" for name, each in COLOURS.items())
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        f"@media print{{:root{{color-scheme:light;{light}}}}}"
    )


_LETTERS = 13

CONFIG: dict[str, Any] = {
    "background": "transparent",
    "padding": 2,
    "font": "sans-serif",
    "axis": {
        "domainColor": colour("soft"),
        "gridColor": colour("line"),
        "tickColor": colour("soft"),
        "labelColor": colour("soft"),
        "titleColor": colour("ink"),
        "labelFontSize": _LETTERS,
        "titleFontSize": _LETTERS,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelLimit": 220,
        "tickCount": 6,
        "labelOverlap": True,
    },
    "facet": {"spacing": 10},
    "header": {
        "labelPadding": 4,
        "labelColor": colour("ink"),
        "labelFontSize": _LETTERS,
        "labelFontWeight": "bold",
        "titleColor": colour("ink"),
    },
    "legend": {
        "labelColor": colour("ink"),
        "labelFontSize": _LETTERS,
        "labelLimit": 200,
        "orient": "top",
        "direction": "horizontal",
        "title": None,
        "columnPadding": 14,
        "offset": 4,
    },
    "text": {"color": colour("ink"), "fontSize": _LETTERS},
    "view": {"stroke": None},
    "point": {"size": 90, "filled": True, "opacity": 1},
    "rule": {"color": colour("soft")},
}
"""What all specifications have in common."""
