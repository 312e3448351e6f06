"""A report of 500 cells: how large it is, and how long it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.report.page.large import make_large
from tests.runs import make_run_file

REFERENCE = (sys.executable, "-c", "import pytest, scipy, rich, typer")
"""What budgets are multiples of, for machines differ by 2.5."""

MOST_TIMES = 12
"""Of the reference's processor time. A quarter of it starts the engine that draws, beside the rest.
It takes 6 to 8 times here (docs/report.md)."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run.json, of 500 cells, and base.json."""
    made = tmp_path_factory.mktemp("large")
    for name, slower in (("run.json", 1.1), ("base.json", 1.0)):
        (made / name).write_bytes(msgspec.json.encode(make_run_file(make_large(slower=slower))))
    return made


def spent_s(*command: str, folder: Path) -> float:
    """Run a command, and return the seconds of processors that it took."""
    before = os.times()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = os.times()
    return (
        after.children_user
        + after.children_system
        - (before.children_user + before.children_system)
    )


def test_a_report_of_many_cells_is_quick(folder: Path) -> None:
    """It takes a small multiple of what the libraries take to import that any command needs."""
    report = (sys.executable, "-c", "from whisperbench.cli import main; main()", "report")
    taken_s = spent_s(*report, "run.json", "-o", "run.html", folder=folder)
    assert taken_s < MOST_TIMES * spent_s(*REFERENCE, folder=folder)
    assert (folder / "run.html").stat().st_size < 1_000_000


def test_a_report_against_a_base_is_small(folder: Path) -> None:
    """With thousands of verdicts the page stays under a megabyte, and says what it leaves out."""
    report = (sys.executable, "-c", "from whisperbench.cli import main; main()", "report")
    spent_s(*report, "run.json", "--baseline", "base.json", "-o", "base.html", folder=folder)
    page = folder / "base.html"
    assert page.stat().st_size < 1_000_000
    assert "more rows are left out here" in page.read_text(encoding="utf-8")
