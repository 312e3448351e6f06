"""Pictures in Markdown: each as two files beside it, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from whisperbench.errors import printable
from whisperbench.report.charts.render import Picture
from whisperbench.report.inert import inert, shortened
from whisperbench.report.verdict_markdown import folded

IN_SIGHT = 2
"""Pictures that are not folded."""

_ALT = 1000
"""Letters of what is said of a picture to who does not see it."""


def illustrated(pictures: Mapping[str, Picture], place: str) -> str:
    """Write a section of Markdown that shows pictures.

    Args:
        pictures: by their names.
        place: the folder of their files, as a path or an address from where the Markdown stands.
    """
    shown = [_shown(name, picture, place.rstrip("/")) for name, picture in pictures.items()]
    more = folded("More pictures", ["\n\n".join(shown[IN_SIGHT:])] if shown[IN_SIGHT:] else [])
    return "\n\n".join([*shown[:IN_SIGHT], *(["\n".join(more).rstrip()] if more else [])])


def _address(path: str) -> str:
    """Write a path as an address: a list of pictures ends an address at a space."""
    return path.replace("%", "%25").replace(" ", "%20").replace(",", "%2C")


def _shown(name: str, picture: Picture, place: str) -> str:
    light, dark = (escape(_address(f"{place}/{name}-{theme}.svg")) for theme in ("light", "dark"))
    alt = escape(shortened(printable(picture.chart.alt), _ALT))
    return "\n".join(
        [
            f"**{inert(picture.chart.title)}**",
            "",
            # Each tag begins a line, so that no Markdown is read up to the next empty one.
            "<picture>",
            f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">',
            f'<img alt="{alt}" src="{light}">',
            "</picture>",
        ]
    )
