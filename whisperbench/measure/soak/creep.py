"""How fast a series of a soak grows: slopes that no single step moves, with an error bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

LEFT_OUT = 0.25
"""Share of the calls that no slope is taken of, the first ones: an allocator fills its caches then,
and modules are loaded. Of nano and dummy:tiny in fp32 and int8 malloc's count grew by 8 to 20 KiB
over the first ten calls, and by 1 to 5 over any later ten."""

Z = 2.5758
"""Of the normal distribution: the bounds are those of 99 in 100 series that differ by chance."""

FEWEST_POINTS = 5
"""On either side of a cut."""

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


def trend(values: Sequence[float], cut: int = 0) -> Trend:
    """Return the slope of a series, by Theil and Sen.

    It is the median of the slopes of all pairs of points (Theil, Indag. Math. 12, 1950), with the
    bounds of Kendall's test (Sen, J. Am. Stat. Assoc. 63, 1968). A few readings of any height move
    neither.

    Args:
        values: of calls that follow each other, at least two.
        cut: where the series is cut in two: only pairs on one side of it count, as those of one
            season do with Hirsch, Slack and Smith (Water Resour. Res. 18, 1982). 0 cuts nothing.

    Returns:
        The slope in the values' unit a call.
    """
    import numpy as np

    parts = [part for part in (values[:cut], values[cut:]) if len(part)]
    slopes = []
    variance = 0.0
    for part in parts:
        series = np.asarray(part, dtype=float)
        first, second = np.triu_indices(len(series), 1)
        slopes.append((series[second] - series[first]) / (second - first))
        count = len(series)
        variance += count * (count - 1) * (2 * count + 5) / 18
    found = np.sort(np.concatenate(slopes))
    pairs, reach = len(found), Z * sqrt(variance)
    low = max(0, round((pairs - reach) / 2) - 1)
    high = min(pairs - 1, round((pairs + reach) / 2))
    return Trend(slope=float(np.median(found)), low=float(found[low]), high=float(found[high]))


def creep_kib(held_mib: Sequence[float], every: int = 1) -> Trend:
    """Return what memory grows by, in KiB a call, without the readings that are left out.

    One step is no creep, whenever it comes: an allocator fetches a block once, as torch does of
    20 MiB. In the middle of a series it would move the median of all slopes. So the series is cut
    where that leaves the smallest slope: a leak has its slope on either side of any cut.

    Args:
        held_mib: read after one call of so many,
        every: as this.
    """
    counted = held_mib[counted_from(len(held_mib)) :]
    cuts = [0, *range(FEWEST_POINTS, len(counted) - FEWEST_POINTS + 1)]
    found = min((trend(counted, cut) for cut in cuts), key=lambda each: abs(each.slope))
    unit = KIB_IN_MIB / every
    return Trend(slope=found.slope * unit, low=found.low * unit, high=found.high * unit)


def drift(times_s: Sequence[float]) -> Trend:
    """Return how many times as long a call takes at the end as at the beginning.

    It is the trend of the times' logarithms, so that half as long and twice as long are as far from
    1, over the calls that are not left out. Nothing is cut: a call that takes twice as long from
    some call on is what a soak is for.
    """
    counted = times_s[counted_from(len(times_s)) :]
    found = trend([log(each) for each in counted])
    steps = len(counted) - 1
    return Trend(
        slope=exp(found.slope * steps), low=exp(found.low * steps), high=exp(found.high * steps)
    )
