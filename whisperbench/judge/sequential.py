"""Is head slower than base, in pairs that were measured in turns? Decided as early as may be.

A pair is one process of each, and gives one figure: the logarithm of head over base. After 3 to 8,
10, 12 and 16 pairs they are looked at, and the first look that decides ends it. Looking at growing
data again and again finds something sooner or later, so every look spends a part of the error only:
a group-sequential test of Student's t (Jennison and Turnbull, *Group Sequential Methods*, 2000,
chapters 7 and 9). docs/statistics.md has what it reaches; scripts/sequential_boundaries.py derives
the boundaries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from whisperbench.judge.boundaries import BY_FAMILY, LOOKS, OF_TOLERANCE, Boundaries

FEWEST, MOST = LOOKS[0], LOOKS[-1]
"""Pairs that the last look may have."""

UNBOUNDED = 50.0
"""A logarithm that stands for any that is larger: no figure grows by a factor of e**50."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What pairs say of a figure. Growths are shares: 0.08 is 8 % more."""

    outcome: Literal["regressed", "improved", "ok", "undecided"]
    pairs: int
    """How many it rests on: those of the look that decided, or of the last one that there was.
    Before the first look, all that there are."""
    growth: float
    """Ratio of head to base, less 1: the geometric mean over the pairs."""
    low: float
    high: float
    """Bounds of the growth that hold for all figures of a suite at every look, each but for
    `FALSE_ALARMS` (repeated confidence intervals). Before the first look there are none: then `low`
    is -1, and `high`, `at_most` and `unseen` are beyond any growth."""
    at_most: float
    """Bound of the growth that holds for this figure alone, at every look, but for `MISSED`."""
    unseen: float
    """About the growth that may stay unseen where it is not decided: a larger one would have been
    found. `at_most` is never above it then."""
    next_look: int | None
    """Pairs at which it is looked at next. None where it is decided, or was the last look."""


def looks(largest: int = MOST) -> tuple[int, ...]:
    """Return after how many pairs there is a look, where the last is after `largest`.

    Raises:
        ValueError: `largest` is below `FEWEST` or above `MOST`.
    """
    if not FEWEST <= largest <= MOST:
        raise ValueError(f"the last look has {FEWEST} to {MOST} pairs, not {largest}")
    return (*(look for look in LOOKS if look < largest), largest)


def decide(
    growths: Sequence[float], *, family: int, tolerance: float, largest: int = MOST
) -> Decision:
    """Decide by pairs whether a figure has grown.

    At each look, in this order, and with all looks together erring at most so often:

    - `improved`: it has fallen (`FALSE_ALARMS` over all figures);
    - `ok`: it has grown by no more than the tolerance (`MISSED`). This waits while the figure seems
      to have fallen by more than the tolerance and looks follow, which may show it improved;
    - `regressed`: it has grown (`FALSE_ALARMS` over all figures), and is not shown to be within the
      tolerance.

    The first look that decides stays: pairs after it change nothing.

    Args:
        growths: log(head / base) of each pair, in order; positive is worse.
        family: how many figures are judged together. It must not shrink as they are decided.
        tolerance: the growth that is allowed, as a share.
        largest: pairs of the last look, which spends whatever error is left. It must be fixed
            before the first pair, for boundaries are those of the looks that were planned.

    Raises:
        ValueError: there is no pair, or one has no finite logarithm that a growth can have; the
            family is empty, or larger than there are boundaries for; the tolerance is no share of 0
            or more; or there is no such last look.
    """
    _check(growths, family, tolerance)
    planned = looks(largest)
    reached = [look for look in planned if look <= len(growths)]
    everywhere, alone = _boundaries(family), OF_TOLERANCE
    for look in reached:
        following = planned[planned.index(look) + 1] if look < largest else None
        found = _at_look(
            growths[:look],
            _at(everywhere, look, largest),
            _at(alone, look, largest),
            tolerance,
            following,
        )
        if found.outcome != "undecided":
            return found
    return found if reached else _before_the_first_look(growths)


def _check(growths: Sequence[float], family: int, tolerance: float) -> None:
    if not growths:
        raise ValueError("there are no pairs to decide by")
    for at, growth in enumerate(growths, start=1):
        if not abs(growth) < UNBOUNDED:
            raise ValueError(f"pair {at} has no finite growth: its logarithm is {growth}")
    if not 1 <= family <= max(BY_FAMILY):
        raise ValueError(f"there are boundaries for 1 to {max(BY_FAMILY)} figures, not {family}")
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"the tolerance is a share of 0 or more, not {tolerance}")


def _boundaries(family: int) -> Boundaries:
    """Return the boundaries for so many figures, or for the next larger number that has some."""
    return BY_FAMILY[min(size for size in BY_FAMILY if size >= family)]


def _at(boundaries: Boundaries, look: int, largest: int) -> float:
    """Return the boundary of a look where the last one is after `largest` pairs."""
    if look == largest:
        return boundaries.last[largest - FEWEST]
    return boundaries.interim[LOOKS.index(look)]


def _at_look(
    growths: Sequence[float],
    everywhere: float,
    alone: float,
    tolerance: float,
    following: int | None,
) -> Decision:
    """Decide by the pairs of one look, and by its two boundaries of t."""
    mean = fmean(growths)
    squares = sum((growth - mean) ** 2 for growth in growths)
    error = math.sqrt(squares / (len(growths) - 1) / len(growths))
    low, high = mean - everywhere * error, mean + everywhere * error
    at_most = _grown(mean + alone * error)
    outcome: Literal["regressed", "improved", "ok", "undecided"] = "undecided"
    if high < 0:
        outcome = "improved"
    elif at_most <= tolerance and (mean >= -math.log1p(tolerance) or following is None):
        outcome = "ok"
    elif low > 0:
        outcome = "regressed"
    return Decision(
        outcome=outcome,
        pairs=len(growths),
        growth=_grown(mean),
        low=_grown(low),
        high=_grown(high),
        at_most=at_most,
        unseen=_grown((everywhere + alone) * error),
        next_look=following if outcome == "undecided" else None,
    )


def _before_the_first_look(growths: Sequence[float]) -> Decision:
    beyond = _grown(UNBOUNDED)
    return Decision(
        outcome="undecided",
        pairs=len(growths),
        growth=_grown(fmean(growths)),
        low=-1.0,
        high=beyond,
        at_most=beyond,
        unseen=beyond,
        next_look=FEWEST,
    )


def _grown(logarithm: float) -> float:
    """Return a growth from its logarithm, however wide the bounds are."""
    return math.expm1(min(logarithm, UNBOUNDED))
