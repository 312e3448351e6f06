"""Is one group of processes slower than another? Growth of a figure that wobbles, with its bounds.

The process is the replicate: rounds within one share its memory layout, its host and its luck, so
that more of them do not make it known any better (Kalibera and Jones, *Rigorous Benchmarking in
Reasonable Time*, ISMM 2013). Each process gives one figure, its p50, taken by its logarithm, for
what disturbs a process slows it down by a factor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

FALSE_ALARMS = 0.01
"""How often a comparison of unchanged code may find anything regressed: of whole suites, not of
figures, so each of these gets an equal share (Bonferroni)."""

MISSED = 0.025
"""How often a growth of just the tolerance may pass as ok."""

FEWEST_HEADS = 3
"""Processes from which a head can be said to have regressed. One of ten on a shared host is slow as
a whole, and a single head may be that one (docs/statistics.md)."""

FEWEST_BASES = 3
"""Processes from which a base decides anything: a head may else be ok, or improved, by a base that
was slow as a whole."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """By how much a figure has grown, as a share: 0.08 is 8 % more."""

    estimate: float
    """Ratio of the geometric means, less 1."""
    low: float
    high: float
    """Bounds that hold for all figures of a suite at once, each but for `FALSE_ALARMS`."""
    at_most: float
    """Bound that holds for this figure alone, but for `MISSED`."""
    resolves: float
    """About the least growth over the tolerance that so many processes would show."""


def growth(
    base: Sequence[float], head: Sequence[float], family: int, *, less_is_worse: bool = False
) -> Growth | None:
    """Compare two groups of processes by Student's t of the logarithms.

    With one process in the head the interval is a prediction interval: it says where one more
    process of the base would lie (Hahn and Meeker, *Statistical Intervals*, chapter 4).

    Args:
        base: a figure of each process, above 0.
        head: likewise.
        family: how many figures are judged together.
        less_is_worse: whether it is by falling that the figure gets worse: then it grows by that.

    Returns:
        None where there are too few processes: a base of fewer than `FEWEST_BASES`, or no head.

    Raises:
        ValueError: a figure is not above 0.
    """
    if len(base) < FEWEST_BASES or not head:
        return None
    freedom = len(base) + len(head) - 2
    sign = -1 if less_is_worse else 1
    before, after = ([sign * math.log(figure) for figure in group] for group in (base, head))
    difference = fmean(after) - fmean(before)
    squares = sum((x - fmean(group)) ** 2 for group in (before, after) for x in group)
    error = math.sqrt(squares / freedom * (1 / len(base) + 1 / len(head)))
    everywhere, alone = _t(freedom, FALSE_ALARMS / family), _t(freedom, MISSED)
    return Growth(
        estimate=_grown(difference),
        low=_grown(difference - everywhere * error),
        high=_grown(difference + everywhere * error),
        at_most=_grown(difference + alone * error),
        resolves=_grown((everywhere + alone) * error),
    )


def error_of_median(values: Sequence[float]) -> float:
    """Return the standard error of the median of a few values.

    Of normal values that is sqrt(pi / 2) times their spread over the root of their number; the
    spread is 1.4826 times the median absolute deviation, which a stray value does not move
    (Rousseeuw and Croux, *Alternatives to the median absolute deviation*, 1993).
    """
    middle = median(values)
    spread = 1.4826 * median(abs(value - middle) for value in values)
    return spread * math.sqrt(math.pi / 2 / len(values))


def known_within(samples: Sequence[float]) -> float:
    """Return how far the middle of a process's rounds may lie from what more of them would show.

    Half of Student's 95 % interval of the logarithms' mean. It says how well one process's own
    figure is known, and nothing of other processes. Rounds that are added until it is small stop
    sooner where they happen to agree, so that it holds a little less often than 95 %
    (docs/budgets.md has by how much).

    Args:
        samples: seconds of the rounds, above 0.

    Returns:
        A share, as 0.03 for 3 % on either side; infinity of fewer than two.
    """
    if len(samples) < 2:
        return math.inf
    logarithms = [math.log(sample) for sample in samples]
    middle, freedom = fmean(logarithms), len(samples) - 1
    error = math.sqrt(sum((each - middle) ** 2 for each in logarithms) / freedom / len(samples))
    return _grown(_t(freedom, 0.025) * error)


def _grown(logarithm: float) -> float:
    """Return a growth from its logarithm, however wide the bounds are."""
    return math.expm1(min(logarithm, 50.0))


def _t(freedom: int, tail: float) -> float:
    """Return the quantile of Student's t that a share `tail` lies above."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - tail))
