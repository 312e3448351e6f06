"""The memory pass: a cell in a fresh process, watched from this one, phase by phase.

Everything that could make a figure wrong without a sound is checked, and makes the measurement
invalid: a probe that read nothing or died, the wrong card, another user of the card, a child
that was killed. Running out of memory on the device is not among them: it is a result.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from statistics import median
from typing import TYPE_CHECKING, Any

from whisperbench.devices import usable
from whisperbench.devices.host import named
from whisperbench.errors import DeviceError, InvalidMeasurementError
from whisperbench.measure.ended import how_it_ended
from whisperbench.measure.fresh import start_process
from whisperbench.measure.memory.observation import (
    Observation,
    Span,
    found_in,
    peaks_of,
    values_of,
)
from whisperbench.measure.memory.plausibility import (
    MIN_POLLS,
    SLACK_MIB,
    require_believable,
    require_complete,
)
from whisperbench.measure.memory.probe import Pace, Probe
from whisperbench.measure.memory.watched import Done, Failed, Mark, Message, run_cell
from whisperbench.results.passes import MemoryResult
from whisperbench.units import mib

if TYPE_CHECKING:
    from whisperbench.devices.device import Device
    from whisperbench.measure.cell_request import CellRequest

IDLE_READINGS = 5
TIMEOUT_S = 900.0
"""A cell that takes longer than this hangs."""

PROBE_TIMEOUT_S = 10.0
EXIT_TIMEOUT_S = 30.0
END_TIMEOUT_S = 0.2
"""How long after a process the system may tell how it has ended."""

IDLE_TIMEOUT_S = 5.0
"""How long a device may take to get back to its idle level when a process has ended."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a cell took.

    In `values`, all in MiB: `weight_mib`, the weights as loaded (absent where loading did not
    end); `context_mib`, the process before it loads: a GPU's context and libraries, a CPU's
    interpreter and libraries; `driver_reserved_mib`, what a GPU's driver keeps for itself; and
    peaks, of each of the phases in `PEAK_PHASES` and of the whole pass: `allocated` and
    `reserved` as torch counts them, `process` as NVML or the system does, `device` as the growth
    of NVML's level over idle.
    """

    values: dict[str, float]
    found: MemoryResult
    ran_out: str
    """How far the cell got before the device's memory was full; "" where it got through."""
    seconds: float
    """What the whole pass took."""


def measure_memory(
    request: CellRequest,
    device: Device,
    *,
    target: Callable[..., None] = run_cell,
    timeout_s: float = TIMEOUT_S,
) -> Footprint:
    """Run a cell in a fresh process and watch its memory.

    Args:
        request: what to load and to transcribe.
        device: where the memory is read.
        target: what the process runs; it is called with a connection and the request.
        timeout_s: how long the cell may take.

    Raises:
        InvalidMeasurementError: what was read cannot be believed, with the reason.
        DeviceError: the device does not answer.
    """
    started_s = time.monotonic()
    what = f"memory of {request}"
    ours = frozenset({os.getpid()})
    idle_bytes = _idle_level(what, device, ours)
    pace = Pace.measure(device, os.getpid())
    kills = usable.out_of_memory_kills()
    process, connection = start_process(target, request, forked=not request.accelerator.on_host)
    try:
        assert process.pid is not None  # noqa: S101 - it has been started
        with Probe(device, process.pid, ours=ours, pace=pace) as probe:
            watched = Observation(idle_bytes=idle_bytes, trace=probe.trace)
            last = _follow(what, process, connection, probe, watched, kills, timeout_s)
        with suppress(OSError):  # it may be gone already
            connection.send(None)
        process.join(EXIT_TIMEOUT_S)
    finally:
        process.kill()
        process.join()
        if process.exitcode == 255 and process.pid is not None and not request.accelerator.on_host:
            with suppress(ProcessLookupError):  # without its server, nobody else can end it
                os.kill(process.pid, signal.SIGKILL)
        connection.close()
    if isinstance(last, Failed) and not last.out_of_memory:
        raise InvalidMeasurementError(f"{what}: while in phase {last.phase!r}: {last.message}")
    require_believable(what, watched)
    if isinstance(last, Done):
        require_complete(what, watched, last)
    _require_idle(what, device, idle_bytes)
    return Footprint(
        values=values_of(watched, last),
        found=found_in(watched, last, started_s, on_host=request.accelerator.on_host),
        ran_out=_how_far(watched, last) if isinstance(last, Failed) else "",
        seconds=time.monotonic() - started_s,
    )


