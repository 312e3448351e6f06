"""Bisection over the commits of a repository that builds a package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.bisect.test_releases import made_up
from whisperbench.bisect.commits import bisect_commits
from whisperbench.bisect.git import Git
from whisperbench.bisect.measuring import Measurer
from whisperbench.cli import app
from whisperbench.errors import InputError, InvalidMeasurementError, NotInstallableError
from whisperbench.results.records import Run
from whisperbench.versions.pip import Pip

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


@pytest.fixture(scope="session")
def twelve_commits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of twelve commits, whose seventh grew; the fifth does not build."""
    folder = tmp_path_factory.mktemp("commits")
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
    return folder


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, twelve_commits: Path) -> Path:
    """A copy of that repository, in a path with a space, with a hook."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / "a repository"
    shutil.copytree(twelve_commits, folder)
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path / 'hooked'}'\n")
    hook.chmod(0o755)
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call the repository's build backend without pip, which takes seconds a commit."""

    def wheel_of(_: Pip, source: Path, folder: Path, python: Path) -> Path:
        program = f"import backend; print(backend.build_wheel({str(folder)!r}))"
        done = subprocess.run(
            [python, "-B", "-c", program], cwd=source, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NotInstallableError(f"{source}: pip cannot install it: {done.stderr}")
        return folder / done.stdout.strip()

    monkeypatch.setattr(Pip, "wheel_of", wheel_of)


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


def test_pip_builds_a_commit(repository: Path) -> None:
    """A commit's wheel is pip's; where that cannot be built, the build's own last word is told."""
    _, answer = bisected(repository, "v6..v7")
    assert answer[0].endswith("(change 7)")
    with pytest.raises(InvalidMeasurementError, match=r"the good end cannot be .*compiler"):
        bisected(repository, "v5..v7")


@pytest.mark.usefixtures("quick")
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


@pytest.mark.usefixtures("quick")
def test_a_build_that_rewrites_files(repository: Path) -> None:
    """A build that rewrites a tracked file neither stops git nor gets into the next wheel."""
    for number in range(12, 16):
        text = (repository / "backend.py").read_text()
        rewriting = "pathlib.Path('changes.txt').write_text(__import__('uuid').uuid4().hex)"
        if rewriting not in text:
            text = text.replace("    name, info =", f"    {rewriting}\n    name, info =")
        (repository / "backend.py").write_text(text)
        (repository / "planted.py").write_text(f"count = {140 + 60 * (number > 14)}\n")
        (repository / "changes.txt").write_text(f"{number}\n")
        git(repository, "commit", "-q", "-a", "-m", f"change {number}")
    _, answer = bisected(repository, "HEAD~3..main")
    assert answer[0].endswith("(change 15)")


@pytest.mark.usefixtures("quick")
def test_git_that_does_not_go_on(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that git names twice ends the search with git's words, and not never."""
    plain = Git.run

    def stuck(git: Git, *arguments: str, fails: bool = False) -> str:
        if arguments[:2] in (("bisect", "good"), ("bisect", "bad")):
            return "error: cannot\n"
        return plain(git, *arguments, fails=fails)

    monkeypatch.setattr(Git, "run", stuck)
    with pytest.raises(InputError, match=r"git bisect does not go on from .*: error: cannot"):
        bisected(repository, "v6..main")


@pytest.mark.usefixtures("quick")
def test_other_worktrees_are_let_be(repository: Path, tmp_path: Path) -> None:
    """A worktree on a disk that is not there stays known; what a kill left of ours does not."""
    git(repository, "worktree", "add", "-q", str(tmp_path / "away"), "v1")
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    (tmp_path / "cache").mkdir()
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "cache/bisect-x"), "v1")
    bisected(repository, "v6..v7")
    listed = git(repository, "worktree", "list")
    assert str(tmp_path / "away") in listed
    assert "bisect-" not in listed
    assert not list((tmp_path / "cache").glob("bisect-*"))


@pytest.mark.usefixtures("quick")
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


@pytest.mark.usefixtures("quick")
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
    with pytest.raises(InputError, match="git rev-parse: fatal: not a git repository"):
        bisected(tmp_path, "v0..v1")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    with pytest.raises(InputError, match="the clone is shallow: git fetch --unshallow"):
        bisected(tmp_path / "shallow", "v0..main")
