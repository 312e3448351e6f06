"""What a pull request changes in baselines, as Markdown. No figure here was measured."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from tests.runs import MACHINE, make_cell, make_cost, make_run, make_run_file
from whisperbench.cli import app
from whisperbench.errors import InputError
from whisperbench.record import baselines as baseline
from whisperbench.results.records import Machine


def write(path: Path, ops: int, machine: Machine = MACHINE, precision: str = "fp16") -> Path:
    """Write a run of one cost."""
    row = make_cost(make_cell(precision, tokens=4), {"aten_ops": ops}, gpu_ms=10.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(make_run_file(make_run(row, machine=machine))), encoding="utf-8")
    return path


def diff(*arguments: object) -> Result:
    """Run `whisperbench baseline diff`."""
    return CliRunner().invoke(app, ["baseline", "diff", *map(str, arguments)])


def test_a_change_is_told_in_figures_and_versions(tmp_path: Path) -> None:
    """What grew and shrank stands there with both figures, and so does a library that changed."""
    newer = msgspec.structs.replace(MACHINE, versions=MACHINE.versions | {"torch": "9.9"})
    old, new = write(tmp_path / "old.json", 100), write(tmp_path / "new.json", 97, newer)
    done = diff(old, new)
    assert done.exit_code == 0
    assert "- was: 1 benchmark, 1 process, NVIDIA H200 (nvidia-h200-sm90-140gib)" in done.stdout
    assert "| improved | cost, owner/whisper fp16, harbour, 4 tokens | encoder\\_aten\\_ops |" in (
        done.stdout
    )
    assert "100 to 97 (-3.00 %)" in done.stdout
    assert "- suspect: torch was 2.11.0 and is 9.9" in done.stdout
    assert "4 figures compared: 2 improved, 2 ok" in done.stdout


def test_no_text_of_a_baseline_is_markup(tmp_path: Path) -> None:
    """A device that is called like a picture and a person stays text."""
    strange = msgspec.structs.replace(MACHINE, device="<img src=x> @somebody `x` | y")
    (said,) = [
        line
        for line in diff(
            write(tmp_path / "a.json", 1, strange), write(tmp_path / "b.json", 1)
        ).stdout.splitlines()
        if line.startswith("- was")
    ]
    assert "\\<img src=x\\> &#64;&#8203;somebody \\`x\\` \\| y" in said


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose only commit has two baselines."""
    monkeypatch.setattr(baseline, "FOLDER", tmp_path / "baselines")
    write(tmp_path / "baselines" / "one" / "default.json", 100)
    write(tmp_path / "baselines" / "two" / "default.json", 100)
    own = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "."), (*own, "commit", "-qm", "first")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_all_that_differs_from_a_commit_is_told(repository: Path) -> None:
    """Changed, new and removed baselines have a section each; one that is as it was has none."""
    assert diff("--since", "HEAD").stdout == "no baseline differs from HEAD\n"
    folder = repository / "baselines"
    write(folder / "one" / "default.json", 101)
    (folder / "two" / "default.json").rename(folder / "two" / "other.json")
    sections = diff("--since", "HEAD").stdout.split("### ")[1:]
    assert [section.splitlines()[0] for section in sections] == [
        "baselines/one/default.json",
        "baselines/two/default.json",
        "baselines/two/other.json",
    ]
    assert "| regressed |" in sections[0]
    assert "This baseline is gone." in sections[1]
    assert "is new; its figures: whisperbench baseline show baselines/two/" in sections[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name two files, OLD and NEW, or --since REVISION"),
        (("a.json",), "name two files"),
        (("a.json", "b.json", "--since", "HEAD"), "name two files"),
        (("a.json", "b.json"), "a.json: No such file or directory"),
        (("--since", "nowhere"), "nowhere: git says: "),
        (("--since", "--output=x"), "--output=x: is no revision"),
    ],
)
def test_what_cannot_be_told_is_one_line(
    repository: Path, arguments: tuple[str, ...], said: str
) -> None:
    """Too few files, both ways at once, and a revision that git does not know."""
    done = diff(*arguments)
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith(said)
    assert "\n" not in str(done.exception)
    assert sorted(repository.iterdir()) == [repository / ".git", repository / "baselines"]
