"""What the suite asks of a device: facts, memory, who uses it, and the conditions it runs in.

`Device` is the seam at which tests put a scripted device in place of a GPU. Readings are plain
values; what they mean for a measurement is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """What a device is. Fields that a device has no notion of are None."""

    kind: str
    """As `--device` names it, in small letters and digits."""
    torch_name: str
    """What torch calls it: "cpu" or "cuda:<index>"."""
    name: str
    memory_mib: int
    on_host: bool = False
    """Whether it is the host itself."""
    compute_capability: tuple[int, int] | None = None
    uuid: str | None = None
    driver: str | None = None
    cuda: str | None = None
    power_limit_w: float | None = None
    default_power_limit_w: float | None = None
    compute_mode: str | None = None
    persistence_mode: bool | None = None
    max_sm_clock_mhz: int | None = None
    mig: bool | None = None
    """Whether the device is a part of a GPU that MIG has divided."""


@dataclass(frozen=True, kw_only=True)
class DeviceMemory:
    """What is taken of a device's memory, by all of its users."""

    used_bytes: int
    """Without `reserved_bytes`, unless those are None."""
    total_bytes: int
    reserved_bytes: int | None = None
    """What the driver keeps for itself; None where it is not told apart from `used_bytes`."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a device runs at, in one instant. Fields that it does not tell are None."""

    reasons: frozenset[str] | None = None
    """Why its clocks are what they are: names of `nvml_reasons.EVENT_REASONS`."""
    slowdown_ns: Mapping[str, int] = field(default_factory=dict)
    """Time spent slowed down since the driver was loaded, by reason: counters that only grow."""
    sm_clock_mhz: int | None = None
    temperature_c: int | None = None


class Device(Protocol):
    """A device, as everything that measures sees it.

    Every reading raises DeviceError where the device does not answer as it should; a reading that
    this kind of device does not have is None or empty.
    """

    def facts(self) -> DeviceFacts:
        """Return what it is."""
        ...

    def memory(self) -> DeviceMemory | None:
        """Return what is taken of its memory; None where that says nothing about one process."""
        ...

    def processes(self, pid: int) -> Mapping[int, int | None]:
        """Return the bytes that processes hold on it, by process id.

        A figure is None where the driver hides it, and an id negative where it hides that. A GPU's
        processes are all of them; of a host's hundreds it is `pid` alone, with those that `pid`
        started counted in.
        """
        ...

    def conditions(self) -> Conditions:
        """Return what it runs at."""
        ...

    def energy_j(self) -> float | None:
        """Return the joules it has used so far, from a counter that only grows."""
        ...

    def close(self) -> None:
        """Let go of it. Readings after that open it again."""
        ...
