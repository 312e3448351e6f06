"""A device that reads what a test has written down, in place of a GPU; and a clock to match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias, TypeVar

from whisperbench.devices.accelerator import AllocatorRequests
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.device import Conditions, DeviceFacts, DeviceMemory

T = TypeVar("T")

MIB = 2**20

Reading: TypeAlias = T | Exception | Callable[[], T]
"""What one look gives: a value, an error that is raised, or what a function returns or raises."""

Script: TypeAlias = Reading[T] | list[Reading[T]]
"""One reading for every look, or a list of them in turn, whose last one stays."""

SCRIPTED_GPU = DeviceFacts(
    kind="cuda",
    torch_name="cuda:0",
    name="Scripted GPU",
    memory_mib=1000,
    compute_capability=(9, 0),
    uuid="GPU-00000000-0000-0000-0000-000000000000",
    mig=False,
)


def taken(used_mib: float, reserved_mib: float | None = None) -> DeviceMemory:
    """Return a reading of the memory of `SCRIPTED_GPU`."""
    return DeviceMemory(
        used_bytes=round(used_mib * MIB),
        total_bytes=SCRIPTED_GPU.memory_mib * MIB,
        reserved_bytes=None if reserved_mib is None else round(reserved_mib * MIB),
    )


class ScriptedDevice:
    """A device of the `Device` protocol, each of whose readings follows a script."""

    def __init__(
        self,
        *,
        facts: Script[DeviceFacts] = SCRIPTED_GPU,
        memory: Script[DeviceMemory | None] = None,
        processes: Script[Mapping[int, int | None]] | None = None,
        conditions: Script[Conditions] | None = None,
        energy_j: Script[float | None] = None,
    ) -> None:
        """Write the scripts; what is not given is None or empty, as on a device without it."""
        self._facts = facts
        self._memory = memory
        self._processes: Script[Mapping[int, int | None]] = {} if processes is None else processes
        self._conditions: Script[Conditions] = Conditions() if conditions is None else conditions
        self._energy_j = energy_j
        self.looks: Counter[str] = Counter()
        """How often each reading was taken, by its name, and how often it was let go of."""
        self.watched: list[int] = []
        """Whose memory was asked for, in order."""

    def facts(self) -> DeviceFacts:
        """Return what the script says."""
        return self._look("facts", self._facts)

    def memory(self) -> DeviceMemory | None:
        """Return what the script says."""
        return self._look("memory", self._memory)

    def processes(self, pid: int) -> Mapping[int, int | None]:
        """Return what the script says, whoever is asked for."""
        self.watched.append(pid)
        return self._look("processes", self._processes)

    def conditions(self) -> Conditions:
        """Return what the script says."""
        return self._look("conditions", self._conditions)

    def energy_j(self) -> float | None:
        """Return what the script says."""
        return self._look("energy_j", self._energy_j)

    def close(self) -> None:
        """Count the calls."""
        self.looks["close"] += 1

    def _look(self, name: str, script: Script[T]) -> T:
        turn = self.looks[name]
        self.looks[name] += 1
        reading = script[min(turn, len(script) - 1)] if isinstance(script, list) else script
        if isinstance(reading, Exception):
            raise reading
        return reading() if callable(reading) else reading


class ScriptedAccelerator(CpuAccelerator):
    """A GPU in name: torch runs on the CPU, and what its allocator was asked for is scripted."""

    def __init__(self, requests: Iterable[AllocatorRequests]) -> None:
        """Say what `take_requests` returns, in turn."""
        super().__init__(kind="cuda", on_host=False, profiles_memory=False, profiler_device_type=1)
        self.__dict__["_asked"] = iter(requests)  # a frozen one is not set

    def take_requests(self) -> AllocatorRequests:
        """Return what the script says."""
        asked: Iterator[AllocatorRequests] = self.__dict__["_asked"]
        return next(asked)


class FakeClock:
    """A clock that only moves when it is told to; it starts at 0."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s

    def sleep(self, wait_s: float) -> None:
        """Let the time pass at once."""
        self.slept_s.append(wait_s)
        self.now_s += wait_s

    def takes(self, cost_s: float, value: T) -> Callable[[], T]:
        """Return a reading of this value that takes this long."""

        def read() -> T:
            self.now_s += cost_s
            return value

        return read
