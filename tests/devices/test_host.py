"""The host as a device: whose memory is counted, and what happens when a process goes away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.scripted import MIB, FakeClock
from whisperbench.devices.device import Conditions
from whisperbench.devices.host import CHILDREN_INTERVAL_S, HostDevice, cpu_name
from whisperbench.errors import DeviceError

BLOCK = 64 * MIB

HOLDER = f"""
import sys
block = b"x" * {BLOCK}  # written to, and so resident
print(flush=True)
sys.stdin.read()
"""

FOREMAN = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", {HOLDER!r}])
child.wait()
"""


class Worker:
    """A process of Python that says when it is ready and stays until its input is closed."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.pid = self.process.pid

    def __enter__(self) -> Worker:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it, if it has not ended, and take note of its end."""
        if self.process.returncode is None:
            self.process.communicate()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock by which the host looks for children."""
    clock = FakeClock()
    monkeypatch.setattr("whisperbench.devices.host.time", SimpleNamespace(monotonic=clock))
    return clock


def _held(device: HostDevice, pid: int) -> int:
    found = device.processes(pid)
    assert set(found) == {pid}, "others of the host's processes are there too"
    held = found[pid]
    assert held is not None
    return held


def _rss(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def test_a_process_is_counted_by_its_resident_memory() -> None:
    """The figure is the process's RSS, as psutil has it."""
    with Worker(HOLDER) as worker:
        held, rss = _held(HostDevice(), worker.pid), _rss(worker.pid)
    assert BLOCK < held < 2 * BLOCK
    assert held == pytest.approx(rss, abs=MIB)


def test_this_process_can_be_watched_from_inside() -> None:
    """A process's own memory is readable, and not nothing."""
    assert _held(HostDevice(), os.getpid()) >= _rss(os.getpid()) * 0.9 > 0


