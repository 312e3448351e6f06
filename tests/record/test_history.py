"""The recordings of a folder, and what git remembers of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.report.recorded import make_recorded, write_recorded
from whisperbench.cli import app
from whisperbench.errors import InputError
from whisperbench.record.history import read_history


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, as nobody in particular."""
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def contents() -> list[str]:
    """Return the content of each recording, the oldest first."""
    return [json.dumps(content) for content in make_recorded()]


def test_files_of_a_folder_and_of_those_in_it(tmp_path: Path) -> None:
    """Each run file is a recording; what is none is left out, and that is said."""
    first, second, *_ = contents()
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "default.json").write_text(first)
    (tmp_path / "other.json").write_text(second)
    (tmp_path / "verdicts.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("no recording")
    found, remarks = read_history(tmp_path)
    assert sorted(each.name for each in found) == ["device/default.json", "other.json"]
    (remark,) = remarks
    assert remark.startswith("1 file of the history is left out: verdicts.json: ")


def test_a_committed_baseline_has_its_earlier_versions(tmp_path: Path) -> None:
    """Each version that was committed is a recording, and so is what lies there now."""
    folder = tmp_path / "baselines" / "device"
    folder.mkdir(parents=True)
    git(tmp_path, "init", "-q")
    versions = contents()[:4]
    for version in versions[:3]:
        (folder / "default.json").write_text(version)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-q", "-m", "Move the baseline")
    (folder / "default.json").write_text(versions[3])
    found, remarks = read_history(folder)
    assert sorted(each.commit[:2] for each in found) == ["01", "02", "03", "04"]
    assert remarks == []
    whole, _ = read_history(tmp_path / "baselines")
    assert len(whole) == 4


def test_a_baseline_that_is_gone_is_remembered(tmp_path: Path) -> None:
    """A file that was committed and taken away is a recording too."""
    git(tmp_path, "init", "-q")
    (tmp_path / "a.json").write_text(contents()[0])
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Record")
    (tmp_path / "a.json").unlink()
    found, _ = read_history(tmp_path)
    assert [each.name for each in found] == ["a.json"]


@pytest.mark.parametrize("what", ["nothing", "other", "absent"])
def test_a_folder_without_a_recording(tmp_path: Path, what: str) -> None:
    """It is refused in a line."""
    folder = tmp_path / "a"
    if what != "absent":
        folder.mkdir()
    if what == "other":
        (folder / "a.json").write_text("[]")
    with pytest.raises(InputError, match="no such folder" if what == "absent" else "no recorded"):
        read_history(folder)


def test_the_command_prints_what_changed(tmp_path: Path) -> None:
    """Between which recordings, with which versions, and what the change is made of."""
    write_recorded(tmp_path / "recorded")
    (tmp_path / "recorded" / "other.json").write_text("{}")
    done = CliRunner().invoke(app, ["baseline", "history", str(tmp_path / "recorded")])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("16 recordings, 2026-01-01 12:00")
    assert "  differing: transformers 5.17.0 to 5.18.0" in lines
    assert any("+8 aten::to a token, from Linear8bitLt" in line for line in lines)
    assert lines[-1].startswith("1 file of the history is left out: other.json: ")
