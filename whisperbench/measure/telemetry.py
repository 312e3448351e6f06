"""What a GPU went through while a benchmark was timed, read between its rounds.

Nothing is read inside a round. What happens there and is over when it ends still shows, because
the driver counts the time that it slowed the clocks down.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from whisperbench.errors import DeviceError
from whisperbench.results.passes import DeviceConditions

if TYPE_CHECKING:
    from whisperbench.devices.device import Conditions, Device

SLOWDOWNS = frozenset(
    {
        "hardware slowdown",
        "hardware thermal slowdown",
        "power brake",
        "software thermal slowdown",
    }
)
"""Event reasons under which a time says nothing about the code. A power cap is not among them: a
card at its limit runs as it always does."""


@dataclass(kw_only=True)
class Telemetry:
    """Readings of one attempt at a benchmark."""

    device: Device
    unnamed: int = 1
    """Processes of ours on the device whose ids are not known here, in a container that shows
    the host's: 1 where this process uses the device, 0 where it does not."""
    partners: frozenset[int] = frozenset()
    """Ids of processes that hold a model on the device and compute while this one does not."""
    _readings: list[Conditions] = field(default_factory=list)
    _strangers: set[int] = field(default_factory=set)
    _listed: bool = False

    def look(self) -> None:
        """Read the device. Call it before the first round and after each.

        Raises:
            DeviceError: the device does not answer.
        """
        self._readings.append(self.device.conditions())
        here = os.getpid()
        found = self.device.processes(here).keys()
        self._listed |= here in found
        self._strangers |= found - {here} - self.partners

    def trouble(self) -> str:
        """Say why the times of these rounds cannot be believed; "" where they can."""
        causes = []
        slowed = self._slowdowns()
        if slowed:
            causes.append(f"the GPU was slowed down ({', '.join(slowed)})")
        hidden = 0 if self._listed else self.unnamed + len(self.partners)
        if len(self._strangers) > hidden:
            pids = ", ".join(map(str, sorted(self._strangers)))
            causes.append(f"another process used the GPU ({pids})")
        return " and ".join(causes)

    def conditions(self) -> DeviceConditions:
        """Return what the device ran at, and what could not be seen of it; of a host nothing."""
        with suppress(DeviceError):  # a GPU that shares the host's memory may not tell its own
            if self.device.memory() is None:
                return DeviceConditions()
        clocks = [row.sm_clock_mhz for row in self._readings if row.sm_clock_mhz is not None]
        warmth = [row.temperature_c for row in self._readings if row.temperature_c is not None]
        reasons = [row.reasons for row in self._readings if row.reasons is not None]
        named = ", ".join(sorted(frozenset().union(*reasons))) or "none"
        return DeviceConditions(
            others="visible" if self._listed else "hidden",
            sm_clock_mhz=median(clocks) if clocks else None,
            lowest_sm_clock_mhz=min(clocks, default=None),
            highest_temperature_c=max(warmth, default=None),
            event_reasons=named if reasons else "not readable",
        )

    def _slowdowns(self) -> list[str]:
        """Name the slow-downs that a reading showed, or that the driver counted between two."""
        seen = {reason for row in self._readings for reason in (row.reasons or ())} & SLOWDOWNS
        named = dict.fromkeys(sorted(seen), "")
        first, last = self._readings[0].slowdown_ns, self._readings[-1].slowdown_ns
        for name, until_ns in last.items():
            grown_ns = until_ns - first.get(name, until_ns)
            if grown_ns > 0:
                named[name] = f" for {grown_ns / 1e6:.0f} ms"
        return [f"{name}{how_long}" for name, how_long in named.items()]
