"""A probe that reads a scripted device by a clock of the test's."""

from __future__ import annotations

import threading
import time

from tests.scripted import FakeClock, ScriptedDevice
from whisperbench.measure.memory.probe import INTERVAL_S, Pace, Probe, Trace

WATCHED = 100
OURS = 101
STRANGER = 102
FAST = Pace.choose(None, 0.0)
HANG_S = 20.0
"""Far more than any wait here takes: a wait that reaches it hangs."""


def pace(interval_s: float = INTERVAL_S, processes_every: int = 1) -> Pace:
    """Return a pace that is given and not chosen."""
    return Pace(
        memory_cost_s=0.0,
        processes_cost_s=0.0,
        interval_s=interval_s,
        processes_every=processes_every,
    )


def watch(
    device: ScriptedDevice, polls: int, *, at: Pace = FAST, clock: FakeClock | None = None
) -> Trace:
    """Let a probe read so often, by a clock of the test's, and return what it saw."""
    clock = FakeClock() if clock is None else clock
    reached, leave = threading.Event(), threading.Event()

    def sleep(wait_s: float) -> None:
        clock.sleep(wait_s)
        if len(probe.trace.times_s) == polls:
            # The probe would read on until it is told to stop: hold it here until it is.
            reached.set()
            leave.wait(HANG_S)

    class Held(Probe):
        """A probe that is let out of its sleep as it is told to stop."""

        def stop(self) -> None:
            super().stop()
            leave.set()

    probe = Held(device, WATCHED, ours=frozenset({OURS}), pace=at, clock=clock, sleep=sleep)
    with probe:
        assert reached.wait(HANG_S), probe.trace.failure
    return probe.trace


def failing(device: ScriptedDevice, *, at: Pace = FAST) -> Trace:
    """Let a probe read until its device fails, and return what it saw."""
    clock = FakeClock()
    probe = Probe(device, WATCHED, ours=frozenset({OURS}), pace=at, clock=clock, sleep=clock.sleep)
    with probe:
        until_it_fails(probe)
    return probe.trace


def until_it_fails(probe: Probe) -> None:
    """Wait until a probe has died."""
    late_s = time.monotonic() + HANG_S
    while not probe.trace.failure or is_probing():
        assert time.monotonic() < late_s
        time.sleep(0.001)


def is_probing() -> bool:
    """Whether a probe's thread is alive."""
    return any(thread.name == "memory probe" for thread in threading.enumerate())
