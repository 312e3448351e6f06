"""Whether what the probe saw can be of this cell on this device; if not, why not."""

from __future__ import annotations

from itertools import pairwise

from whisperbench.devices.host import named
from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.memory.observation import (
    Observation,
    Span,
    highest,
    peaks_of,
)
from whisperbench.measure.memory.watched import PHASES, Done
from whisperbench.results.metric_row import PEAK_PHASES
from whisperbench.units import MIB, mib

MIN_POLLS = 3
"""Polls that a phase must have had while it ran, where its peaks count; and after its end, before
the next may begin."""

MAX_GAP_S = 0.25
"""The longest time without a poll in a phase whose peaks count. A busy machine makes gaps of tens
of milliseconds; a probe that was held up for longer has not watched."""

HIDDEN_IDLE_MIB = 2048
"""Memory in use before the cell that no listed process holds: a desktop takes less, work more."""

CONTEXT_MIB = 2048
"""The most that a process takes on a GPU beside what torch reserves, for its context, libraries and
kernels: 0.6 to 0.8 GiB were seen on an H200, and 1.2 GiB by others."""

SLACK_MIB = 8.0
"""How far the idle level may move over a pass before somebody else must be using the device; and
how far a probe may read below what torch has reserved, which it rounds, before it must be reading
something else."""


def require_believable(what: str, watched: Observation) -> None:
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
        held = highest(trace.process_bytes, polls)
        if (watched.idle_bytes is None and not held) or (shown and held is None):
            raise InvalidMeasurementError(f"{where}: the process's memory was not readable")
        shown |= held is not None
        _require_watched(where, watched, span)
        _require_all_seen(where, watched, span, polls)


def _require_watched(where: str, watched: Observation, span: Span) -> None:
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


def require_complete(what: str, watched: Observation, last: Done) -> None:
    """Refuse a cell that is through without all of its phases, or without weights that count."""
    seen = [span.phase for span in watched.spans]
    missing = [phase for phase in PHASES if phase not in seen]
    if missing:
        raise InvalidMeasurementError(
            f"{what}: the cell says that it is through, without its phase {missing[0]!r}"
        )
    if last.weight_bytes is None:
        return
    if last.weight_bytes <= 0:
        raise InvalidMeasurementError(f"{what}: the cell says that it is through, with no weights")
    levels = watched.spans[PHASES.index("load")].levels
    if levels is None:
        _require_weights_seen(what, watched, last.weight_bytes)
        return
    counted = levels.peak_allocated_bytes
    if counted < last.weight_bytes - round(SLACK_MIB * MIB):
        raise InvalidMeasurementError(
            f"{what}: the cell has {mib(last.weight_bytes):.0f} MiB of weights, but torch's count "
            f"of what it allocated is {mib(counted):.0f} MiB; check PYTORCH_NO_CUDA_MEMORY_CACHING"
        )


def _require_weights_seen(what: str, watched: Observation, weight_bytes: int) -> None:
    """Refuse a probe that saw less than the weights, where torch does not count them."""
    peaks = [peaks_of(watched, span) for span in watched.spans]
    for level in ("process", "device"):
        seen = [each[level] for each in peaks if level in each]
        if seen and max(seen) < mib(weight_bytes) - SLACK_MIB:
            raise InvalidMeasurementError(
                f"{what}: the cell has {mib(weight_bytes):.0f} MiB of weights, and the probe saw "
                f"{max(seen):.0f} MiB ({level}); it reads something else, or zero"
            )


def _require_alone(what: str, watched: Observation) -> None:
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
            f"{what}: {named(trace.strangers)} on the device during the pass; stop what else uses "
            "it, or measure on another"
        )


def _require_room_for_nobody(what: str, watched: Observation) -> None:
    """Refuse more memory in use than the cell's own, where processes are not to be seen."""
    idle_bytes = watched.idle_bytes or 0
    if mib(idle_bytes) > HIDDEN_IDLE_MIB:
        raise InvalidMeasurementError(
            f"{what}: {mib(idle_bytes):.0f} MiB of the device are in use by processes that are not "
            "to be seen from here; have the GPU to yourself, or start the container with --pid=host"
        )
    for span in watched.spans:
        peaks = peaks_of(watched, span)
        beside = peaks.get("device", 0.0) - peaks.get("reserved", 0.0)
        if "reserved" in peaks and beside > CONTEXT_MIB:
            raise InvalidMeasurementError(
                f"{what}: in phase {span.phase!r} the device's memory grew by {beside:.0f} MiB "
                "more than torch reserved, and processes are not to be seen from here; somebody "
                "else uses the GPU"
            )


def _require_all_seen(where: str, watched: Observation, span: Span, polls: range) -> None:
    """Refuse a probe that saw less than torch had reserved: it looked elsewhere, or at zero."""
    if span.levels is None or span.phase == "start":
        return
    # After a failure torch has given its cache back: only what is left was there to be seen.
    at_the_end = span.levels.reserved_bytes
    reserved = span.levels.peak_reserved_bytes if span.mark is not None else at_the_end
    needed = max(reserved - round(SLACK_MIB * MIB), 1)
    device_peak = highest(watched.trace.device_bytes, polls)
    if watched.idle_bytes is not None and device_peak is not None:
        grown = device_peak - watched.idle_bytes
        if grown < needed:
            raise InvalidMeasurementError(
                f"{where}: the probe saw the device's memory grow by {mib(grown):.0f} MiB while "
                f"torch reserved {mib(reserved):.0f} MiB; it reads another card, or zero"
            )
    held = highest(watched.trace.process_bytes, polls)
    if held is not None and held < needed:
        raise InvalidMeasurementError(
            f"{where}: the probe saw the process hold {mib(held):.0f} MiB while torch reserved "
            f"{mib(reserved):.0f} MiB; it reads another process"
        )
