"""What the readings of a soak come to: slopes, a drift, and the series that is kept of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whisperbench.measure.soak.creep import Trend, counted_from, creep_kib, drift
from whisperbench.measure.soak.soaked import Called
from whisperbench.results.metrics import METRICS
from whisperbench.results.passes import DeviceConditions, SoakResult
from whisperbench.results.soak_course import MOST_CALLS, Creep, SoakCourse, SoakLevel
from whisperbench.units import mib

DRIFT = "drift_ratio"

WIDEST_KIB = 16.0
"""A slope of the process's memory whose bounds lie further than this from it tells nothing: what
a leak of 64 KiB adds could be chance."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read after a call."""

    called: Called
    process_bytes: int | None = None
    """On the device; None on a CPU, and where the driver hides it."""
    device_bytes: int | None = None
    """The device's level over its idle level; None on a CPU."""


def values_of(readings: Sequence[Reading], *, on_host: bool) -> dict[str, float]:
    """Return a soak's figures by the names of their metrics."""
    return {each.metric: each.value for each in _creeps(readings, on_host=on_host)}


def result_of(
    readings: Sequence[Reading], *, on_host: bool, malloc_counts: bool, conditions: DeviceConditions
) -> SoakResult:
    """Say how the figures came about."""
    not_told = []
    if not malloc_counts:
        not_told.append(
            "malloc does not count here what it has given out, so that the resident set holds what "
            "malloc keeps free."
        )
    if _host(readings) is None:
        not_told.append(
            f"The memory of the process moved too much for a slope within {WIDEST_KIB:g} KiB a "
            "call: raise --soak-calls."
        )
    return SoakResult(
        conditions=conditions,
        calls=len(readings),
        left_out=counted_from(len(readings)),
        clock="CPU time" if on_host else "wall time",
        creeps=tuple(_creeps(readings, on_host=on_host)),
        course=course_of(readings),
        not_told=" ".join(not_told) or None,
    )


def course_of(readings: Sequence[Reading]) -> SoakCourse:
    """Keep at most `MOST_CALLS` readings, evenly chosen, the last of them included."""
    step = -(-len(readings) // MOST_CALLS)
    last = len(readings) - 1
    kept = [at for at in range(len(readings)) if (last - at) % step == 0]
    return SoakCourse(
        call=tuple(at + 1 for at in kept),
        wall_ms=tuple(round(1e3 * readings[at].called.wall_s, 3) for at in kept),
        cpu_ms=tuple(round(1e3 * readings[at].called.cpu_s, 3) for at in kept),
        held_mib={
            level: tuple(round(held[at], 4) for at in kept) for level, held in _series(readings)
        },
    )


def _creeps(readings: Sequence[Reading], *, on_host: bool) -> Iterator[Creep]:
    for level, held in _series(readings):
        metric = f"creep_{level}_kib_per_call"
        found = _host(readings) if level == "host" else creep_kib(held)
        if found is not None and metric in METRICS:
            yield _creep(metric, found)
    # Other processes on a host stretch wall time, and a soak has nothing to tell them from itself.
    times_s = [each.called.cpu_s if on_host else each.called.wall_s for each in readings]
    yield _creep(DRIFT, drift(times_s))


def _creep(metric: str, found: Trend) -> Creep:
    return Creep(metric=metric, value=found.slope, low=found.low, high=found.high)


def _host(readings: Sequence[Reading]) -> Trend | None:
    """Return the slope of the process's memory on the host; None where it is too vague."""
    found = creep_kib([mib(each.called.host.in_use) for each in readings])
    vague = max(found.high - found.slope, found.slope - found.low) > WIDEST_KIB
    return None if vague else found


def _series(readings: Sequence[Reading]) -> Iterator[tuple[SoakLevel, list[float]]]:
    """Yield what was read of memory, in MiB, call by call, as far as it was read after each."""
    calls = [each.called for each in readings]
    levels = [call.levels for call in calls]
    series: tuple[tuple[SoakLevel, list[int | None]], ...] = (
        ("malloc", [call.host.given_out for call in calls]),
        ("host", [call.host.in_use for call in calls]),
        ("resident", [call.host.resident for call in calls]),
        ("allocated", [each.allocated_bytes if each is not None else None for each in levels]),
        ("reserved", [each.reserved_bytes if each is not None else None for each in levels]),
        ("process", [each.process_bytes for each in readings]),
        ("device", [each.device_bytes for each in readings]),
    )
    for level, held in series:
        known = [mib(each) for each in held if each is not None]
        if len(known) == len(readings):
            yield level, known
