"""The memory pass: a cell in a fresh process, watched from this one, phase by phase.

Everything that could make a figure wrong without a sound is checked, and makes the measurement
invalid: a probe that read nothing or died, the wrong card, another user of the card, a child
that was killed. Running out of memory on the device is not among them: it is a result.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from whisperbench.errors import DeviceError, InvalidMeasurementError
from whisperbench.fresh import start_process
from whisperbench.probe import Pace, Probe, Trace
from whisperbench.result import Metric
from whisperbench.units import MIB, mib
from whisperbench.workload import (
    PHASES,
    AllocatorLevels,
    Done,
    Failed,
    Mark,
    Message,
    Phase,
    run_cell,
)

if TYPE_CHECKING:
    from whisperbench.device import Device
    from whisperbench.request import CellRequest

MIN_POLLS = 3
"""Polls that a phase must have had while it ran, where its peaks count; and after its end, before
the next may begin."""

MAX_GAP_S = 0.25
"""The longest time without a poll in a phase whose peaks count. A busy machine makes gaps of tens
of milliseconds; a probe that was held up for longer has not watched."""

HIDDEN_IDLE_MIB = 2048
"""Memory in use before the cell that no listed process holds: a desktop takes less, work more."""

CONTEXT_MIB = 2048
"""The most that a process takes on a GPU beside what torch reserves: 0.6 GiB on an H200, 1.3 GiB
where all of a card's kernels are loaded at once."""

IDLE_READINGS = 5
TIMEOUT_S = 900.0
"""A cell that takes longer than this hangs."""

PROBE_TIMEOUT_S = 10.0
EXIT_TIMEOUT_S = 30.0
END_TIMEOUT_S = 0.2
"""How long after a process the system may tell how it has ended."""

IDLE_TIMEOUT_S = 5.0
"""How long a device may take to get back to its idle level when a process has ended."""

SLACK_MIB = 8.0
"""How far the idle level may move over a pass before somebody else must be using the device; and
how far a probe may read below what torch has reserved, which it rounds, before it must be reading
something else."""

PEAK_PHASES: Mapping[Phase, str] = {
    "load": "load",
    "first call": "first_call",
    "steady call": "steady_call",
}
"""Phases that have peaks of their own in the result, and what those are called there."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a cell took.

    In `metrics`, all in MiB: `weight_mib`, the weights as loaded (absent where loading did not
    end); `context_mib`, the process before it loads: a GPU's context and libraries, a CPU's
    interpreter and libraries; `driver_reserved_mib`, what a GPU's driver keeps for itself; and
    peaks, of each of the phases in `PEAK_PHASES` and of the whole pass: `allocated` and
    `reserved` as torch counts them, `process` as NVML or the system does, `device` as the growth
    of NVML's level over idle.
    """

    metrics: tuple[Metric, ...]
    notes: dict[str, str | float | bool]
    ran_out: str
    """How far the cell got before the device's memory was full; "" where it got through."""
    seconds: float
    """What the whole pass took."""


@dataclass(frozen=True, kw_only=True)
class _Span:
    """A phase that was watched."""

    phase: Phase
    start_s: float
    end_s: float
    mark: Mark | None
    """None where the cell went wrong before the phase was over."""
    levels: AllocatorLevels | None = None
    """What torch counted at its end, be it a bad one."""


