"""The soak: a cell called many times in a fresh process, and its memory read between calls.

"Steady" is the second of two calls elsewhere. Here it is some dozens: does memory creep, does a
call take longer and longer?
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from whisperbench.devices import usable
from whisperbench.devices.host import named
from whisperbench.errors import InvalidMeasurementError, OutOfMemoryError
from whisperbench.measure.ended import how_it_ended
from whisperbench.measure.fresh import start_process
from whisperbench.measure.soak.figures import Reading, result_of
from whisperbench.measure.soak.soaked import Broken, Called, Message, Through, run_soak
from whisperbench.measure.telemetry import Telemetry

if TYPE_CHECKING:
    from whisperbench.devices.device import Device
    from whisperbench.measure.cell_request import CellRequest
    from whisperbench.results.passes import SoakResult

CALL_TIMEOUT_S = 900.0
"""A call, the first with imports and loading, that takes longer than this hangs."""

EXIT_TIMEOUT_S = 30.0
END_TIMEOUT_S = 0.2
"""How long after a process the system may tell how it has ended."""


@dataclass(frozen=True, kw_only=True)
class Soak:
    """What a soak has found."""

    values: dict[str, float]
    """Slopes in KiB a call, and the drift of time, by the names of their metrics."""
    found: SoakResult
    seconds: float
    """What the whole pass took."""


@dataclass(kw_only=True)
class _Watched:
    """The device that a soak is on, and what was read of it between calls."""

    what: str
    device: Device
    pid: int
    on_host: bool
    unnamed: int
    idle_bytes: int | None
    telemetry: Telemetry
    readings: list[Reading] = field(default_factory=list)

    def read(self, called: Called) -> None:
        """Read the device after a call.

        Raises:
            DeviceError: it does not answer.
            InvalidMeasurementError: somebody else is on it.
        """
        process_bytes = device_bytes = None
        if not self.on_host:
            self.telemetry.look()
            found = self.device.processes(self.pid)
            strangers = found.keys() - {self.pid, os.getpid()}
            hidden = 0 if self.pid in found else self.unnamed + 1  # the cell itself
            if len(strangers) > hidden:
                raise InvalidMeasurementError(
                    f"{self.what}: {named(strangers)} on the device during the soak; stop what "
                    "else uses it, or measure on another"
                )
            process_bytes = found.get(self.pid)
            memory = self.device.memory()
            if memory is not None and self.idle_bytes is not None:
                device_bytes = memory.used_bytes - self.idle_bytes
        self.readings.append(
            Reading(called=called, process_bytes=process_bytes, device_bytes=device_bytes)
        )


def measure_soak(
    request: CellRequest,
    device: Device,
    calls: int,
    *,
    unnamed: int = 0,
    target: Callable[..., None] = run_soak,
    timeout_s: float = CALL_TIMEOUT_S,
) -> Soak:
    """Call a cell many times in a fresh process.

    Args:
        request: what to load and to transcribe.
        device: where the memory of a device is read, between calls.
        calls: how many.
        unnamed: processes of ours that are on the device already and whose ids may not be known
            here: 1 where this process has used it.
        target: what the process runs; it is called with a connection, the request and the calls.
        timeout_s: how long each call may take, the first with imports and loading.

    Raises:
        InvalidMeasurementError: the process died, hung or went wrong, or somebody else used the
            device.
        OutOfMemoryError: the device's memory was full after some calls.
        DeviceError: the device does not answer.
    """
    started_s = time.monotonic()
    what = f"soak of {request}"
    on_host = request.accelerator.on_host
    memory = None if on_host else device.memory()
    kills = usable.out_of_memory_kills()
    process, connection = start_process(target, request, calls, forked=not on_host)
    try:
        assert process.pid is not None  # noqa: S101 - it has been started
        watched = _Watched(
            what=what,
            device=device,
            pid=process.pid,
            on_host=on_host,
            unnamed=unnamed,
            idle_bytes=memory.used_bytes if memory is not None else None,
            telemetry=Telemetry(device=device, unnamed=unnamed),
        )
        last = _follow(watched, process, connection, kills, timeout_s)
        with suppress(OSError):  # it may be gone already
            connection.send(None)
        process.join(EXIT_TIMEOUT_S)
    finally:
        process.kill()
        process.join()
        connection.close()
    if isinstance(last, Broken):
        message = f"{what}: after {last.calls} of {calls} calls: {last.message}"
        if last.out_of_memory:
            raise OutOfMemoryError(message, on_host=on_host)
        raise InvalidMeasurementError(message)
    readings = watched.readings
    if len(readings) != calls:
        raise InvalidMeasurementError(
            f"{what}: the cell says that it is through, after {len(readings)} of {calls} calls"
        )
    found = result_of(
        readings,
        on_host=on_host,
        malloc_counts=last.malloc_counts,
        conditions=watched.telemetry.conditions(),
        ran=last.ran,
    )
    return Soak(
        values={each.metric: each.value for each in found.creeps},
        found=found,
        seconds=time.monotonic() - started_s,
    )


def _follow(
    watched: _Watched,
    process: BaseProcess,
    connection: Connection[Any, Any],
    kills: int | None,
    timeout_s: float,
) -> Through | Broken:
    """Go with the cell from call to call; return its last word."""
    while True:
        message = _next_message(watched.what, process, connection, kills, timeout_s)
        if not isinstance(message, Called):
            return message
        watched.read(message)
        with suppress(OSError):  # where it is dead, the next message tells of it
            connection.send(None)


def _next_message(
    what: str,
    process: BaseProcess,
    connection: Connection[Any, Any],
    kills: int | None,
    timeout_s: float,
) -> Message:
    """Wait for the cell's next message, its death, or the end of patience."""
    if not wait([connection, process.sentinel], timeout=timeout_s):
        raise InvalidMeasurementError(
            f"{what}: a call did not end within {timeout_s:g} s, and its process was stopped"
        )
    # A dead process may have left a word, or a child that keeps the connection open.
    with suppress(EOFError, OSError):
        if connection.poll():
            message: Message = connection.recv()
            return message
    process.join(END_TIMEOUT_S)
    raise InvalidMeasurementError(f"{what}: {how_it_ended(process.exitcode, kills)}")
