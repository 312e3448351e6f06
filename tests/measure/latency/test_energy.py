"""EnergyWindow of a call, by a fake clock and a counter that moves in steps, as a GPU's does."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scripted import FakeClock, ScriptedDevice
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.device import Conditions
from whisperbench.devices.host import HostDevice
from whisperbench.errors import DeviceError, InvalidMeasurementError
from whisperbench.measure.latency.energy import (
    ENERGY_WINDOW_S,
    STANDSTILL_S,
    STEP_S,
    EnergyWindow,
    measure_energy,
)
from whisperbench.plugin.timing import Timing

POWER_W = 400.0
READING_S = 0.003
"""What reading a GPU's counter costs."""

EARLIER_J = 123_456.0
"""What the counter has counted before: only differences may count."""


class _Gpu:
    """A GPU under constant power, whose counter moves in steps."""

    def __init__(self, *, phase_s: float = 0.0, read_at: float = 0.0) -> None:
        """Make one.

        Args:
            phase_s: when, after 0 s, the counter makes its first step.
            read_at: which part of a reading is over when the counter is looked at.
        """
        self.clock = FakeClock()
        self.calls_s: list[tuple[float, float]] = []
        """When each call began and ended."""
        self.stops_s = float("inf")
        """When the counter stands still for good."""
        self._phase_s = phase_s
        self._read_at = read_at
        self.device = ScriptedDevice(energy_j=self._energy_j)

    def calling(self, call_s: float) -> Callable[[], None]:
        """Return a call that takes this long."""

        def call() -> None:
            began_s = self.clock()
            self.clock.sleep(call_s)
            self.calls_s.append((began_s, self.clock()))

        return call

    def _energy_j(self) -> float:
        self.clock.sleep(READING_S * self._read_at)
        now_s = min(self.clock(), self.stops_s)
        self.clock.sleep(READING_S * (1.0 - self._read_at))
        return EARLIER_J + ((now_s - self._phase_s) // STEP_S) * STEP_S * POWER_W


@settings(deadline=None)
@given(
    call_s=st.floats(0.002, 3.0),
    phase_s=st.floats(0.0, STEP_S),
    read_at=st.floats(0.0, 1.0),
)
def test_energy_is_within_1_percent(call_s: float, phase_s: float, read_at: float) -> None:
    """However long a call, and wherever the steps fall, the mean is right to 1 %."""
    gpu = _Gpu(phase_s=phase_s, read_at=read_at)
    used = measure_energy(gpu.device, gpu.calling(call_s), gpu.clock)
    assert used is not None
    assert used.joules_per_call == pytest.approx(POWER_W * call_s, rel=0.01)
    assert used.joules == pytest.approx(used.joules_per_call * used.calls)


@settings(deadline=None)
@given(call_s=st.floats(0.002, 3.0), phase_s=st.floats(0.0, STEP_S))
def test_the_window_holds_whole_calls(call_s: float, phase_s: float) -> None:
    """The window goes from the first call to the end of the last, and is not cut short."""
    gpu = _Gpu(phase_s=phase_s)
    used = measure_energy(gpu.device, gpu.calling(call_s), gpu.clock)
    assert used is not None
    assert used.calls == len(gpu.calls_s)
    assert used.window_s == pytest.approx(gpu.calls_s[-1][1] - gpu.calls_s[0][0])
    assert used.window_s == pytest.approx(used.calls * call_s)
    assert used.window_s >= ENERGY_WINDOW_S
    assert used.window_s - call_s < ENERGY_WINDOW_S + 1e-6, "a call more than the window needs"


def test_a_long_call_is_made_once() -> None:
    """A call that outlasts the window is one, and not none and not two."""
    gpu = _Gpu()
    used = measure_energy(gpu.device, gpu.calling(60.0), gpu.clock)
    assert used is not None
    assert used.calls == 1
    assert used.joules_per_call == pytest.approx(POWER_W * 60.0, rel=0.001)


@pytest.mark.parametrize("leap", range(1, 12))
def test_time_that_leaps_never_leaves_a_window_of_no_calls(leap: int) -> None:
    """A machine that is suspended in between makes no call's energy out of nothing."""
    gpu = _Gpu(phase_s=0.004)  # so that the counter moves at the second look
    reads = 0

    def clock() -> float:
        nonlocal reads
        reads += 1
        if reads == leap:
            gpu.clock.sleep(10 * ENERGY_WINDOW_S)
        return gpu.clock()

    used = measure_energy(gpu.device, gpu.calling(ENERGY_WINDOW_S), clock)
    assert used is None or used.calls == len(gpu.calls_s) >= 1


def test_the_window_begins_at_a_step() -> None:
    """The first call waits until the counter has just moved."""
    gpu = _Gpu(phase_s=0.055)
    measure_energy(gpu.device, gpu.calling(0.5), gpu.clock)
    assert gpu.calls_s[0][0] == pytest.approx(0.055, abs=2 * READING_S)


def test_no_counter_is_no_energy() -> None:
    """A device without a counter, as a CPU is, is not kept busy for nothing."""
    for device in (HostDevice(), ScriptedDevice(energy_j=None)):
        gpu = _Gpu()
        assert measure_energy(device, gpu.calling(0.1), gpu.clock) is None
        assert gpu.calls_s == []


def test_a_counter_that_stands_still_is_no_energy() -> None:
    """One that never moves is given up on soon, before any call."""
    gpu = _Gpu()
    gpu.stops_s = 0.0
    assert measure_energy(gpu.device, gpu.calling(0.1), gpu.clock) is None
    assert gpu.clock() == pytest.approx(STANDSTILL_S, abs=3 * READING_S)
    assert gpu.calls_s == []


def test_a_counter_that_stops_under_the_calls_is_no_energy() -> None:
    """One that no longer moves when the calls are over has not counted them."""
    gpu = _Gpu()
    gpu.stops_s = 1.0
    assert measure_energy(gpu.device, gpu.calling(0.1), gpu.clock) is None
    assert gpu.clock() == pytest.approx(
        STEP_S + ENERGY_WINDOW_S + STANDSTILL_S, abs=STEP_S + 10 * READING_S
    )


def test_a_reading_without_a_figure_is_no_step() -> None:
    """A counter that now and then does not tell is waited for."""
    clock = FakeClock()
    script = [clock.takes(READING_S, value) for value in (1.0, None, 1.0, 5.0)]
    after = [clock.takes(READING_S, value) for value in (5.0, None, 9.0)]
    device = ScriptedDevice(energy_j=[*script, *after])
    used = measure_energy(device, lambda: clock.sleep(ENERGY_WINDOW_S), clock)
    assert used is not None
    assert (used.calls, used.window_s) == (1, ENERGY_WINDOW_S)
    assert 0.0 <= used.joules <= 4.0


def test_a_device_that_does_not_answer_is_told() -> None:
    """A lost GPU is not taken for one without a counter, at the window's end no more."""
    gpu = _Gpu()
    for script in (
        [DeviceError("GPU is lost")],
        [1.0, DeviceError("GPU is lost")],
        [1.0, 2.0, DeviceError("GPU is lost")],
    ):
        device = ScriptedDevice(energy_j=[*script])
        with pytest.raises(DeviceError, match="GPU is lost"):
            measure_energy(device, gpu.calling(0.5), gpu.clock)


def test_the_mean_is_of_the_window() -> None:
    """Joules are of all the calls; what is reported is one."""
    assert EnergyWindow(joules=30.0, calls=4, window_s=2.0).joules_per_call == 7.5


def test_energy_of_a_slowed_gpu_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window is watched as rounds are: a slow-down at every attempt makes it invalid."""
    window = EnergyWindow(joules=60.0, calls=2, window_s=2.0)
    monkeypatch.setattr("whisperbench.measure.latency.energy.measure_energy", lambda *_: window)
    slowed = Conditions(reasons=frozenset({"power brake"}))
    device = ScriptedDevice(conditions=[slowed, slowed, Conditions()], processes={})
    prepared: Any = SimpleNamespace(
        device=device,
        accelerator=CpuAccelerator(),
        plan=SimpleNamespace(profile=SimpleNamespace(remeasurements=1)),
        partner=None,
    )
    said: list[str] = []
    used = Timing(None, prepared, said.append).energy(lambda: None, audio_s=10.0)
    assert used == {"energy_j_per_audio_s": 3.0}
    assert len(said) == 1
    device = ScriptedDevice(conditions=slowed, processes={})
    prepared.device = device
    with pytest.raises(InvalidMeasurementError, match=r"attempt 2.*power brake"):
        Timing(None, prepared, said.append).energy(lambda: None, audio_s=10.0)
