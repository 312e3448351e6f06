"""What the probe saw of a cell, phase by phase, and the figures that it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from whisperbench.devices.accelerator import AllocatorLevels
from whisperbench.measure.memory.probe import Trace
from whisperbench.measure.memory.watched import Done, Failed, Mark, Phase
from whisperbench.results.metric_row import PEAK_PHASES, Level
from whisperbench.results.metrics import peak
from whisperbench.results.passes import DeviceConditions, MemoryCourse, MemoryPhase, MemoryResult
from whisperbench.units import mib

COURSE = 200
"""Readings that are kept of a cell: as many as a picture of it can show."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A phase that was watched."""

    phase: Phase
    start_s: float
    end_s: float
    mark: Mark | None
    """None where the cell went wrong before the phase was over."""
    levels: AllocatorLevels | None = None
    """What torch counted at its end, be it a bad one."""


@dataclass(kw_only=True)
class Observation:
    """What was seen of a cell."""

    idle_bytes: int | None
    trace: Trace
    spans: list[Span] = field(default_factory=list)


def highest(readings: list[int | None], polls: range) -> int | None:
    """Return the highest of the readings at these polls; None where there was none."""
    return max(
        (held for held in readings[polls.start : polls.stop] if held is not None), default=None
    )


def values_of(watched: Observation, last: Done | Failed) -> dict[str, float]:
    """Turn what was seen into figures, in MiB, by the names of their metrics."""
    figures: dict[str, float] = {}
    whole: dict[Level, list[float]] = {}
    for span in watched.spans:
        if span.phase == "start":
            continue
        peaks = peaks_of(watched, span)
        for level, value in peaks.items():
            whole.setdefault(level, []).append(value)
            for phase in PEAK_PHASES:
                if phase == span.phase:
                    figures[peak(phase, level).name] = value
        if span.phase == "context" and span.mark is not None:
            reserved = span.levels.reserved_bytes if span.levels is not None else 0
            figures["context_mib"] = peaks.get("process", peaks.get("device", 0.0)) - mib(reserved)
    figures |= {peak("", level).name: max(values) for level, values in whole.items()}
    if watched.trace.reserved_bytes is not None:
        figures["driver_reserved_mib"] = mib(watched.trace.reserved_bytes)
    if isinstance(last, Done) and last.weight_bytes is not None:
        figures["weight_mib"] = mib(last.weight_bytes)
    return figures


def peaks_of(watched: Observation, span: Span) -> dict[Level, float]:
    """Return the highest figures of a phase, in MiB, those that there are."""
    polls = watched.trace.between(span.start_s, span.end_s)
    found: dict[Level, float] = {}
    if span.levels is not None:
        found["allocated"] = mib(span.levels.peak_allocated_bytes)
        found["reserved"] = mib(span.levels.peak_reserved_bytes)
    held = highest(watched.trace.process_bytes, polls)
    if held is not None:
        # On Linux the system keeps the highest value itself, between two polls too.
        known = span.mark.peak_resident_bytes if span.mark is not None else None
        found["process"] = mib(max(held, known or 0))
    used = highest(watched.trace.device_bytes, polls)
    if used is not None and watched.idle_bytes is not None:
        found["device"] = mib(used - watched.idle_bytes)
    return found


def found_in(
    watched: Observation, last: Done | Failed, started_s: float, *, on_host: bool
) -> MemoryResult:
    """Say how the figures came about, and which one a limit is held against."""
    trace, pace = watched.trace, watched.trace.pace
    seen = any(held is not None for held in trace.process_bytes)
    if on_host:
        judged = "process (RSS)"
    else:
        judged = "process (NVML)" if seen else "device delta (NVML), process figures are hidden"
    return MemoryResult(
        conditions=DeviceConditions(others="visible" if trace.listed else "hidden"),
        judged=judged,
        polls=len(trace.times_s),
        poll_interval_ms=pace.interval_s * 1e3,
        process_poll_interval_ms=pace.interval_s * pace.processes_every * 1e3,
        poll_cost_us=(pace.memory_cost_s + pace.processes_cost_s) * 1e6,
        longest_gap_ms=trace.longest_gap_s() * 1e3,
        ready_s=watched.spans[0].end_s - started_s,
        idle_device_mib=mib(watched.idle_bytes) if watched.idle_bytes is not None else None,
        course=course_of(watched),
        ran=last.ran if isinstance(last, Done) else None,
    )


def course_of(watched: Observation) -> MemoryCourse | None:
    """Thin what the probe read to at most `COURSE` readings, of which each is its span's highest.

    Returns:
        None where nothing was read.
    """
    trace = watched.trace
    seen = any(held is not None for held in trace.process_bytes)
    idle_bytes = 0 if seen else watched.idle_bytes
    readings = trace.process_bytes if seen else trace.device_bytes
    found = [
        (at_s, mib(held - idle_bytes))
        for at_s, held in zip(trace.times_s, readings, strict=True)
        if held is not None and idle_bytes is not None
    ]
    if not found:
        return None
    began_s, ended_s = found[0][0], found[-1][0]
    spans: dict[int, tuple[float, float]] = {}
    for at_s, held_mib in found:
        share = (at_s - began_s) / (ended_s - began_s) if ended_s > began_s else 0.0
        span = min(int(share * COURSE), COURSE - 1)
        highest_mib = max(held_mib, spans[span][1]) if span in spans else held_mib
        spans[span] = at_s, highest_mib
    return MemoryCourse(
        of="process" if seen else "device",
        at_s=tuple(round(max(0.0, at_s - began_s), 3) for at_s, _ in spans.values()),
        held_mib=tuple(round(held_mib, 1) for _, held_mib in spans.values()),
        phases=tuple(
            MemoryPhase(
                name=span.phase,
                start_s=round(max(0.0, span.start_s - began_s), 3),
                end_s=round(max(0.0, span.end_s - began_s), 3),
            )
            for span in watched.spans
        ),
    )
