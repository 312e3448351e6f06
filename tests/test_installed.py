"""The library without a checkout: what a wheel installs, in an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.judge.sharded import make_shard
from tests.runs import make_cell, make_cost, make_measurement, make_run, make_run_file
from whisperbench.asked.checkout import ROOT, find_checkout
from whisperbench.judge.comparison import NO_SUITE

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages that pyproject.toml puts into the wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("site-packages")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    return folder


@pytest.fixture
def command(installed: Path, tmp_path: Path) -> Command:
    """Run the installed command in a folder with two run files, the second of which costs more."""
    for name, ops in (("base.json", 100), ("head.json", 101)):
        run = make_run(make_cost(make_cell(tokens=4), {"aten_ops": ops}, gpu_ms=10.0))
        (tmp_path / name).write_text(json.dumps(make_run_file(run)), encoding="utf-8")
    timed = make_run_file(make_run(make_measurement()))
    (tmp_path / "timed.json").write_text(json.dumps(timed), encoding="utf-8")
    spoken = {"text": "yes", "pred_text": "yes", "lang": "en"}
    (tmp_path / "clips.jsonl").write_text(json.dumps(spoken), encoding="utf-8")

    def run_installed(*arguments: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from whisperbench.cli import main; main()", *arguments],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_installed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "base.json"), 0, "1 benchmark asked for: 1 measured"),
        (("score", "clips.jsonl"), 0, "1 clip, 1 word"),
        (("advise", "timed.json", "--card", "t4"), 3, "on an NVIDIA T4"),
        (("contenders", "timed.json"), 0, "And what should I take instead?"),
        (("compare", "base.json", "base.json"), 0, NO_SUITE),
        (("compare", "base.json", "head.json"), 1, "encoder_aten_ops: 100 to 101 (+1.00 %)"),
        (("baseline", "show", "base.json"), 0, "1 benchmark asked for: 1 measured"),
        (("baseline", "list", "base.json"), 0, "base.json: 1 benchmark, 1 process, NVIDIA H200"),
    ],
)
def test_what_only_reads_works_without_a_checkout(
    command: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """Results are shown, scored and compared wherever the library is installed."""
    done = command(*arguments)
    assert (done.returncode, done.stderr) == (code, "")
    assert said in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("limits", "--device", "cpu"),
        ("record", "--runs", "1"),
        ("baseline", "list"),
        ("baseline", "promote", "base.json"),
        ("baseline", "diff", "--since", "HEAD"),
        ("run", "--gpus", "all"),
        ("plan", "--gpus", "2"),
    ],
)
def test_what_needs_the_suite_says_where_to_run_it(
    command: Command, arguments: tuple[str, ...]
) -> None:
    """It is one line on standard error and exit code 2, before anything is read or measured."""
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"whisperbench: `whisperbench {arguments[0]}")
    assert "does not have: run it in a checkout of whisperbench" in line


def test_shards_are_merged_without_a_checkout(command: Command, tmp_path: Path) -> None:
    """A machine that measures nothing, as one that merges in CI, needs the library alone."""
    for number in (1, 2):
        (tmp_path / f"{number}.json").write_bytes(make_shard(number).data)
    done = command("merge", "1.json", "2.json", "-o", "run.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 measured" in done.stdout


def test_in_a_checkout_the_suite_is_that_ones(command: Command) -> None:
    """An installed library that is run in a checkout finds its clips, from any folder of it."""
    done = command("list", cwd=ROOT / "benchmarks")
    assert (done.returncode, done.stderr) == (0, "")
    assert "harbour" in done.stdout


def test_a_checkouts_own_package_is_not_led_astray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkout that a package lies in comes before the one around the current folder."""
    for name in ("mine", "other"):
        for file in ("benchmarks/suite.toml", "whisperbench/__init__.py"):
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    monkeypatch.chdir(tmp_path / "other" / "benchmarks")
    assert find_checkout(tmp_path / "mine" / "whisperbench") == tmp_path / "mine"
    assert find_checkout(tmp_path / "site-packages" / "whisperbench") == tmp_path / "other"
    monkeypatch.chdir(tmp_path)
    assert find_checkout(tmp_path / "site-packages" / "whisperbench") is None
