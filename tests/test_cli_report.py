"""The command `report`: what it writes, and what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pulls.artifacts import Left, Side
from tests.report.charts.small import make_small
from tests.runs import make_run_file
from whisperbench.cli import main

Said = tuple[int, str, str]
"""Exit code, standard output and standard error."""


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """The whole command, in a folder with run.json, base.json, bad.json and a comparison in ab/."""
    for name, slower in (("run.json", 1.5), ("base.json", 1.0)):
        content = json.dumps(make_run_file(make_small(slower=slower)))
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    steady = (1.0, 1.01, 0.99, 1.0)
    Left(base=Side(token_s=steady), head=Side(token_s=steady)).write(tmp_path / "ab")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: str) -> Said:
        monkeypatch.setattr("sys.argv", ["whisperbench", "report", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run_it


def test_a_report_is_one_page(command: Callable[..., Said], tmp_path: Path) -> None:
    """It is written whole, and its size is said."""
    code, said, err = command("run.json", "-o", "report.html")
    assert (code, err) == (0, "")
    assert said.startswith("report.html: ")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert 'id="changes"' not in page


def test_a_report_against_a_baseline_says_what_changed(
    command: Callable[..., Said], tmp_path: Path
) -> None:
    """With --baseline it has the verdict and its causes; its exit code judges nothing."""
    code, _, err = command("run.json", "--baseline", "base.json", "-o", "report.html")
    assert (code, err) == (0, "")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="changes"' in page
    assert "Worse than the base: " in page


def test_a_report_of_a_comparison_in_turns_has_its_pairs(
    command: Callable[..., Said], tmp_path: Path
) -> None:
    """The folder of whisperbench ab stands in place of a run."""
    code, _, err = command("ab", "-o", "report.html")
    assert (code, err) == (0, "")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="pairs"' in page
    assert "pair 4, round 1" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run.json", "-o", "report.pdf"), "name a file that ends in .html"),
        (("bad.json", "-o", "r.html"), "bad.json: not a whisperbench run"),
        (("absent.json", "-o", "r.html"), "absent.json: No such file"),
        (("run.json", "--baseline", "bad.json", "-o", "r.html"), "bad.json: not a whisperbench"),
        (("empty", "-o", "r.html"), "empty: there are no run files of a base and a head"),
        (("ab", "--baseline", "base.json", "-o", "r.html"), "has its base in it; leave it out"),
        (("run.json", "-o", "bad.json/r.html"), "cannot be written"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    command: Callable[..., Said], arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """Bad input ends with one line and the exit code of bad usage, and no page."""
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert [*tmp_path.glob("**/*.html")] == []


@pytest.mark.parametrize("package", ["vl_convert", "jinja2"])
def test_without_the_extra_one_line_says_what_to_install(
    command: Callable[..., Said], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has not installed the extra is told how."""
    monkeypatch.setitem(sys.modules, package, None)
    code, out, err = command("run.json", "-o", "report.html")
    assert (code, out) == (2, "")
    assert "pip install -e '.[report]'" in err
    assert err.count("\n") == 1
