"""Shards as an array of a real Slurm: of one node, which is this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import TIMEOUT_S
from whisperbench.asked.checkout import ROOT
from whisperbench.results.run_file import read_run

SCRIPTS = ROOT / "scripts" / "slurm"

needs_slurm = pytest.mark.skipif(
    not all(map(shutil.which, ("sbatch", "slurmctld", "slurmd", "munged"))) or os.geteuid() != 0,
    reason="needs slurm-wlm, munge and root",
)

Submit = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Slurm of one node with four slots; its configuration's path."""
    folder = tmp_path_factory.mktemp("slurm")
    node = str(SCRIPTS / "one_node.sh")
    started = subprocess.run(
        [node, "start", str(folder), "4"], capture_output=True, text=True, timeout=60, check=False
    )
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip().removeprefix("export SLURM_CONF=")
    subprocess.run([node, "stop", str(folder)], timeout=60, check=True)


@pytest.fixture
def submit(configuration: str, cache: Path, tmp_path: Path) -> Submit:
    """Submit shards by the committed script, as a user does, from the checkout."""

    def submitted(*arguments: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(_command(tmp_path)), os.environ["PATH"]])
        inherited = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
        return subprocess.run(
            [str(SCRIPTS / "submit.sh"), *arguments],
            cwd=ROOT,
            env=inherited
            | {
                "SLURM_CONF": configuration,
                "PATH": path,
                "PYTHONPATH": str(ROOT),
                "WHISPERBENCH_CACHE": str(cache),
            },
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    return submitted


def _command(folder: Path) -> Path:
    """Make this interpreter and this checkout's command what jobs find on PATH."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    command = "from whisperbench.cli import main; main()"
    for name, line in (("python", '"$@"'), ("whisperbench", f'-c "{command}" "$@"')):
        script = bin_folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {line}\n', encoding="utf-8")
        script.chmod(0o755)
    return bin_folder


@needs_slurm
def test_an_array_measures_and_a_job_merges(
    submit: Submit, quickest: tuple[str, ...], tmp_path: Path
) -> None:
    """Each task measures its shard, and the run that comes of them has every benchmark."""
    folder = tmp_path / "array"
    done = submit(
        *("2", str(folder), "--gres=gpu:1", "--", "benchmarks/test_stages.py", "--device", "cpu"),
        *(*quickest, "--precision", "fp32,bf16", "-k", "front_end"),
    )
    logs = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.log"))]
    assert done.returncode == 0, [done.stdout, done.stderr, *logs]
    assert "6 benchmarks asked for: 2 measured, 4 deselected" in done.stdout
    run = read_run(folder / "run.json")
    assert len(run.measurements) == 2
    assert run.unmeasured() == []
    shards = [read_run(folder / f"shard-{number}.json") for number in (1, 2)]
    assert [len(shard.measurements) for shard in shards] == [1, 1]


@needs_slurm
def test_an_array_that_measures_nothing_is_no_pass(submit: Submit, tmp_path: Path) -> None:
    """Where every task fails, the merging says where to look, and the script exits as it does."""
    folder = tmp_path / "array"
    done = submit("2", str(folder), "--", "--precision", "fp99")
    assert done.returncode == 4, [done.stdout, done.stderr]
    assert "no task of the array has written a shard" in done.stdout
    assert "fp99" in (folder / "shard-1.log").read_text(encoding="utf-8")
    again = submit("2", str(folder), "--", "--precision", "fp99")
    assert again.returncode == 2
    assert "name a folder that is not there yet" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "scripts/slurm/submit.sh SHARDS FOLDER"),
        (("none", "x"), "SHARDS none: must be a number"),
        (("0", "x"), "SHARDS 0: must be a number"),
    ],
)
def test_what_cannot_be_submitted_is_refused(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """It says how it is used, and makes no folder."""
    done = subprocess.run(
        ["bash", str(SCRIPTS / "submit.sh"), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_task_outside_of_an_array_is_refused(tmp_path: Path) -> None:
    """An array that does not begin with 1 would leave shards out."""
    for task in ({}, {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "3"}):
        numbers = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"} if task else {}
        done = subprocess.run(
            ["bash", str(SCRIPTS / "shard.sbatch"), str(tmp_path)],
            env={"PATH": os.environ["PATH"], **task, **numbers},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert "array" in done.stderr
