"""The memory probe: how it fails, how it is waited for, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest

from tests.measure.memory.probing import (
    FAST,
    HANG_S,
    WATCHED,
    failing,
    is_probing,
    pace,
    until_it_fails,
)
from tests.scripted import MIB, FakeClock, ScriptedDevice, taken
from whisperbench.devices.device import DeviceMemory
from whisperbench.errors import DeviceError
from whisperbench.measure.memory.probe import Probe


def test_a_failing_device_leaves_its_failure() -> None:
    """A device that fails in mid-pass leaves what was seen until then, and why it ended."""
    device = ScriptedDevice(
        memory=[taken(1), taken(2), DeviceError("NVML fails to read memory:\nGPU is lost")],
        processes={WATCHED: MIB},
    )
    trace = failing(device)
    assert trace.failure == "NVML fails to read memory: GPU is lost"
    assert trace.device_bytes == [MIB, 2 * MIB]
    assert len(trace.process_bytes) == len(trace.times_s) == 2


def test_a_failing_look_at_the_processes_is_no_half_poll() -> None:
    """A poll whose second reading fails is not kept: all columns have the same length."""
    device = ScriptedDevice(memory=taken(1), processes=[{WATCHED: MIB}, DeviceError("gone")])
    trace = failing(device, at=pace(processes_every=2))
    assert trace.failure == "gone"
    assert trace.process_bytes == [MIB, None]
    assert trace.device_bytes == [MIB, MIB]
    assert len(trace.times_s) == 2


def test_an_unexpected_error_is_kept_with_its_type() -> None:
    """A fault of the program itself does not end the thread quietly either."""
    trace = failing(ScriptedDevice(memory=[taken(1), ValueError("bad\nvalue")]))
    assert trace.failure == "ValueError: bad value"
    assert len(trace.times_s) == 1


@pytest.mark.parametrize("error", [DeviceError("gone"), ValueError("bad")])
def test_waiting_for_a_dead_probe_ends_at_once(error: Exception) -> None:
    """A probe that has died is not waited for."""
    clock = FakeClock()
    device = ScriptedDevice(memory=[taken(1), error])
    probe = Probe(device, WATCHED, ours=frozenset(), pace=FAST, clock=clock, sleep=clock.sleep)
    with probe:
        until_it_fails(probe)
        started_s = time.monotonic()
        assert probe.wait_for(1, HANG_S) is False
        assert time.monotonic() - started_s < HANG_S / 2
    assert probe.trace.failure


def test_a_probe_that_dies_under_a_wait_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits already when the device fails is told, before the thread has quite ended."""
    told = threading.Event()

    class Lingering(threading.Thread):
        """A thread that the system takes its time to end."""

        def run(self) -> None:
            super().run()
            told.wait(HANG_S)

    def looked() -> Mapping[int, int | None]:
        # The first poll looks, and after it only one that is waited for.
        if device.looks["processes"] == 1:
            return {WATCHED: MIB}
        raise DeviceError("gone")

    device = ScriptedDevice(memory=taken(1), processes=looked)
    at = pace(interval_s=1e-5, processes_every=10**9)
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", Lingering)
        probe = Probe(device, WATCHED, ours=frozenset(), pace=at)
    with probe:
        started_s = time.monotonic()
        assert probe.wait_for(10**9, HANG_S) is False
        assert time.monotonic() - started_s < HANG_S / 2, "noticed when the time was up"
        told.set()
    assert probe.trace.failure == "gone"


def test_waiting_takes_too_long() -> None:
    """A device that hangs is given up on when the time is over."""
    leave = threading.Event()

    def hangs() -> DeviceMemory:
        leave.wait(HANG_S)
        return taken(1)

    probe = Probe(ScriptedDevice(memory=hangs), WATCHED, ours=frozenset(), pace=FAST)
    with probe:
        assert probe.wait_for(1, timeout_s=0.01) is False
        leave.set()
    assert probe.trace.failure == ""


@pytest.mark.parametrize("every", [1, 4, 10**9])
def test_waiting_sees_the_processes_too(every: int) -> None:
    """After a wait for some polls, that many more have looked at the processes."""
    device = ScriptedDevice(memory=taken(1), processes={WATCHED: MIB})
    at = pace(interval_s=1e-5, processes_every=every)
    with Probe(device, WATCHED, ours=frozenset(), pace=at) as probe:
        assert probe.wait_for(1, HANG_S) is True
        before = list(probe.trace.process_bytes)
        assert probe.wait_for(3, HANG_S) is True
        after = list(probe.trace.process_bytes)
    assert before.count(MIB) >= 1
    assert after[len(before) :].count(MIB) >= 3


def test_the_thread_ends_with_its_block() -> None:
    """After the block nothing is read any more, and no failure is told."""
    device = ScriptedDevice(memory=taken(1))
    with Probe(device, WATCHED, ours=frozenset(), pace=FAST) as probe:
        assert probe.wait_for(2, HANG_S)
        assert is_probing()
    assert not is_probing()
    assert device.looks["memory"] == len(probe.trace.times_s)
    assert probe.trace.failure == ""
    assert probe.wait_for(1, HANG_S) is False


def test_the_workloads_error_ends_the_thread() -> None:
    """An error inside the block ends the probe too, and comes out of it as it is."""
    probe = Probe(ScriptedDevice(memory=taken(1)), WATCHED, ours=frozenset(), pace=FAST)
    with pytest.raises(KeyError, match="workload"), probe:
        raise KeyError("workload")
    assert not is_probing()
    assert probe.trace.failure == ""