def _idle_level(what: str, device: Device, ours: frozenset[int]) -> int | None:
    """Read the device's level before the cell; refuse a device that somebody is using.

    The driver may list a process for a moment longer than it lives: that is waited for.
    """
    deadline_s = time.monotonic() + IDLE_TIMEOUT_S
    while strangers := device.processes(os.getpid()).keys() - ours:
        if time.monotonic() > deadline_s:
            raise InvalidMeasurementError(
                f"{what}: {named(strangers)} on the device already; stop it, or measure on another"
            )
        time.sleep(0.05)
    levels = []
    for _ in range(IDLE_READINGS):
        memory = device.memory()
        if memory is None:
            return None
        levels.append(memory.used_bytes)
        time.sleep(0.002)
    return int(median(levels))


def _follow(
    what: str,
    process: BaseProcess,
    connection: Connection[Any, Any],
    probe: Probe,
    watched: Observation,
    kills: int | None,
    timeout_s: float,
) -> Done | Failed:
    """Go with the cell from phase to phase; return its last word."""
    deadline_s = time.monotonic() + timeout_s
    start_s = time.monotonic()
    while True:
        message = _next_message(what, process, connection, probe, kills, deadline_s)
        mark = message if isinstance(message, Mark) else None
        if not probe.wait_for(MIN_POLLS, PROBE_TIMEOUT_S):
            _require_alive(what, process, kills)  # a host's probe fails on a dead process
            raise _probe_died(what, probe)
        if isinstance(message, Done):
            return message
        end_s = time.monotonic()
        phase = message.phase
        watched.spans.append(
            Span(phase=phase, start_s=start_s, end_s=end_s, mark=mark, levels=message.levels)
        )
        if isinstance(message, Failed):
            return message
        start_s = end_s
        with suppress(OSError):  # where it is dead, the next message tells of it
            connection.send(None)


def _next_message(
    what: str,
    process: BaseProcess,
    connection: Connection[Any, Any],
    probe: Probe,
    kills: int | None,
    deadline_s: float,
) -> Message:
    """Wait for the cell's next message, its death, the probe's, or the end of patience."""
    while time.monotonic() < deadline_s:
        ready = wait([connection, process.sentinel], timeout=0.2)
        if ready:
            # A dead process may have left a word, or a child that keeps the connection open.
            with suppress(EOFError, OSError):
                if connection.poll():
                    message: Message = connection.recv()
                    return message
            process.join(EXIT_TIMEOUT_S)
            _require_alive(what, process, kills)
            raise InvalidMeasurementError(f"{what}: the cell's process fell silent and was stopped")
        if probe.trace.failure:
            _require_alive(what, process, kills)
            raise _probe_died(what, probe)
    raise InvalidMeasurementError(f"{what}: the cell's process did not end in time and was stopped")


def _require_alive(what: str, process: BaseProcess, kills: int | None) -> None:
    """Refuse a cell whose process has ended; what else went wrong then comes of that."""
    process.join(END_TIMEOUT_S)
    if process.exitcode is not None:
        raise InvalidMeasurementError(f"{what}: {how_it_ended(process.exitcode, kills)}")


def _probe_died(what: str, probe: Probe) -> InvalidMeasurementError:
    trace = probe.trace
    cause = trace.failure or f"no reading within {PROBE_TIMEOUT_S:g} s"
    return InvalidMeasurementError(
        f"{what}: the probe died after {len(trace.times_s)} polls: {cause}"
    )


def _require_idle(what: str, device: Device, idle_bytes: int | None) -> None:
    """Refuse a pass after which the device's level is not what it was: somebody else moved it."""
    if idle_bytes is None:
        return
    deadline_s = time.monotonic() + IDLE_TIMEOUT_S
    while True:
        memory = device.memory()
        if memory is None:
            raise DeviceError(f"{what}: the device's memory was not readable after the pass")
        moved_mib = mib(memory.used_bytes - idle_bytes)
        if abs(moved_mib) <= SLACK_MIB:
            return
        if time.monotonic() > deadline_s:
            raise InvalidMeasurementError(
                f"{what}: after the pass the device's memory in use is {moved_mib:+.0f} MiB from "
                "what it was before; somebody else uses the device, or the driver kept something"
            )
        time.sleep(0.02)


def _how_far(watched: Observation, last: Failed) -> str:
    """Say how far a cell got that ran out of memory."""
    peaks = peaks_of(watched, watched.spans[-1])
    kinds = ("process", "device", "reserved", "allocated")
    reached = ", ".join(f"{peaks[kind]:.0f} MiB ({kind})" for kind in kinds if kind in peaks)
    return f"{last.message}; it got as far as the phase {last.phase!r} and {reached}"
