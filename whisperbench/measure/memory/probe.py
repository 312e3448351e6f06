"""The memory probe: polls a device for one process's memory, from another process.

It lives beside the workload and not in it, so it neither takes the workload's interpreter lock
nor dies with it. What it saw is a `Trace`; a reading that failed is part of it, never a zero.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from whisperbench.errors import WhisperbenchError, one_line

if TYPE_CHECKING:
    from whisperbench.devices.device import Device

INTERVAL_S = 0.001
"""Polls are this far apart where a reading is cheap."""

PROCESSES_INTERVAL_S = 0.010
"""Looks at the processes are this far apart, or further where they are dear."""

STILL_INTERVAL_S = 0.100
"""Where a look is cheap enough to be made whenever the device's memory has moved, looks are this
far apart while it does not: nobody comes or grows without moving it."""

DUTY = 0.1
"""Share of a core that either reading may take: a dearer one is polled more rarely."""

STOP_TIMEOUT_S = 1.0
"""How long the end of a probe waits for a reading that is under way; one that hangs is left to it,
for the thread does not keep the program from ending."""

COST_READINGS = 5
"""Readings that the cost is the median of."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often a probe reads, chosen from what readings cost on this machine."""

    memory_cost_s: float
    processes_cost_s: float
    interval_s: float
    """Between two polls."""
    processes_every: int
    """Polls from one look at the processes to the next."""

    @property
    def looks_are_cheap(self) -> bool:
        """Whether looking at the processes in every poll takes no more than `DUTY` either."""
        return self.processes_cost_s <= DUTY * self.interval_s

    @classmethod
    def choose(cls, memory_cost_s: float | None, processes_cost_s: float) -> Pace:
        """Choose a pace: 1 ms where that takes at most `DUTY` of a core, else slower.

        Args:
            memory_cost_s: of a reading; None where the device has no figure of its own, so that
                the processes must be looked at in every poll.
            processes_cost_s: of a look at the processes.

        >>> cheap = Pace.choose(8e-6, 10e-6)
        >>> cheap.interval_s, cheap.processes_every
        (0.001, 100)
        >>> Pace.choose(8e-6, 4500e-6).processes_every
        45
        """
        dearest_s = processes_cost_s if memory_cost_s is None else memory_cost_s
        interval_s = max(INTERVAL_S, dearest_s / DUTY)
        if memory_cost_s is None:
            between_looks_s = interval_s
        elif processes_cost_s <= DUTY * interval_s:
            between_looks_s = STILL_INTERVAL_S
        else:
            between_looks_s = max(PROCESSES_INTERVAL_S, processes_cost_s / DUTY)
        return cls(
            memory_cost_s=memory_cost_s or 0.0,
            processes_cost_s=processes_cost_s,
            interval_s=interval_s,
            processes_every=max(1, math.ceil(between_looks_s / interval_s)),
        )

    @classmethod
    def measure(
        cls, device: Device, pid: int, clock: Callable[[], float] = time.perf_counter
    ) -> Pace:
        """Time a few readings and choose from their medians.

        Raises:
            DeviceError: the device does not answer.
        """

        def cost_s(read: Callable[[], object]) -> float:
            spent = []
            for _ in range(COST_READINGS):
                started = clock()
                read()
                spent.append(clock() - started)
            return median(spent)

        # The first reading of each opens the device and is not one of the timed.
        memory_cost_s = None if device.memory() is None else cost_s(device.memory)
        device.processes(pid)
        return cls.choose(memory_cost_s, cost_s(lambda: device.processes(pid)))


