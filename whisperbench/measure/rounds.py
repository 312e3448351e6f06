"""The rounds of a benchmark: taken under telemetry, and again where that shows trouble."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from statistics import median

import msgspec

from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.telemetry import Telemetry
from whisperbench.results.passes import DeviceConditions
from whisperbench.units import format_seconds


class EnoughRoundsError(Exception):
    """No further round is wanted: raised by a round in its own place."""


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """Rounds that nothing disturbed."""

    samples_s: tuple[float, ...]
    conditions: DeviceConditions
    """What the device ran at, and what was wrong with the attempts before, if there were any."""


def take_rounds(
    one_round: Callable[[], float],
    *,
    rounds: int,
    remeasurements: int,
    telemetry: Callable[[], Telemetry],
    enough: Callable[[Sequence[float]], bool] = lambda _samples_s: False,
    say: Callable[[str], object] = lambda _line: None,
) -> Rounds:
    """Take rounds until an attempt is free of trouble.

    Args:
        one_round: runs a round; returns its seconds. It raises EnoughRoundsError where fewer than
            `rounds` are wanted.
        rounds: how many make an attempt, at most.
        remeasurements: how many further attempts are allowed.
        telemetry: makes the readings of an attempt.
        enough: whether the seconds of an attempt's rounds so far tell enough.
        say: is told of every attempt that is not believed.

    Raises:
        InvalidMeasurementError: every attempt had its trouble; all are named.
        DeviceError: the device does not answer.
    """
    troubles: list[str] = []
    while len(troubles) <= remeasurements:
        readings = telemetry()
        readings.look()
        samples_s: list[float] = []
        with suppress(EnoughRoundsError):
            for _ in range(rounds):
                samples_s.append(one_round())
                readings.look()
                if enough(samples_s):
                    break
        trouble = readings.trouble()
        if not trouble:
            conditions = msgspec.structs.replace(
                readings.conditions(), attempts_not_believed="; ".join(troubles) or None
            )
            return Rounds(samples_s=tuple(samples_s), conditions=conditions)
        troubles.append(
            f"attempt {len(troubles) + 1}, p50 {format_seconds(median(samples_s))}: {trouble}"
        )
        say(troubles[-1])
    raise InvalidMeasurementError(
        f"{'; '.join(troubles)}; cool the GPU, stop what else uses it, and run `whisperbench "
        "doctor`"
    )


_LARGEST_LEARNT_BYTES = 32 * 2**20
"""The largest freed block from which glibc learns (DEFAULT_MMAP_THRESHOLD_MAX on 64 bits)."""


def settle_allocator() -> None:
    """Bring the host's allocator to where a process that has run for long has it.

    glibc's malloc gives memory back to the system, and its pages fault one by one when they are
    taken again: blocks over a threshold, and what is free at the heap's end over twice that. The
    threshold grows to the largest block that has been freed (mallopt(3), M_MMAP_THRESHOLD), so
    chance decides where it stands. Whisper's front end, whose buffers have some MiB, took 26 ms and
    3500 faults a call in one process, and 15 ms and none once the threshold had grown. A process
    that serves for hours is there; freeing one large block brings any process there.
    """
    bytearray(_LARGEST_LEARNT_BYTES - 2**20)


@contextmanager
def garbage_held() -> Iterator[None]:
    """Hold garbage collection off.

    Frozen, everything older than this benchmark is left out of the collections between rounds,
    which then take microseconds and leave the CPU's caches as they are. Within a block that holds
    it off already, this changes nothing.
    """
    if not gc.isenabled():
        yield
        return
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
