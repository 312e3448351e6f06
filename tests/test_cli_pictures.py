"""`whisperbench compare --pictures`: files beside the verdicts, and Markdown that shows them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.pulls.artifacts import Left, Side
from tests.report.charts.small import make_pictured
from tests.report.rendered import rendered
from tests.report.test_inert import HOSTILE
from whisperbench.cli import app
from whisperbench.report.charts.all import charts_of
from whisperbench.report.charts.render import Picture
from whisperbench.report.illustrated import illustrated

WORSE = Left(head=Side(aten_ops=120.0))
SAME = Left()


def compare(folder: Path, left: Left, *more: str) -> Result:
    """Compare the counts of both sides, with pictures in a folder."""
    measured = left.write(folder / "measured")
    files = [str(measured / name) for name in ("base.json", "head.json")]
    return CliRunner().invoke(
        app, ["compare", *files, "--pictures", str(folder / "pictures"), *more]
    )


def test_markdown_shows_the_pictures(tmp_path: Path) -> None:
    """Each is a file for light pages and one for dark ones, and an element that names both."""
    done = compare(tmp_path, WORSE, "--format", "markdown")
    assert done.exit_code == 1
    made = rendered(done.stdout)
    shown = {value for tag, name, value in made.attributes if name in ("src", "srcset")}
    assert {Path(each) for each in shown} == {*(tmp_path / "pictures").iterdir()}
    assert all(value for tag, name, value in made.attributes if name == "alt")
    assert "2 pictures: " in done.stderr


def test_other_formats_stay_what_they_are(tmp_path: Path) -> None:
    """JSON is JSON, and the files are there."""
    done = compare(tmp_path, WORSE, "--format", "json")
    assert json.loads(done.stdout)["exit_code"] == 1
    assert (tmp_path / "pictures" / "changes-light.svg").exists()


@pytest.mark.parametrize(("left", "code"), [(WORSE, 1), (SAME, 2)])
def test_without_what_draws_the_verdicts_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: Left, code: int
) -> None:
    """They are printed, one line says what to install, and it is no pass."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    done = compare(tmp_path, left)
    assert done.exit_code == code
    assert "figures compared" in done.stdout
    assert "pip install -e '.[report]'" in done.stderr
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_said_of_a_picture_is_inert(text: str) -> None:
    """Titles and descriptions hold names of files; the elements are ours whatever they are."""
    charts = charts_of(make_pictured())
    hostile = {
        name: Picture(chart=replace(chart, title=text, alt=f'{text}" onerror="x'), inline="")
        for name, chart in charts.items()
    }
    plain = {
        name: Picture(chart=replace(chart, title="a", alt="b"), inline="")
        for name, chart in charts.items()
    }
    tags = [tag for tag in rendered(illustrated(hostile, "p")).tags if tag.strip("/") != "span"]
    assert tags == rendered(illustrated(plain, "p")).tags
    made = rendered(illustrated(hostile, "p"))
    assert {name for _, name, _ in made.attributes} == {"media", "srcset", "alt", "src"}
    assert made.open == []
