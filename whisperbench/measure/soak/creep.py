"""How fast a series of a soak grows: slopes that a single step does not move, with an error bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

LEFT_OUT = 0.25
"""Share of the calls that no slope is taken of, the first ones: an allocator fills its caches then,
and modules are loaded. Of nano and dummy:tiny in fp32 and int8 malloc's count grew by 8 to 16 KiB
over the first ten calls, and by 1 to 5 over any later ten."""

CONFIDENCE = 0.99
"""That the true slope lies within its bounds, where calls differ by chance alone."""

KIB_IN_MIB = 1024


@dataclass(frozen=True, kw_only=True)
class Trend:
    """What a series grows by from one call to the next, and its bounds."""

    slope: float
    low: float
    high: float


def counted_from(calls: int) -> int:
    """Return how many calls are left out, of so many."""
    return int(calls * LEFT_OUT)


def trend(values: Sequence[float]) -> Trend:
    """Return the slope of a series, by Theil and Sen.

    It is the median of the slopes of all pairs of points (Theil, Indag. Math. 12, 1950). Its bounds
    are those of Kendall's test (Sen, J. Am. Stat. Assoc. 63, 1968). So one step of any height does
    not move it, as an allocator takes that fetches a block once; a staircase has its mean slope.

    Args:
        values: of calls that follow each other, at least two.

    Returns:
        The slope in the values' unit a call.
    """
    from scipy.stats import theilslopes

    found = theilslopes(list(values), list(range(len(values))), CONFIDENCE)
    slope, low, high = float(found.slope), float(found.low_slope), float(found.high_slope)
    return Trend(slope=slope, low=min(low, slope), high=max(high, slope))


def creep_kib(held_mib: Sequence[float]) -> Trend:
    """Return what memory grows by, in KiB a call, without the calls that are left out."""
    found = trend(held_mib[counted_from(len(held_mib)) :])
    return Trend(
        slope=found.slope * KIB_IN_MIB, low=found.low * KIB_IN_MIB, high=found.high * KIB_IN_MIB
    )


def drift(times_s: Sequence[float]) -> Trend:
    """Return how many times as long a call takes at the end as at the beginning.

    It is the trend of the times' logarithms, so that half as long and twice as long are as far from
    1, over the calls that are not left out.
    """
    counted = times_s[counted_from(len(times_s)) :]
    found = trend([log(each) for each in counted])
    steps = len(counted) - 1
    return Trend(
        slope=exp(found.slope * steps), low=exp(found.low * steps), high=exp(found.high * steps)
    )
