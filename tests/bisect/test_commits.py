"""Bisection over the commits of a repository that builds a package."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.bisect.test_releases import made_up
from whisperbench.bisect.commits import bisect_commits
from whisperbench.bisect.measuring import Measurer
from whisperbench.cli import app
from whisperbench.errors import InputError, InvalidMeasurementError
from whisperbench.results.records import Run

BACKEND = """
import pathlib, zipfile
def build_wheel(folder, settings=None, metadata=None):
    text = pathlib.Path("planted.py").read_text()
    if "broken" in text:
        raise SystemExit("error: no compiler")
    assert not pathlib.Path("left").exists()
    pathlib.Path("left").touch()
    name, info = "planted-1.0-py3-none-any.whl", "planted-1.0.dist-info"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("planted.py", text)
        about = "Metadata-Version: 2.1\\nName: planted\\nVersion: 1.0\\n"
        wheel.writestr(f"{info}/METADATA", about)
        tag = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(f"{info}/WHEEL", tag)
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""


class Counting(Measurer):
    """Takes the counts of a wheel from its source, where a real run would count."""

    def run_of(self, requirement: str, name: str) -> Run:  # noqa: ARG002 - as the real one
        """Return a made-up run."""
        with zipfile.ZipFile(requirement) as wheel:
            return made_up(float(wheel.read("planted.py").decode().partition("=")[2]))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of twelve commits, whose seventh grew; the fifth does not build."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / "a repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    for number in range(12):
        count = 140 if number >= 7 else 100
        text = f"count = {count}\n" if number != 5 else "broken"
        (folder / "planted.py").write_text(text)
        (folder / "changes.txt").write_text(f"{number}\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", f"change {number}")
        git(folder, "tag", f"v{number}")
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path / 'hooked'}'\n")
    hook.chmod(0o755)
    return folder


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody."""
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def bisected(repository: Path, text: str, package: str = "planted") -> tuple[list[str], list[str]]:
    """Bisect; return what was said and what was answered."""
    said: list[str] = []
    measurer = Counting(python=Path(sys.executable), arguments=[], say=said.append)
    answer = bisect_commits(repository, package, text, measurer, say=said.append)
    return said, list(answer.lines)


def test_the_commit_and_its_cause(repository: Path, tmp_path: Path) -> None:
    """The first bad commit is found by git, and the repository stays as it was, hooks unrun."""
    (repository / "planted.py").write_text("an edit that is not committed")
    before = git(repository, "status", "--porcelain", "--branch"), git(repository, "branch", "-a")
    said, answer = bisected(repository, "v0..main")
    commit = git(repository, "rev-parse", "v7").strip()
    assert answer[0].startswith(f"{commit} is the first bad commit: {commit[:7]}")
    assert answer[0].endswith("(change 7)")
    assert "100 to 140 (+40.00%): +10 aten::mul a token, from Linear" in answer[1]
    assert any(line.startswith("skipped: ") and "no compiler" in line for line in said), said
    assert len(said) <= 4 + 6
    after = git(repository, "status", "--porcelain", "--branch"), git(repository, "branch", "-a")
    assert after == before
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert not list((tmp_path / "cache").glob("bisect-*"))
    assert not (tmp_path / "hooked").exists()


@pytest.mark.parametrize(("checked_out", "code"), [("v3", 0), ("v5", 125), ("v8", 1)])
def test_a_step_of_git_bisect_run(
    repository: Path, monkeypatch: pytest.MonkeyPatch, checked_out: str, code: int
) -> None:
    """Where a bisection is under way the command judges what is checked out, in git's codes."""
    monkeypatch.setattr(Measurer, "run_of", Counting.run_of)
    git(repository, "bisect", "start", "main", "v0")
    git(repository, "checkout", "-q", checked_out)
    command = ["bisect", "planted", "v0..main", "--git", str(repository)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == code, done.output
    # Any code under 128 but 125 would make the commit a bad one.
    done = CliRunner().invoke(app, ["bisect", "another", *command[2:]])
    assert done.exit_code == 255
    assert "the repository builds planted, and not another" in done.output


def test_revisions_that_are_none(repository: Path, tmp_path: Path) -> None:
    """Each way to name no two commits of the package's repository is one line."""
    for text, line in (
        ("v0", "'v0' is no range: write GOOD..BAD, two revisions"),
        ("v7..v0", "v7..v0: v7 is newer than v0; write the older revision, which is good, first"),
        ("v0..v0", "v0..v0: both ends are the same commit"),
        ("v0..v99", f"{repository}: has no one revision 'v99'"),
        ("v0..--all", f"{repository}: has no one revision '--all'"),
        ("v0..v1", "is not worse than"),
    ):
        with pytest.raises(InputError) as raised:
            bisected(repository, text)
        assert line in str(raised.value)
    with pytest.raises(InputError, match="the repository builds planted, and not transformers: na"):
        bisected(repository, "v0..v7", "transformers")
    with pytest.raises(InvalidMeasurementError, match=r"the good end cannot be .*compiler"):
        bisected(repository, "v5..v7")
    with pytest.raises(InputError, match="git rev-parse: fatal: not a git repository"):
        bisected(tmp_path, "v0..v1")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    with pytest.raises(InputError, match="the clone is shallow: git fetch --unshallow"):
        bisected(tmp_path / "shallow", "v0..main")
