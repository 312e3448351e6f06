"""The picture of a report that the README shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.report_picture import take
from tests.report.charts.small import make_pictured
from whisperbench.asked.checkout import ROOT
from whisperbench.report.page.html import as_html
from whisperbench.report.page.sections import page_of

MOST_BYTES = 300_000
PNG = b"\x89PNG\r\n\x1a\n"


def test_the_committed_picture_is_small() -> None:
    """A picture that every visitor of the repository loads takes under 300 kB."""
    picture = ROOT / "docs" / "pictures" / "report.png"
    assert picture.read_bytes().startswith(PNG)
    assert picture.stat().st_size < MOST_BYTES


@pytest.mark.skipif(
    not (shutil.which("chromium") or shutil.which("chromium-browser")),
    reason="there is no chromium on PATH",
)
def test_a_picture_is_taken(tmp_path: Path) -> None:
    """The script writes what a browser shows of a page."""
    page = tmp_path / "report.html"
    page.write_text(as_html(page_of(make_pictured(), {})), encoding="utf-8")
    take(page, tmp_path / "pictures" / "report.png")
    assert (tmp_path / "pictures" / "report.png").read_bytes().startswith(PNG)