def test_children_are_counted_in() -> None:
    """What a child holds belongs to the process that started it."""
    alone = _held(HostDevice(), os.getpid())
    with Worker(HOLDER) as worker:
        held, child = _held(HostDevice(), os.getpid()), _rss(worker.pid)
    assert child > BLOCK
    assert held == pytest.approx(alone + child, abs=BLOCK // 4)


def test_children_of_another_process_are_counted_in() -> None:
    """A small process whose child is large counts as large."""
    with Worker(FOREMAN) as foreman:
        held, alone = _held(HostDevice(), foreman.pid), _rss(foreman.pid)
    assert alone < BLOCK < held - alone


def test_grandchildren_are_counted_in() -> None:
    """What a child's child holds is counted too."""
    alone = _held(HostDevice(), os.getpid())
    with Worker(FOREMAN) as foreman:
        held, child = _held(HostDevice(), os.getpid()), _rss(foreman.pid)
    assert child < BLOCK < held - alone


def test_a_new_child_is_found_at_the_next_look_up(clock: FakeClock) -> None:
    """A child that is started under watch counts from the next look-up on, and not for ever."""
    device = HostDevice()
    alone = _held(device, os.getpid())
    with Worker(HOLDER):
        at_first = _held(device, os.getpid())
        clock.now_s += CHILDREN_INTERVAL_S * 1.01
        looked_up = _held(device, os.getpid())
    clock.now_s += CHILDREN_INTERVAL_S * 1.01
    ended = _held(device, os.getpid())
    assert at_first == pytest.approx(alone, abs=BLOCK // 4)
    assert looked_up - alone > BLOCK * 0.75
    assert ended == pytest.approx(alone, abs=BLOCK // 4)


@pytest.mark.usefixtures("clock")
def test_a_child_that_ends_between_look_ups_is_nothing() -> None:
    """A child that was there at the look-up and is gone at the reading does not fail it."""
    device = HostDevice()
    with Worker(HOLDER):
        with_child = _held(device, os.getpid())
    # The clock stands still, so this reading still has the child in its list.
    assert with_child - _held(device, os.getpid()) > BLOCK * 0.75


@pytest.mark.usefixtures("clock")
def test_another_process_is_looked_up_at_once() -> None:
    """Changing whom to watch does not wait for the next look-up."""
    device = HostDevice()
    alone = _held(device, os.getpid())
    with Worker(HOLDER) as worker:
        other = _held(device, worker.pid)
        with_child = _held(device, os.getpid())
    assert BLOCK < other < 2 * BLOCK
    assert with_child == pytest.approx(alone + other, abs=BLOCK // 4)


@pytest.mark.usefixtures("clock")
def test_letting_go_forgets_the_process() -> None:
    """After close, the next reading looks the children up again."""
    device = HostDevice()
    alone = _held(device, os.getpid())
    with Worker(HOLDER):
        device.close()
        assert _held(device, os.getpid()) - alone > BLOCK * 0.75


def test_a_process_that_does_not_exist_is_an_error() -> None:
    """A process that is not there is one line that names it, and not a zero."""
    with Worker("print(flush=True)") as worker:
        worker.end()
    with pytest.raises(DeviceError, match=f"^process {worker.pid} ") as caught:
        HostDevice().processes(worker.pid)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("later_s", [0.0, 2 * CHILDREN_INTERVAL_S])
def test_a_process_that_ends_under_watch_is_an_error(clock: FakeClock, later_s: float) -> None:
    """A watched process's end is told, whether its children are due to be looked up or not."""
    device = HostDevice()
    with Worker(HOLDER) as worker:
        _held(device, worker.pid)
    clock.now_s += later_s
    with pytest.raises(DeviceError, match=f"^process {worker.pid} "):
        device.processes(worker.pid)


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs POSIX")
def test_an_ended_process_that_nobody_has_waited_for_is_an_error() -> None:
    """A worker that has died holds nothing, and that is an end, not a figure of 0 bytes."""
    device = HostDevice()
    with Worker(HOLDER) as worker:
        _held(device, worker.pid)
        worker.process.kill()
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # a zombie until it is waited for
        with pytest.raises(DeviceError, match=f"^process {worker.pid} "):
            device.processes(worker.pid)


@pytest.mark.usefixtures("clock")
def test_a_child_that_may_not_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that the system hides from us is not left out of the sum unsaid."""

    class Hidden:
        """What psutil gives of such a process."""

        def memory_info(self) -> Any:
            """Refuse."""
            raise psutil.AccessDenied(pid=1)

    monkeypatch.setattr(psutil.Process, "children", lambda *_, **__: [Hidden()])
    device = HostDevice()
    with pytest.raises(DeviceError, match=f"^process {os.getpid()} ") as caught:
        device.processes(os.getpid())
    assert "\n" not in str(caught.value)


def test_what_a_host_does_not_tell() -> None:
    """Fill, energy and clocks are absent, and none of them is a zero."""
    device = HostDevice()
    assert device.memory() is None
    assert device.energy_j() is None
    assert device.conditions() == Conditions()
    assert device.conditions().reasons is None


def test_the_cpus_model_is_what_py_cpuinfo_calls_it() -> None:
    """Device keys are made of it: earlier baselines were, by what pytest-benchmark brings."""
    cpuinfo = pytest.importorskip("cpuinfo")
    assert cpu_name() == cpuinfo.get_cpu_info()["brand_raw"]


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("processor\t: 0\nmodel name\t: Some  CPU @ 2GHz\nmodel name\t: x\n", "Some  CPU @ 2GHz"),
        ("processor\t: 0\nmodel\t: 3\nmodel name\t: \n", "the system's"),
        (None, "the system's"),
    ],
)
def test_a_system_that_names_its_cpu_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, name: str
) -> None:
    """The first name in /proc/cpuinfo counts; without one, what the system's programs say."""
    if said is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc" / "cpuinfo").write_text(said, encoding="utf-8")
    program = tmp_path / "lscpu"
    program.write_text("#!/bin/sh\necho 'Vendor ID:  x'\necho \"Model name:   the system's\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert cpu_name(tmp_path) == name
