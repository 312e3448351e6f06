"""The lock of a card: who waits for whom, what it cannot be, and what the command is told."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.github.scripts import CARD, SCRIPTS, TIMEOUT_S, run


def test_the_lock_keeps_a_second_job_out(tmp_path: Path) -> None:
    """Two jobs on one card follow each other; a third on another card does not wait."""
    given = {"WHISPERBENCH_LOCKS": str(tmp_path), "CUDA_VISIBLE_DEVICES": CARD}
    first = subprocess.Popen(
        ["bash", str(SCRIPTS / "with-card.sh"), "sleep", "30"],
        env={"PATH": os.environ["PATH"], "GITHUB_REPOSITORY": "owner/first"} | given,
    )
    try:
        lock = tmp_path / f"{CARD}.lock"
        while not (lock.exists() and lock.read_text()):
            time.sleep(0.02)
        second = run("with-card.sh", "echo", "ran", WHISPERBENCH_LOCK_WAIT_S="0", **given)
        assert second.returncode == 75
        assert second.stdout == ""
        assert f"{CARD} is taken by owner/first" in second.stderr
        other = given | {"CUDA_VISIBLE_DEVICES": CARD.replace("90c3", "90c4")}
        assert run("with-card.sh", "echo", "ran", **other).stdout == "ran\n"
    finally:
        first.send_signal(signal.SIGTERM)
        first.wait(TIMEOUT_S)
    assert run("with-card.sh", "echo", "ran", **given).stdout == "ran\n"


def test_the_lock_is_held_by_what_the_job_left(tmp_path: Path) -> None:
    """A process that outlives its job keeps the card, because it may still be on it."""
    given = {"WHISPERBENCH_LOCKS": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    left = run("with-card.sh", "bash", "-c", "sleep 30 >/dev/null 2>&1 & echo $!", **given)
    try:
        second = run("with-card.sh", "true", WHISPERBENCH_LOCK_WAIT_S="0", **given)
        assert second.returncode == 75
    finally:
        os.kill(int(left.stdout), signal.SIGKILL)


def test_the_commands_code_is_handed_on(tmp_path: Path) -> None:
    """What runs under the lock ends as it would without."""
    given = {"WHISPERBENCH_LOCKS": str(tmp_path), "CUDA_VISIBLE_DEVICES": CARD}
    assert run("with-card.sh", "bash", "-c", "exit 3", **given).returncode == 3


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CUDA_VISIBLE_DEVICES": CARD}, "WHISPERBENCH_LOCKS is not set"),
        (
            {"WHISPERBENCH_LOCKS": "/nowhere", "CUDA_VISIBLE_DEVICES": CARD},
            "/nowhere: is no folder",
        ),
        ({"WHISPERBENCH_LOCKS": "{}"}, "CUDA_VISIBLE_DEVICES is not set"),
        ({"WHISPERBENCH_LOCKS": "{}", "CUDA_VISIBLE_DEVICES": "0"}, "name the UUID of one card"),
        (
            {"WHISPERBENCH_LOCKS": "{}", "CUDA_VISIBLE_DEVICES": f"{CARD},{CARD}"},
            "name the UUID of one card",
        ),
        ({"WHISPERBENCH_LOCKS": "{}", "CUDA_VISIBLE_DEVICES": "../x"}, "name the UUID of one card"),
    ],
    ids=str,
)
def test_without_a_lock_nothing_runs(variables: dict[str, str], said: str, tmp_path: Path) -> None:
    """What cannot be locked is one line, and the command is not started."""
    given = {name: text.format(tmp_path) for name, text in variables.items()}
    done = run("with-card.sh", "echo", "ran", **given)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    """A link in the lock's place, which a job could leave for root to write through, is refused."""
    locks, own = tmp_path / "locks", tmp_path / "own"
    locks.mkdir()
    own.write_text("mine")
    given = {"WHISPERBENCH_LOCKS": str(locks), "CUDA_VISIBLE_DEVICES": CARD}
    for target in (own, tmp_path / "nowhere"):
        (locks / f"{CARD}.lock").symlink_to(target)
        done = run("with-card.sh", "echo", "ran", **given)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{CARD}.lock: is a link" in done.stderr
        (locks / f"{CARD}.lock").unlink()
    assert own.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_the_folder_may_be_a_link(tmp_path: Path) -> None:
    """/var/lock is one on most machines: the lock is the file behind it."""
    (tmp_path / "locks").mkdir()
    (tmp_path / "link").symlink_to("locks")
    given = {"WHISPERBENCH_LOCKS": f"{tmp_path}/link/", "CUDA_VISIBLE_DEVICES": ""}
    assert run("with-card.sh", "echo", "ran", **given).stdout == "ran\n"
    assert (tmp_path / "locks" / "cpu.lock").read_text().startswith("pid ")


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed, and only root can be one")
def test_a_lock_of_root_serves_its_group() -> None:
    """Users of a group share a lock that root has made, in a folder that they cannot write.

    Neither may create a file there: a kernel with fs.protected_regular=2 opens no file of another
    user for writing where the opener asks for its creation.
    """
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    try:
        lock = folder / "cpu.lock"
        lock.touch()
        os.chown(lock, 0, 65534)
        lock.chmod(0o660)
        done = subprocess.run(
            ["bash", str(SCRIPTS / "with-card.sh"), "id", "-u"],
            env={"PATH": os.environ["PATH"], "CUDA_VISIBLE_DEVICES": ""}
            | {"WHISPERBENCH_LOCKS": str(folder)},
            user=4242,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.stdout == "4242\n", done.stderr
        other = run("with-card.sh", "id", WHISPERBENCH_LOCKS=f"{folder}/none")
        assert other.returncode == 2
    finally:
        shutil.rmtree(folder)


HANDED_ON = {"GITHUB_ACTIONS", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"}
FILES = ("ENV", "OUTPUT", "PATH", "STATE", "STEP_SUMMARY")
"""Files in which the runner takes what a step says to later ones."""


def test_measured_code_is_not_told_how_to_reach_later_steps(tmp_path: Path) -> None:
    """It finds neither the files by which steps speak to the next ones, nor a token.

    LD_PRELOAD in GITHUB_ENV would be loaded by the step that uploads, which has a token. And the
    runner takes nothing for a command that is printed until a word that nobody is told.
    """
    given = {f"GITHUB_{name}": str(tmp_path / name) for name in FILES}
    given |= {"GITHUB_TOKEN": "t", "GH_TOKEN": "t", "ACTIONS_RUNTIME_TOKEN": "t", "INPUT_A": "t"}
    given |= {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "o/p", "GITHUB_RUN_ID": "1"}
    given |= {
        "WHISPERBENCH_LOCKS": str(tmp_path),
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
    }
    done = run("with-card.sh", "env", **given)
    stopped, *found = done.stdout.splitlines()
    names = {line.partition("=")[0] for line in found}
    assert names >= {"PATH", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES"}
    told = ("ACTIONS_", "GH_", "GITHUB_", "INPUT_")
    assert {name for name in names if name.startswith(told)} == HANDED_ON
    assert re.fullmatch(r"::stop-commands::[0-9a-f-]{36}", stopped)
    assert stopped.removeprefix("::stop-commands::") not in "".join(found)
