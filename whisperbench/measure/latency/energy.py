"""Energy of a call, from the GPU's own counter, over a window that its steps do not matter in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whisperbench.devices.device import Device

STEP_S = 0.1
"""The counter moves about this often (seen on an H200; NVML does not say)."""

ENERGY_WINDOW_S = 2.0
"""Calls are repeated for at least so long: twenty steps."""

STANDSTILL_S = 1.0
"""A counter that has not moved for so long does not count."""


@dataclass(frozen=True, kw_only=True)
class EnergyWindow:
    """What a window of calls used."""

    joules: float
    calls: int
    window_s: float

    @property
    def joules_per_call(self) -> float:
        """Return the mean of the window."""
        return self.joules / self.calls


def measure_energy(
    device: Device,
    call: Callable[[], object],
    clock: Callable[[], float] = time.monotonic,
) -> EnergyWindow | None:
    """Repeat a call over a window and read the energy counter at both ends.

    The window begins at a step of the counter. Its end lies between two steps, where the counter
    is interpolated.

    Args:
        device: whose counter is read.
        call: runs, and waits for the device, once.
        clock: a monotonic clock.

    Returns:
        None where the device has no counter, or it stands still.

    Raises:
        DeviceError: the device does not answer.
    """
    begin = _next_step(device, clock)
    if begin is None:
        return None
    begin_s, begin_j, _ = begin
    calls = 0
    while calls == 0 or clock() - begin_s < ENERGY_WINDOW_S:
        call()
        calls += 1
    end_s = clock()
    after = _next_step(device, clock)
    if after is None:
        return None
    after_s, after_j, before_j = after
    share = min(max(1.0 - (after_s - end_s) / STEP_S, 0.0), 1.0)
    end_j = before_j + share * (after_j - before_j)
    return EnergyWindow(joules=end_j - begin_j, calls=calls, window_s=end_s - begin_s)


def _next_step(device: Device, clock: Callable[[], float]) -> tuple[float, float, float] | None:
    """Wait for the counter to move; return when it did, its value, and the one before."""
    before_j = device.energy_j()
    if before_j is None:
        return None
    deadline_s = clock() + STANDSTILL_S
    while clock() < deadline_s:
        now_j = device.energy_j()
        if now_j is not None and now_j != before_j:
            return clock(), now_j, before_j
    return None