@dataclass(kw_only=True)
class Trace:
    """What a probe saw, in order. Times are of the monotonic clock, in seconds."""

    pace: Pace
    times_s: list[float] = field(default_factory=list)
    device_bytes: list[int | None] = field(default_factory=list)
    """Of each poll: what all users of the device took; None where it has no such figure."""
    process_bytes: list[int | None] = field(default_factory=list)
    """Of each poll: what the watched process held; None where that was hidden or not read."""
    reserved_bytes: int | None = None
    """The most that the driver kept for itself."""
    strangers: dict[int, float] = field(default_factory=dict)
    """When each process that is not ours was first seen."""
    listed: bool = False
    """Whether the watched process was among the device's, by the id that it has here."""
    failure: str = ""
    """Why polling ended early."""

    def between(self, start_s: float, end_s: float) -> range:
        """Return the indices of the polls in a span of time, both ends included."""
        inside = [i for i, at_s in enumerate(self.times_s) if start_s <= at_s <= end_s]
        return range(inside[0], inside[-1] + 1) if inside else range(0)

    def longest_gap_s(self) -> float:
        """Return the longest time between two polls that follow each other."""
        return max((b - a for a, b in itertools.pairwise(self.times_s)), default=0.0)


class Probe:
    """Polls in a thread of this process until it is stopped or the device fails."""

    def __init__(
        self,
        device: Device,
        pid: int,
        *,
        ours: frozenset[int],
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Prepare to watch a process.

        Args:
            device: what to read.
            pid: the process whose memory counts.
            ours: further processes that are no strangers on the device.
            pace: how often to read.
            clock: a monotonic clock.
            sleep: waits some seconds.
        """
        self._device = device
        self._pid = pid
        self._ours = ours | {pid}
        self._clock = clock
        self._sleep = sleep
        self._stopping = threading.Event()
        self._polled = threading.Condition()
        self._ended = False
        self._awaited = False
        self.trace = Trace(pace=pace)
        self._thread = threading.Thread(target=self._poll, name="memory probe", daemon=True)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(STOP_TIMEOUT_S)

    def stop(self) -> None:
        """Let the poll that is under way be the last one."""
        self._stopping.set()

    def wait_for(self, polls: int, timeout_s: float) -> bool:
        """Wait until so many more polls have looked at the processes too, each as it is awaited.

        Returns:
            False where the probe has died or takes longer than `timeout_s`.
        """
        with self._polled:
            # One poll may be under way, and have passed over the processes.
            wanted = len(self.trace.times_s) + polls + 1
            self._awaited = True
            self._polled.wait_for(
                lambda: len(self.trace.times_s) >= wanted or self._ended, timeout_s
            )
            self._awaited = False
            return len(self.trace.times_s) >= wanted

    def _poll(self) -> None:
        due_s = self._clock()
        try:
            while not self._stopping.is_set():
                self._read()
                due_s += self.trace.pace.interval_s
                wait_s = due_s - self._clock()
                if wait_s > 0:
                    self._sleep(wait_s)
                else:  # late: what was missed stays missed, and shows as a gap
                    due_s = self._clock()
        except WhisperbenchError as error:
            self.trace.failure = one_line(error)
        except Exception as error:  # noqa: BLE001 - a thread that dies quietly would pass
            self.trace.failure = f"{type(error).__name__}: {one_line(error)}"
        finally:
            with self._polled:
                self._ended = True
                self._polled.notify_all()

    def _look_is_due(self) -> bool:
        every = self.trace.pace.processes_every
        return self._awaited or len(self.trace.times_s) % every == 0

    def _read(self) -> None:
        """Read the memory, and look at the processes when that is due or the memory has moved."""
        trace = self.trace
        memory = self._device.memory()
        at_s = self._clock()
        used = None if memory is None else memory.used_bytes
        last = trace.device_bytes[-1] if trace.device_bytes else None
        held: int | None = None
        if (used != last and trace.pace.looks_are_cheap) or self._look_is_due():
            found = self._device.processes(self._pid)
            seen_s = self._clock()  # not before it came
            for stranger in found.keys() - self._ours:
                trace.strangers.setdefault(stranger, seen_s)
            held = found.get(self._pid)
            trace.listed |= self._pid in found
        with self._polled:
            trace.process_bytes.append(held)
            trace.device_bytes.append(used)
            if memory is not None and memory.reserved_bytes is not None:
                trace.reserved_bytes = max(trace.reserved_bytes or 0, memory.reserved_bytes)
            trace.times_s.append(at_s)
            self._polled.notify_all()