@dataclass(kw_only=True)
class _Pass:
    """What was seen of a cell."""

    idle_bytes: int | None
    trace: Trace
    spans: list[_Span] = field(default_factory=list)


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
    kills = _out_of_memory_kills()
    process, connection = start_process(target, request, forked=request.device != "cpu")
    try:
        assert process.pid is not None  # noqa: S101 - it has been started
        with Probe(device, process.pid, ours=ours, pace=pace) as probe:
            watched = _Pass(idle_bytes=idle_bytes, trace=probe.trace)
            last = _follow(what, process, connection, probe, watched, kills, timeout_s)
        with suppress(OSError):  # it may be gone already
            connection.send(None)
        process.join(EXIT_TIMEOUT_S)
    finally:
        process.kill()
        process.join()
        if process.exitcode == 255 and process.pid is not None and request.device != "cpu":
            with suppress(ProcessLookupError):  # without its server, nobody else can end it
                os.kill(process.pid, signal.SIGKILL)
        connection.close()
    if isinstance(last, Failed) and not last.out_of_memory:
        raise InvalidMeasurementError(f"{what}: while in phase {last.phase!r}: {last.message}")
    _require_believable(what, watched)
    if isinstance(last, Done):
        _require_complete(what, watched, last)
    _require_idle(what, device, idle_bytes)
    return Footprint(
        metrics=tuple(_metrics(watched, last)),
        notes=_notes(watched, pace, started_s, request.device),
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
                f"{what}: {_named(strangers)} on the device already; stop it, or measure on another"
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
    watched: _Pass,
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
            _Span(phase=phase, start_s=start_s, end_s=end_s, mark=mark, levels=message.levels)
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
        raise InvalidMeasurementError(f"{what}: {_death(process.exitcode, kills)}")


def _probe_died(what: str, probe: Probe) -> InvalidMeasurementError:
    trace = probe.trace
    cause = trace.failure or f"no reading within {PROBE_TIMEOUT_S:g} s"
    return InvalidMeasurementError(
        f"{what}: the probe died after {len(trace.times_s)} polls: {cause}"
    )


def _death(exit_code: int | None, kills_before: int | None) -> str:
    """Say how a process ended that said nothing."""
    if exit_code == 255:  # what multiprocessing says where the server that forks is gone
        return "the cell's process, or the server that it was forked from, was killed"
    if exit_code is None or exit_code >= 0:
        return f"the cell's process ended with exit code {exit_code} and without a word"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:  # a real-time signal, most of which have no name
        name = f"signal {-exit_code}"
    if exit_code != -signal.SIGKILL:
        return f"the cell's process was ended by {name}"
    kills = _out_of_memory_kills()
    if kills is None or kills_before is None:
        return (
            f"the cell's process was killed from outside by {name}; this system does not tell "
            "whether for want of memory"
        )
    if kills > kills_before:
        return (
            "the cell's process was killed by the system: the host is out of memory; free "
            "some, or take a smaller model"
        )
    return f"the cell's process was killed from outside by {name}; the host had memory left"


def _out_of_memory_kills() -> int | None:
    """Count the processes that Linux has killed for want of memory; None where it does not tell.

    A container's own count comes first: /proc/vmstat is the whole machine's.
    """
    for source in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with suppress(OSError):
            for line in Path(source).read_text(encoding="ascii").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return None


def _require_believable(what: str, watched: _Pass) -> None:
    """Refuse readings that cannot be of this cell on this device.

    Raises:
        InvalidMeasurementError: they cannot, and why.
    """
    trace = watched.trace
    if trace.failure:
        raise InvalidMeasurementError(
            f"{what}: the probe died after {len(trace.times_s)} polls: {trace.failure}"
        )
    _require_alone(what, watched)
    shown = False  # whether the process has had a figure, which it must keep then
    for span in watched.spans:
        where = f"{what}, phase {span.phase!r}"
        polls = trace.between(span.start_s, span.end_s)
        if len(polls) < MIN_POLLS:
            raise InvalidMeasurementError(
                f"{where}: lasted only {len(polls)} polls of the probe, fewer than {MIN_POLLS}"
            )
        device = trace.device_bytes[polls.start : polls.stop]
        if watched.idle_bytes is not None and None in device:
            raise InvalidMeasurementError(f"{where}: the device's memory was not readable")
        held = _highest(trace.process_bytes, polls)
        if (watched.idle_bytes is None and not held) or (shown and held is None):
            raise InvalidMeasurementError(f"{where}: the process's memory was not readable")
        shown |= held is not None
        _require_watched(where, watched, span)
        _require_all_seen(where, watched, span, polls)


def _require_watched(where: str, watched: _Pass, span: _Span) -> None:
    """Refuse a phase whose peaks count and that the probe has not watched while it ran."""
    if span.mark is None or span.phase not in PEAK_PHASES:
        return
    polls = watched.trace.between(span.start_s, span.mark.at_s)
    if len(polls) < MIN_POLLS:
        raise InvalidMeasurementError(
            f"{where}: lasted only {len(polls)} polls of the probe, fewer than {MIN_POLLS}"
        )
    times_s = watched.trace.times_s[polls.start : polls.stop]
    gap_s = max(b - a for a, b in pairwise([span.start_s, *times_s, span.mark.at_s]))
    if gap_s > max(MAX_GAP_S, MIN_POLLS * watched.trace.pace.interval_s):
        raise InvalidMeasurementError(
            f"{where}: the probe did not get to look for {1e3 * gap_s:.0f} ms; stop what else uses "
            "the CPU"
        )


def _require_complete(what: str, watched: _Pass, last: Done) -> None:
    """Refuse a cell that is through without all of its phases, or without weights that count."""
    seen = [span.phase for span in watched.spans]
    missing = [phase for phase in PHASES if phase not in seen]
    if missing:
        raise InvalidMeasurementError(
            f"{what}: the cell says that it is through, without its phase {missing[0]!r}"
        )
    if last.weight_bytes <= 0:
        raise InvalidMeasurementError(f"{what}: the cell says that it is through, with no weights")
    levels = watched.spans[PHASES.index("load")].levels
    if levels is None:
        return
    counted = levels.peak_allocated_bytes
    if counted < last.weight_bytes - round(SLACK_MIB * MIB):
        raise InvalidMeasurementError(
            f"{what}: the cell has {mib(last.weight_bytes):.0f} MiB of weights, but torch's count "
            f"of what it allocated is {mib(counted):.0f} MiB; check PYTORCH_NO_CUDA_MEMORY_CACHING"
        )


def _require_alone(what: str, watched: _Pass) -> None:
    """Refuse a device that others used meanwhile.

    Where process ids are another namespace's, the cell's own process goes by an id that is not
    known here: then the one stranger that came while the context was made is the cell itself.
    """
    trace = watched.trace
    cell = [
        pid
        for pid, seen_s in trace.strangers.items()
        for span in watched.spans
        if span.phase == "context" and span.start_s <= seen_s <= span.end_s
    ]
    itself = not trace.listed and len(trace.strangers) == len(cell) == 1
    if watched.idle_bytes is not None and not trace.listed:
        _require_room_for_nobody(what, watched)
    if trace.strangers and not itself:
        raise InvalidMeasurementError(
            f"{what}: {_named(trace.strangers)} on the device during the pass; stop what else uses "
            "it, or measure on another"
        )


def _require_room_for_nobody(what: str, watched: _Pass) -> None:
    """Refuse more memory in use than the cell's own, where processes are not to be seen."""
    idle_bytes = watched.idle_bytes or 0
    if mib(idle_bytes) > HIDDEN_IDLE_MIB:
        raise InvalidMeasurementError(
            f"{what}: {mib(idle_bytes):.0f} MiB of the device are in use by processes that are not "
            "to be seen from here; have the GPU to yourself, or start the container with --pid=host"
        )
    for span in watched.spans:
        peaks = _peaks(watched, span)
        beside = peaks.get("device", 0.0) - peaks.get("reserved", 0.0)
        if "reserved" in peaks and beside > CONTEXT_MIB:
            raise InvalidMeasurementError(
                f"{what}: in phase {span.phase!r} the device's memory grew by {beside:.0f} MiB "
                "more than torch reserved, and processes are not to be seen from here; somebody "
                "else uses the GPU"
            )


def _require_all_seen(where: str, watched: _Pass, span: _Span, polls: range) -> None:
    """Refuse a probe that saw less than torch had reserved: it looked elsewhere, or at zero."""
    if span.levels is None or span.phase == "start":
        return
    # After a failure torch has given its cache back: only what is left was there to be seen.
    at_the_end = span.levels.reserved_bytes
    reserved = span.levels.peak_reserved_bytes if span.mark is not None else at_the_end
    needed = max(reserved - round(SLACK_MIB * MIB), 1)
    device_peak = _highest(watched.trace.device_bytes, polls)
    if watched.idle_bytes is not None and device_peak is not None:
        grown = device_peak - watched.idle_bytes
        if grown < needed:
            raise InvalidMeasurementError(
                f"{where}: the probe saw the device's memory grow by {mib(grown):.0f} MiB while "
                f"torch reserved {mib(reserved):.0f} MiB; it reads another card, or zero"
            )
    held = _highest(watched.trace.process_bytes, polls)
    if held is not None and held < needed:
        raise InvalidMeasurementError(
            f"{where}: the probe saw the process hold {mib(held):.0f} MiB while torch reserved "
            f"{mib(reserved):.0f} MiB; it reads another process"
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


def _named(pids: Mapping[int, float] | set[int]) -> str:
    """Name processes, as far as they can be seen from here."""
    import psutil

    names = []
    for pid in sorted(pids):
        try:
            names.append(f"process {pid} ({psutil.Process(pid).name()})")
        except (psutil.Error, ValueError):  # of another namespace, or without an id
            names.append(f"process {pid}" if pid > 0 else "a process without an id")
    return ", ".join(names) + (" is" if len(names) == 1 else " are")


def _highest(readings: list[int | None], polls: range) -> int | None:
    return max(
        (held for held in readings[polls.start : polls.stop] if held is not None), default=None
    )


def _metrics(watched: _Pass, last: Done | Failed) -> list[Metric]:
    """Turn what was seen into figures."""
    figures: dict[str, float] = {}
    whole: dict[str, list[float]] = {}
    for span in watched.spans:
        if span.phase == "start":
            continue
        peaks = _peaks(watched, span)
        for name, value in peaks.items():
            whole.setdefault(name, []).append(value)
            if span.phase in PEAK_PHASES:
                figures[f"{PEAK_PHASES[span.phase]}_peak_{name}_mib"] = value
        if span.phase == "context" and span.mark is not None:
            reserved = span.levels.reserved_bytes if span.levels is not None else 0
            figures["context_mib"] = peaks.get("process", peaks.get("device", 0.0)) - mib(reserved)
    figures |= {f"peak_{name}_mib": max(values) for name, values in whole.items()}
    if watched.trace.reserved_bytes is not None:
        figures["driver_reserved_mib"] = mib(watched.trace.reserved_bytes)
    metrics = [
        Metric(name=name, unit="MiB", kind="memory", better="lower", value=value)
        for name, value in figures.items()
    ]
    if isinstance(last, Done):
        value = mib(last.weight_bytes)
        weight = Metric(name="weight_mib", unit="MiB", kind="exact", better="lower", value=value)
        metrics.insert(0, weight)
    return metrics


def _peaks(watched: _Pass, span: _Span) -> dict[str, float]:
    """Return the highest figures of a phase, in MiB, those that there are."""
    polls = watched.trace.between(span.start_s, span.end_s)
    found: dict[str, float] = {}
    if span.levels is not None:
        found["allocated"] = mib(span.levels.peak_allocated_bytes)
        found["reserved"] = mib(span.levels.peak_reserved_bytes)
    held = _highest(watched.trace.process_bytes, polls)
    if held is not None:
        # On Linux the system keeps the highest value itself, between two polls too.
        known = span.mark.peak_resident_bytes if span.mark is not None else None
        found["process"] = mib(max(held, known or 0))
    used = _highest(watched.trace.device_bytes, polls)
    if used is not None and watched.idle_bytes is not None:
        found["device"] = mib(used - watched.idle_bytes)
    return found


def _how_far(watched: _Pass, last: Failed) -> str:
    """Say how far a cell got that ran out of memory."""
    peaks = _peaks(watched, watched.spans[-1])
    kinds = ("process", "device", "reserved", "allocated")
    reached = ", ".join(f"{peaks[kind]:.0f} MiB ({kind})" for kind in kinds if kind in peaks)
    return f"{last.message}; it got as far as the phase {last.phase!r} and {reached}"


def _notes(
    watched: _Pass, pace: Pace, started_s: float, device: str
) -> dict[str, str | float | bool]:
    """Say how the figures came about, and which one a ceiling is judged by."""
    trace = watched.trace
    seen = any(held is not None for held in trace.process_bytes)
    if device == "cpu":
        judged = "process (RSS)"
    else:
        judged = "process (NVML)" if seen else "device delta (NVML), process figures are hidden"
    notes: dict[str, str | float | bool] = {
        "judged": judged,
        "others": "visible" if trace.listed else "hidden",
        "polls": len(trace.times_s),
        "poll_interval_ms": pace.interval_s * 1e3,
        "process_poll_interval_ms": pace.interval_s * pace.processes_every * 1e3,
        "poll_cost_us": (pace.memory_cost_s + pace.processes_cost_s) * 1e6,
        "longest_gap_ms": trace.longest_gap_s() * 1e3,
        "ready_s": watched.spans[0].end_s - started_s,
    }
    if watched.idle_bytes is not None:
        notes["idle_device_mib"] = mib(watched.idle_bytes)
    return notes
