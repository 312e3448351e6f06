"""The script that measures: what it refuses, and what a job that is cancelled leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.ab.stand_in import SLEEP
from tests.github.interpreter import clean_variables
from tests.github.machines import programs, project, suite
from whisperbench.asked.checkout import ROOT
from whisperbench.errors import ExitCode

SCRIPT = ".github/actions/measure/measure.sh"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TIMEOUT_S = 60


@pytest.mark.parametrize(
    "commit", ["", "main", COMMIT[:39], COMMIT.upper(), f"{COMMIT}\n::error::x"]
)
@pytest.mark.parametrize("name", ["WHISPERBENCH_BASE", "WHISPERBENCH_HEAD"])
def test_what_is_no_commit(name: str, commit: str, tmp_path: Path) -> None:
    """A branch, a shortened hash or none is one line, before anything is installed."""
    variables = {"WHISPERBENCH_BASE": COMMIT, "WHISPERBENCH_HEAD": COMMIT, name: commit}
    done = subprocess.run(
        ["bash", str(ROOT / SCRIPT)],
        env=clean_variables() | variables | {"RUNNER_TEMP": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == ExitCode.USAGE
    assert "is no commit: name all 40 digits of its hash" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert not list(tmp_path.iterdir())


TELLS = """#!/usr/bin/env bash
env -0 >"$TOLD"
exit 7
"""
"""Stands where the measurement is started, and tells what it finds."""


def measured_with(tmp_path: Path, **variables: str) -> dict[str, str]:
    """Run the script; return the variables that the measurement finds."""
    copied = suite(tmp_path / "suite")
    (copied / "scripts" / "runner" / "with-card.sh").write_text(TELLS)
    own = programs(tmp_path / "programs")
    done = subprocess.run(
        ["bash", str(copied / SCRIPT)],
        env=clean_variables()
        | {
            "PATH": f"{own}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TEMP": str(tmp_path / "temp"),
            "TOLD": str(tmp_path / "told"),
            "WHISPERBENCH_BASE": COMMIT,
            "WHISPERBENCH_HEAD": COMMIT,
        }
        | variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    pairs = (tmp_path / "told").read_text().rstrip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


def test_nothing_is_fetched(tmp_path: Path) -> None:
    """The measurement is told to stay away from the hub, and to keep its files in this job."""
    found = measured_with(tmp_path)
    assert (found["HF_HUB_OFFLINE"], found["TRANSFORMERS_OFFLINE"]) == ("1", "1")
    assert found["WHISPERBENCH_CACHE"] == str(tmp_path / "temp" / "whisperbench" / "cache")


@pytest.mark.parametrize(
    ("given", "wait_s"),
    [
        ({}, "1800"),
        ({"WHISPERBENCH_MINUTES": "90"}, "2700"),
        ({"WHISPERBENCH_MINUTES": "90", "WHISPERBENCH_LOCK_WAIT_S": "5"}, "5"),
    ],
    ids=str,
)
def test_the_wait_leaves_time_to_measure(
    given: dict[str, str], wait_s: str, tmp_path: Path
) -> None:
    """A job waits for the card for half of its minutes, unless the runner says how long."""
    found = measured_with(tmp_path, **given)
    assert found["WHISPERBENCH_LOCK_WAIT_S"] == wait_s


@pytest.mark.parametrize("minutes", ["0", "1.5", "many", "-1", "07", "99999", "1\n::error::x"])
def test_what_is_no_number_of_minutes(minutes: str, tmp_path: Path) -> None:
    """It is one line, before anything is installed."""
    done = subprocess.run(
        ["bash", str(ROOT / SCRIPT)],
        env=clean_variables()
        | {
            "RUNNER_TEMP": str(tmp_path),
            "WHISPERBENCH_BASE": COMMIT,
            "WHISPERBENCH_HEAD": COMMIT,
            "WHISPERBENCH_MINUTES": minutes,
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == ExitCode.USAGE
    assert "is no number of minutes" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_job_that_is_cancelled(number: signal.Signals, tmp_path: Path) -> None:
    """The runner signals the step's shell alone: all processes end, and the card is free again."""
    base, head = project(tmp_path / "project", {}, {"at": {"counts": SLEEP}}, thresholds="")
    locks = tmp_path / "locks"
    locks.mkdir()
    own = programs(tmp_path / "programs")
    process = subprocess.Popen(
        ["bash", str(suite(tmp_path / "suite") / SCRIPT)],
        env=clean_variables()
        | {
            "PATH": f"{own}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TEMP": str(tmp_path / "temp"),
            "WHISPERBENCH_BASE": base,
            "WHISPERBENCH_HEAD": head,
            "WHISPERBENCH_DEVICE": "cpu",
            "WHISPERBENCH_LOCKS": str(locks),
            "WHISPERBENCH_OPTIONS": "--fast",
            "WHISPERBENCH_CHECKOUT": str(tmp_path / "project"),
            "CUDA_VISIBLE_DEVICES": "",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    cache = tmp_path / "temp" / "whisperbench" / "cache" / "scratch"
    try:
        while len(list(cache.glob("*/interpreter/told"))) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(number)
        said, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "interrupted: this is what was known by then" in said
    assert not [each for each in cache.iterdir() if each.is_dir()]
    done = subprocess.run(
        ["flock", "--nonblock", str(locks / "cpu.lock"), "true"], check=False, timeout=TIMEOUT_S
    )
    assert done.returncode == 0
