"""The processes of a side."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from whisperbench.ab.sides import NothingSelectedError, Side, SideError, SideProcess, ended_at_exit
from whisperbench.measure.turns.messages import PART_VARIABLE, TURNS_VARIABLE


def start(folder: Path, *lines: str, name: str = "base", **more: tuple[int, int]) -> SideProcess:
    """Start a shell script in place of an interpreter."""
    python = folder / "python"
    python.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    python.chmod(0o755)
    side = Side(name=name, python=python, suite=folder, own=(folder / "own",))
    return SideProcess(side, "wall", ["-q"], folder / "result.json", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["kill -KILL $$"], "was ended by SIGKILL, perhaps for want of memory"),
        (["kill -SEGV $$"], "was ended by SIGSEGV"),
        (["kill -40 $$"], "was ended by "),
        (["echo ERROR: no such model", "exit 4"], "exited with 4: no such model (all of its out"),
        (["exit 0"], "measured nothing: it said nothing (all of its output: "),
    ],
)
def test_how_a_process_ended(tmp_path: Path, lines: list[str], said: str) -> None:
    """Without a result it is an error that names the side and how its process ended."""
    with pytest.raises(SideError) as raised:
        start(tmp_path, *lines, name="head").finish()
    assert str(raised.value).startswith(f"the head's process {said}")


def test_nothing_selected_is_told_apart(tmp_path: Path) -> None:
    """pytest's code for no tests is no failure of the side."""
    with pytest.raises(NothingSelectedError):
        start(tmp_path, "exit 5").finish()


def test_an_old_result_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    """A file of the same name goes before the process starts."""
    (tmp_path / "result.json").write_text("of an earlier run")
    with pytest.raises(SideError):
        start(tmp_path, "exit 0").finish()
    assert not (tmp_path / "result.json").exists()


def test_a_process_that_cannot_be_started(tmp_path: Path) -> None:
    """It is one line, with the interpreter."""
    side = Side(name="base", python=tmp_path / "absent", suite=tmp_path)
    with pytest.raises(SideError, match=r"the base's process cannot be started with .*absent: No"):
        SideProcess(side, "wall", [], tmp_path / "result.json")


def test_what_a_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its part, channel, own code and where its result goes; nothing of our own packages."""
    monkeypatch.setenv("PYTHONPATH", "/ours")
    read_fd, write_fd = os.pipe()
    process = start(
        tmp_path, 'env > told; echo "$@" >> told; pwd >> told', descriptors=(read_fd, write_fd)
    )
    with pytest.raises(SideError):
        process.finish()
    os.close(read_fd)
    os.close(write_fd)
    lines = (tmp_path / "told").read_text().splitlines()
    assert f"{PART_VARIABLE}=wall" in lines
    assert f"{TURNS_VARIABLE}={read_fd},{write_fd}" in lines
    assert f"PYTHONPATH={tmp_path / 'own'}" in lines
    result = tmp_path / "result.json"
    assert f"-m pytest -p no:cacheprovider benchmarks -q --result {result}" in lines
    assert lines[-1] == str(tmp_path)


def test_all_processes_end_with_the_block(tmp_path: Path) -> None:
    """Whatever ends it: each is interrupted, so that it can clear up."""
    processes: list[SideProcess] = []

    def fail() -> None:
        with ended_at_exit(processes):
            for number in range(2):
                folder = tmp_path / str(number)
                folder.mkdir()
                processes.append(
                    start(
                        folder,
                        "trap 'echo > cleared; exit 1' INT",
                        "echo > here",
                        "while :; do sleep 0.05; done",
                    )
                )
                while not (folder / "here").exists():
                    time.sleep(0.01)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not [each for each in processes if psutil.pid_exists(each.pid)]
    assert all((tmp_path / str(number) / "cleared").exists() for number in range(2))


def test_a_second_ctrl_c_kills_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is interrupted while the first process is given time to end leaves none behind."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    folders = [tmp_path / str(number) for number in range(2)]
    for folder in folders:
        folder.mkdir()
    processes = [start(folder, "trap '' INT", "exec sleep 60") for folder in folders]
    monkeypatch.setattr(SideProcess, "end", interrupted)
    with pytest.raises(KeyboardInterrupt), ended_at_exit(processes):
        pass
    assert not [each for each in processes if psutil.pid_exists(each.pid)]


def test_what_a_killed_process_has_started_ends_too(tmp_path: Path) -> None:
    """One that cannot be interrupted, as where Ctrl-C is ignored, leaves none of its own behind."""
    child = tmp_path / "child"
    process = start(
        tmp_path, "trap '' INT", "sleep 60 &", "echo $! > started", "mv started child", "wait"
    )
    while not child.exists():
        time.sleep(0.01)
    started = psutil.Process(int(child.read_text()))
    process.kill()
    assert not psutil.pid_exists(process.pid)
    psutil.wait_procs([started], timeout=10)
    assert not started.is_running() or started.status() == psutil.STATUS_ZOMBIE
