"""Specifications drawn as SVG: the one place that needs vl-convert, of the extra `report`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from whisperbench.errors import InputError
from whisperbench.report.charts.chart import HOVER, SCHEMA, Chart, Specification
from whisperbench.report.charts.theme import COLOURS, themed

NEEDED = "it needs the extra report: pip install -e '.[report]'"
"""What to do where vl-convert is absent."""

_SVG = "http://www.w3.org/2000/svg"

_DROPPED = frozenset(
    {"role", "aria-roledescription", "aria-hidden", "aria-label", "class", "pointer-events"}
    | {"version", "width", "height", "stroke-miterlimit"}
)
"""Attributes that say nothing here: the whole picture is one image with one description."""

_DIGITS = re.compile(r"\d+\.\d{3,}(?:e-?\d+)?")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A chart that was drawn."""

    chart: Chart
    inline: str
    """SVG to stand within a page that has the custom properties of theme.style_sheet()."""

    @property
    def light(self) -> str:
        """The same as a file of its own, for a light page."""
        return self._alone(dark=False)

    @property
    def dark(self) -> str:
        """The same as a file of its own, for a dark page."""
        return self._alone(dark=True)

    def _alone(self, *, dark: bool) -> str:
        ground = f'<rect width="100%" height="100%" fill="{COLOURS["ground"][1 if dark else 0]}"/>'
        head, rest = self.inline.split(">", 1)
        return f"{head}>{ground}{themed(rest, dark=dark)}\n"


def require_drawing() -> None:
    """Refuse to begin where nothing can be drawn.

    Raises:
        InputError: vl-convert is not installed.
    """
    try:
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise InputError(f"vl-convert is not installed, and draws the charts: {NEEDED}") from error


def warm_up() -> None:
    """Start what draws, which takes most of a second, so that it is ready when it is needed."""
    # With an axis, whose labels make it look for the system's fonts.
    axis = {"field": "a", "type": "quantitative"}
    row = {"values": [{"a": 1}]}
    _to_svg({"$schema": SCHEMA, "data": row, "mark": "point", "encoding": {"x": axis}})


def drawn(charts: Mapping[str, Chart]) -> dict[str, Picture]:
    """Draw charts.

    Raises:
        InputError: vl-convert is not installed.
    """
    return {
        name: Picture(chart=chart, inline=_cleaned(_to_svg(chart.specification), chart))
        for name, chart in charts.items()
    }


def _to_svg(specification: Specification) -> str:
    require_drawing()
    import vl_convert

    # Nothing is allowed to be loaded: a specification holds its data.
    made: str = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    return made


def _cleaned(svg: str, chart: Chart) -> str:
    """Take out what is no picture, and make descriptions of marks hover text."""
    root = Xml.fromstring(svg)  # noqa: S314 - vl-convert made it this moment
    for parent in list(root.iter()):
        for child in list(parent):
            if _is_nothing(child):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        said = element.get("aria-label", "")
        for name in _DROPPED & element.attrib.keys():
            del element.attrib[name]
        for name in ("d", "transform", "x", "y", "x2", "y2"):
            if name in element.attrib:
                element.attrib[name] = _DIGITS.sub(_shorter, element.attrib[name])
        for name in [name for name in element.attrib if name in ("id", "clip-path")]:
            element.attrib[name] = re.sub(r"\bclip", f"{chart.name}-clip", element.attrib[name])
        if said.startswith(HOVER):
            title = Xml.Element("title")
            title.text = said.removeprefix(HOVER)
            element.insert(0, title)
    root.attrib |= {"xmlns": _SVG, "role": "img", "aria-label": chart.alt}
    return Xml.tostring(root, encoding="unicode")


def _is_nothing(element: Xml.Element) -> bool:
    """Whether an element draws nothing: frames without a colour, and paths without a length."""
    if element.tag != f"{{{_SVG}}}path":
        return False
    unseen = "fill" not in element.attrib and "stroke" not in element.attrib
    return not element.get("d") or (unseen and element.get("class") in ("background", "foreground"))


def _shorter(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def files_of(pictures: Mapping[str, Picture]) -> Iterator[tuple[str, str]]:
    """Yield the name and the content of each picture's two files."""
    for name, picture in pictures.items():
        yield f"{name}-light.svg", picture.light
        yield f"{name}-dark.svg", picture.dark
