"""The page in a real browser: headless Chromium, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.charts.small import make_pictured
from tests.report.page.hostile import HOSTILE, make_hostile
from whisperbench.report.charts.all import Pictured, charts_of
from whisperbench.report.charts.render import drawn
from whisperbench.report.charts.theme import COLOURS
from whisperbench.report.page.html import as_html
from whisperbench.report.page.sections import page_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium on PATH")

THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for all tests of this module."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers give a browser no sandbox of its own. The page is ours.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a run with everything in it, and of one whose names are hostile."""
    folder = tmp_path_factory.mktemp("pages")

    def written(name: str, about: Pictured) -> Path:
        path = folder / f"{name}.html"
        path.write_text(as_html(page_of(about, drawn(charts_of(about)))), encoding="utf-8")
        return path

    return {
        "whole": written("whole", make_pictured()),
        "hostile": written("hostile", make_hostile(HOSTILE)),
    }


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Callable[..., Any]]:
    """Open a page; afterwards nothing was said on the console, and no request has left."""
    contexts = []
    said: list[str] = []
    asked: list[str] = []

    def open_it(name: str, *, theme: str = "light", width: int = 1280) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, offline=False
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(pages[name].as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert said == []
    assert all(url.startswith("file:") and url.endswith(".html") for url in asked)


@pytest.mark.parametrize("name", ["whole", "hostile"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_a_telephone_and_a_screen(
    opened: Callable[..., Any], name: str, width: int
) -> None:
    """No page is wider than the screen; a wide table moves within its own frame."""
    page = opened(name, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    narrow = page.evaluate(
        "[...document.querySelectorAll('svg')].every(svg => svg.clientWidth <= innerWidth)"
    )
    assert narrow


@pytest.mark.parametrize("theme", THEMES)
def test_colours_follow_the_readers_system(opened: Callable[..., Any], theme: str) -> None:
    """The ground, letters and marks are those of the theme that the system asks for."""
    page = opened("whole", theme=theme)
    ground, letters = page.evaluate(
        "(style => [style.backgroundColor, style.color])(getComputedStyle(document.body))"
    )
    assert ground == _rgb(getattr(COLOURS["ground"], theme))
    assert letters == _rgb(getattr(COLOURS["ink"], theme))
    marks = page.evaluate(
        "[...document.querySelectorAll('svg [fill=\"var(--wb-int8)\"]')]"
        ".map(mark => getComputedStyle(mark).fill)"
    )
    assert {*marks} == {_rgb(getattr(COLOURS["int8"], theme))}


def test_paper_is_light(opened: Callable[..., Any]) -> None:
    """What is printed from a dark screen is light, and shows whole tables."""
    page = opened("whole", theme="dark")
    page.emulate_media(media="print")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == _rgb(COLOURS["ground"].light)
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    )
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_marks_have_hover_text(opened: Callable[..., Any]) -> None:
    """The mark under the pointer is one with a title, which the browser shows."""
    page = opened("whole")
    found = page.evaluate(
        """() => {
            const mark = [...document.querySelectorAll('svg title')]
                .find(title => title.textContent === 'int8: 6.00 s, 2.50 GiB').parentNode;
            mark.scrollIntoView({block: 'center'});
            const box = mark.getBoundingClientRect();
            const seen = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return seen.querySelector('title').textContent;
        }"""
    )
    assert found == "int8: 6.00 s, 2.50 GiB"


def test_hostile_text_is_seen_as_text(opened: Callable[..., Any]) -> None:
    """A name with tags in it stands there as it was written, and has made no element."""
    page = opened("hostile")
    assert HOSTILE in page.evaluate("document.querySelector('h1').textContent")
    assert page.evaluate("document.querySelectorAll('script, img, iframe').length") == 0


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["whole", "hostile"])
def test_axe_finds_nothing(opened: Callable[..., Any], name: str, theme: str) -> None:
    """axe-core's rules of accessibility hold, with all tables unfolded."""
    from axe_playwright_python.sync_playwright import Axe

    page = opened(name, theme=theme)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found = Axe().run(page)
    assert found.response["passes"]
    assert [
        (each["id"], node["html"][:200])
        for each in found.response["violations"]
        for node in each["nodes"]
    ] == []


def _rgb(colour: str) -> str:
    """Write a colour as a browser does."""
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"
