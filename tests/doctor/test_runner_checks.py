"""The doctor on the runner of GitHub Actions: its version, its age, and its hook."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from whisperbench.devices.choosing import open_device
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.doctor import runner_checks
from whisperbench.doctor.checks import Answer, Patient
from whisperbench.doctor.runner_checks import actions_runner


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find no runner of this machine's own."""
    monkeypatch.setattr(runner_checks, "USUAL", ())
    for name in (runner_checks.FOLDER, "RUNNER_TEMP", runner_checks.HOOK):
        monkeypatch.delenv(name, raising=False)


def examined() -> Answer:
    """Make the check."""
    return actions_runner(Patient(accelerator=CpuAccelerator(), device=open_device("cpu")))


def install(folder: Path, said: str, days: float = 3, hook: str = "/opt/job-started.sh") -> Path:
    """Make a runner that answers with a text, and is so old."""
    listener = folder / "bin" / "Runner.Listener"
    listener.parent.mkdir(parents=True)
    listener.write_text(f"#!/bin/sh\n{said}\n")
    listener.chmod(0o755)
    (folder / ".runner").write_text("{}")
    (folder / ".env").write_text(f"LANG=C.UTF-8\n{runner_checks.HOOK}={hook}\n" if hook else "")
    then = time.time() - days * 86400
    os.utime(listener, (then, then))
    return folder


def test_no_runner() -> None:
    """A machine without one is fit."""
    assert examined() == ("fine", "none is installed at the usual places")


@pytest.mark.parametrize(
    ("said", "days", "hook", "state", "text"),
    [
        ("echo 2.336.0", 3, "/opt/job-started.sh", "fine", "2.336.0 in "),
        ("echo 2.329.0", 3, "/opt/job-started.sh", "fine", "3 days old"),
        ("echo 2.328.0", 3, "/opt/job-started.sh", "unfit", "GitHub takes none before 2.329.0"),
        ("echo 2.336.0", 31, "/opt/job-started.sh", "advice", "is 31 days old"),
        ("echo 2.336.0", 3, "", "advice", "so that it refuses no job"),
        ("exit 7", 3, "", "unfit", "it exits with 7"),
        ("echo no such library >&2", 3, "", "unfit", "(no such library)"),
    ],
)
def test_a_runner(
    said: str,
    days: float,
    hook: str,
    state: str,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An old one, one that lapses, one without a hook and one that does not run are told apart."""
    install(tmp_path, said, days, hook)
    monkeypatch.setenv(runner_checks.FOLDER, str(tmp_path))
    found = examined()
    assert found[0] == state
    assert text in found[1]


def test_a_runner_that_is_copied_for_each_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without a configuration takes no job, so that it needs no hook; its age counts."""
    install(tmp_path, "echo 2.336.0", hook="")
    (tmp_path / ".runner").unlink()
    monkeypatch.setenv(runner_checks.FOLDER, str(tmp_path))
    assert examined()[0] == "fine"
    assert "it is copied for each job" in examined()[1]
    then = time.time() - 31 * 86400
    os.utime(tmp_path / runner_checks.LISTENER, (then, then))
    assert examined()[0] == "advice"
    assert "is 31 days old" in examined()[1]


def test_the_runner_of_this_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a job the runner that runs it is found, without being named."""
    install(tmp_path, "echo 2.336.0")
    monkeypatch.setenv("RUNNER_TEMP", str(tmp_path / "_work" / "_temp"))
    assert examined()[1].startswith(f"2.336.0 in {tmp_path}")
