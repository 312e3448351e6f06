"""The section of a page that tells what has changed over recordings."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.report.recorded import RECORDINGS, write_recorded
from whisperbench.cli import app

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with a history whose model has a hostile name."""
    folder = tmp_path_factory.mktemp("history")
    newest = write_recorded(folder / "recorded", HOSTILE)
    output = folder / "report.html"
    asked = ["report", str(newest), "--history", str(folder / "recorded"), "-o", str(output)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    return output.read_text(encoding="utf-8")


def test_the_history_stands_before_the_environment(page: str) -> None:
    """The run counts once, though it lies in the folder; what changed has tables and pictures."""
    assert page.index('id="history"') < page.index('id="environment"')
    assert f"<p>{RECORDINGS} recordings, 2026-01-01 12:00" in page
    assert "differing: transformers 5.17.0 to 5.18.0" in page
    assert "6.001 to 7.493 s (+24.86 %)" in page
    assert "Times over the recordings" in page


def test_names_in_recordings_do_nothing(page: str) -> None:
    """They are text, in the tables as in the pictures."""
    assert HOSTILE not in page
    assert "&lt;img" in page


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_recordings(tmp_path: Path, there: bool) -> None:
    """It is one clear line, and no page is written."""
    newest = write_recorded(tmp_path / "recorded")
    empty = tmp_path / "empty"
    if there:
        empty.mkdir()
    done = CliRunner().invoke(
        app, ["report", str(newest), "--history", str(empty), "-o", str(tmp_path / "r.html")]
    )
    assert done.exit_code != 0
    assert not (tmp_path / "r.html").exists()
    said = "holds no recorded run" if there else "there is no such folder"
    assert said in str(done.exception)
