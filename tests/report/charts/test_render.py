"""Charts as SVG: hover text, colours, and nothing of a file that does anything."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree as Xml

import pytest

from tests.report.charts.small import make_pictured, make_small
from whisperbench.errors import InputError
from whisperbench.report.charts.all import Pictured, charts_of
from whisperbench.report.charts.render import Picture, drawn, files_of
from whisperbench.report.charts.theme import COLOURS, themed

HOSTILE = '"><script>alert(1)</script>&amp; ${x} var(--wb-ink) javascript:alert(1) {{7*7}}'

SVG = "http://www.w3.org/2000/svg"

DRAWN = {"svg", "g", "path", "line", "rect", "text", "tspan", "title"}
"""Elements that a picture may hold."""


@pytest.fixture(scope="module")
def pictures() -> dict[str, Picture]:
    """All pictures of a made-up run with a base and pairs."""
    return drawn(charts_of(make_pictured()))


def parsed(svg: str) -> Xml.Element:
    """Read a picture."""
    return Xml.fromstring(svg)  # noqa: S314 - we have made it


def titles(picture: Picture) -> list[str]:
    """Return the hover texts of a picture."""
    return [each.text or "" for each in parsed(picture.inline).iter(f"{{{SVG}}}title")]


def test_marks_have_hover_text(pictures: dict[str, Picture]) -> None:
    """Each mark that stands for a figure says which, by a title of SVG."""
    told = {name: " | ".join(titles(picture)) for name, picture in pictures.items()}
    assert "int8: 6.00 s, 2.50 GiB" in told["time-memory"]
    assert "transcribe int8: head, round 1: " in told["rounds"]
    assert "int8, load: 1.50 s, at most" in told["memory"]
    assert "quantizing: 0.300 ms" in told["kernels"]
    assert "decode int8: GPU " in told["times"]
    assert "after 3 pairs: +25.2%" in told["pairs"]
    assert "regressed: " in told["changes"]


def test_a_picture_is_one_image_with_a_description(pictures: dict[str, Picture]) -> None:
    """A screen reader hears the description, and nothing of the parts."""
    for picture in pictures.values():
        root = parsed(picture.inline)
        assert root.get("role") == "img"
        assert root.get("aria-label") == picture.chart.alt
        inside = {name for each in root.iter() if each is not root for name in each.attrib}
        assert not {name for name in inside if name == "role" or name.startswith("aria-")}


def test_files_have_the_colours_of_a_theme(pictures: dict[str, Picture]) -> None:
    """A picture of its own is light or dark, and asks no style sheet; one in a page asks it."""
    found = dict(files_of(pictures))
    assert len(found) == 2 * len(pictures)
    for name, svg in found.items():
        assert "var(" not in svg
        ground = COLOURS["ground"]
        assert (ground.dark if "dark" in name else ground.light) in svg
        parsed(svg)
    assert "var(--wb-int8)" in pictures["time-memory"].inline


def test_a_name_like_a_colour_stays_a_name() -> None:
    """What is no colour of ours is left as it is."""
    assert themed("var(--wb-nothing)", dark=False) == "var(--wb-nothing)"


def test_hostile_names_are_text() -> None:
    """Names of a file add no element, no attribute that runs, and no address."""
    run = make_small(model=HOSTILE, clip=HOSTILE, precisions=("fp16", HOSTILE))
    found = drawn(charts_of(Pictured(run=run, base=run)))
    assert len(found) >= 4
    for picture in found.values():
        for svg in (picture.inline, picture.light, picture.dark):
            for element in parsed(svg).iter():
                assert element.tag.removeprefix(f"{{{SVG}}}") in DRAWN
                assert not [
                    name for name in element.attrib if re.match(r"on|style|.*href|.*src", name)
                ]
    assert any("<script>" in text for text in titles(found["rounds"]))


def test_without_vl_convert_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not installed the extra is told how."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(InputError, match=r"pip install -e '.\[report\]'"):
        drawn(charts_of(Pictured(run=make_small())))
