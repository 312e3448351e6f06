"""What the readings of a soak come to: slopes, a drift, and the series that is kept of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whisperbench.measure.soak.creep import Trend, counted_from, creep_kib, drift
from whisperbench.measure.soak.soaked import Called
from whisperbench.results.metrics import METRICS
from whisperbench.results.passes import DeviceConditions, SoakResult
from whisperbench.results.ran import Ran
from whisperbench.results.soak_course import MOST_CALLS, Creep, SoakCourse, SoakLevel
from whisperbench.units import mib

DRIFT = "drift_ratio"
HOST = "creep_host_kib_per_call"

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


def result_of(
    readings: Sequence[Reading],
    *,
    on_host: bool,
    malloc_counts: bool,
    conditions: DeviceConditions,
    ran: Ran,
) -> SoakResult:
    """Return a soak's figures, and say how they came about.

    Slopes are taken of the calls that are kept, so that whoever has the file can take them again.

    Args:
        readings: after each call, in their order.
        on_host: whether the device is the host itself.
        malloc_counts: whether malloc counts on the host.
        conditions: what the device ran at.
        ran: what ran, by the last call.
    """
    every = -(-len(readings) // MOST_CALLS)
    kept = range((len(readings) - 1) % every, len(readings), every)
    found = [readings[at] for at in kept]
    series = dict(_series(found))
    creeps: dict[str, Creep] = {}
    for level, held in series.items():
        metric = f"creep_{level}_kib_per_call"
        if metric in METRICS:
            creeps[metric] = _creep(metric, creep_kib(held, every))
    not_told = []
    if not malloc_counts:
        not_told.append(
            "malloc does not count here what it has given out, so that the resident set holds what "
            "malloc keeps free."
        )
    host = creeps[HOST]
    if max(host.high - host.value, host.value - host.low) > WIDEST_KIB:
        del creeps[HOST]
        not_told.append(
            f"The memory of the process moved too much for a slope within {WIDEST_KIB:g} KiB a "
            "call: raise --soak-calls."
        )
    # Other processes on a host stretch wall time, and a soak has nothing to tell them from itself.
    times_s = [each.called.cpu_s if on_host else each.called.wall_s for each in found]
    creeps[DRIFT] = _creep(DRIFT, drift(times_s))
    return SoakResult(
        conditions=conditions,
        ran=ran,
        calls=len(readings),
        left_out=kept[counted_from(len(found))],
        clock="CPU time" if on_host else "wall time",
        creeps=tuple(creeps.values()),
        course=SoakCourse(
            call=tuple(at + 1 for at in kept),
            wall_ms=tuple(round(1e3 * each.called.wall_s, 3) for each in found),
            cpu_ms=tuple(round(1e3 * each.called.cpu_s, 3) for each in found),
            held_mib={
                level: tuple(round(each, 4) for each in held) for level, held in series.items()
            },
        ),
        not_told=" ".join(not_told) or None,
    )


def _creep(metric: str, found: Trend) -> Creep:
    return Creep(metric=metric, value=found.slope, low=found.low, high=found.high)


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
