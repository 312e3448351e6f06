"""The `whisperbench` command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import make_run_file
from whisperbench import __version__
from whisperbench.models import SIZES
from whisperbench.precisions import PRECISIONS


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from whisperbench.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_show_prints_the_summary(tmp_path: Path) -> None:
    """`show` prints what the run printed, from its file alone."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(make_run_file()), encoding="utf-8")
    done = _command("show", str(path))
    assert done.returncode == 0
    assert "nvidia-h200-sm90-140gib" in done.stdout
    assert "1 benchmarks asked for: 1 measured" in done.stdout


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_show_refuses_what_is_not_a_run(tmp_path: Path, content: str | None) -> None:
    """An unreadable file is one line on standard error and exit code 2."""
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    done = _command("show", str(path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"whisperbench: {path}: ")
    assert len(done.stderr.splitlines()) == 1


def test_list_names_everything() -> None:
    """`list` shows every size, precision and clip."""
    listed = _command("list").stdout
    for name in (*(f"dummy:{size}" for size in SIZES), *PRECISIONS, "harbour", "mountain"):
        assert name in listed


def test_version_and_bad_usage() -> None:
    """`--version` prints the version; an unknown command exits with 2."""
    assert _command("--version").stdout.strip() == f"whisperbench {__version__}"
    assert _command("frobnicate").returncode == 2
