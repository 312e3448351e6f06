"""Where a figure that wobbles changes its level: pure, a figure a recording in, places out.

Three must agree (docs/statistics.md). ruptures proposes places by the least squares of a signal
that is constant in parts (Truong, Oudre and Vayatis, *Signal Processing* 167, 2020). The levels on
both sides differ by more than the tolerance. And in few orders of the recordings any place divides
them as well, which is a permutation test (as in Matteson and James, *J. Am. Stat. Assoc.* 109,
2014). The recording is what is permuted: processes of one have their day and host in common.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from whisperbench.errors import InputError

Array: TypeAlias = NDArray[np.float64]

FEWEST = 2
"""Recordings on either side of a change: of one alone nobody knows whether it was bad luck."""

FALSE_CHANGES = 0.05
"""Share of the changes that are told which may be expected to be none, over all figures of a
history (Benjamini and Hochberg, *J. R. Stat. Soc. B* 57, 1995). Where nothing has changed it is how
often anything is told."""

ORDERS = 9_999
"""Orders of the recordings that are tried."""

SEED = 20

PENALTY = 2.0
"""Of a proposed place, in squared standard deviations, for each natural logarithm of the number of
recordings: as the Bayesian information criterion has it for a level and a place."""

_MAD = 0.6745 * math.sqrt(2)
"""Median of the absolute differences of neighbours, in standard deviations of normal figures."""


@dataclass(frozen=True, kw_only=True)
class ChangePoint:
    """A place where the level of a figure changes."""

    at: int
    """The first recording of the new level, from 0."""
    old: float
    """The level from the change before it on, in the unit of the figures."""
    new: float
    """The level up to the change behind it."""
    p: float
    """Share of the orders of these recordings in which some place divides them as well."""


def change_points(
    figures: Sequence[float], *, room: Callable[[float], float], ratio: bool = True
) -> list[ChangePoint]:
    """Find the places where a figure changes its level, each at `FALSE_CHANGES` by itself.

    Of several figures `believed` takes those that also stand together.

    Args:
        figures: of each recording, in their order.
        room: the change of a level that is within its tolerance, in the unit of the figures.
        ratio: whether what disturbs a figure multiplies it, so that its logarithm is judged.

    Raises:
        InputError: ruptures is not installed.
    """
    if len(figures) < 2 * FEWEST or max(figures) == min(figures):
        return []
    by_ratio = ratio and min(figures) > 0
    values = np.array(figures, dtype=np.float64)
    values = np.log(values) if by_ratio else values

    def level(part: Array) -> float:
        middle = float(part.mean())
        return math.exp(middle) if by_ratio else middle

    places = _proposed(values)
    while places:
        ends = [0, *places, len(values)]
        found = []
        for start, at, end in zip(ends, ends[1:], ends[2:], strict=False):
            old, new = level(values[start:at]), level(values[at:end])
            small = abs(new - old) <= room(old)
            p = 1.0 if small else _share_of_orders(values[start:end], at - start)
            found.append(ChangePoint(at=at, old=old, new=new, p=p))
        worst = max(found, key=lambda each: each.p)
        if worst.p <= FALSE_CHANGES:
            return found
        places.remove(worst.at)
    return []


def believed(
    found: Sequence[Sequence[ChangePoint]], share: float = FALSE_CHANGES
) -> list[list[ChangePoint]]:
    """Keep the changes of a history of which at most a share is expected to be none.

    Args:
        found: the change points of each figure that was looked at, also of those without any.
        share: of the changes that are kept.
    """
    hypotheses = sum(max(1, len(points)) for points in found)
    ranked = sorted(point.p for points in found for point in points)
    most = max(
        (p for rank, p in enumerate(ranked, start=1) if p <= share * rank / hypotheses),
        default=0.0,
    )
    return [[point for point in points if point.p <= most] for points in found]


def _proposed(values: Array) -> list[int]:
    """Return the places that ruptures proposes.

    Raises:
        InputError: it is not installed.
    """
    try:
        from ruptures import KernelCPD
    except ImportError as error:
        raise InputError(
            "changes of times and memory are looked for by ruptures, which is not installed: "
            "pip install 'whisperbench[report]'"
        ) from error
    # In standard deviations, so that neither unit nor size of a figure matters.
    spread = float(np.median(np.abs(np.diff(values)))) / _MAD
    scaled = (values - values.mean()) / (spread or float(values.std()) / len(values))
    model = KernelCPD(kernel="linear", min_size=FEWEST).fit(scaled)
    return [int(place) for place in model.predict(pen=PENALTY * math.log(len(values)))[:-1]]


def _share_of_orders(values: Array, at: int) -> float:
    """Return in which share of the orders of values some place divides them as well as `at`."""
    gains = _gains(values[_orders(len(values))].astype(np.float64))
    own = float(_gains(values[None, :])[0, at - FEWEST])
    as_well = int((gains.max(axis=1) >= own * (1 - 1e-9)).sum())
    return (1 + as_well) / (1 + ORDERS)


def _gains(rows: Array) -> Array:
    """Return by how much two levels shorten the sum of squares, for each row and place."""
    size = rows.shape[1]
    left = np.arange(FEWEST, size - FEWEST + 1)
    sums = (rows - rows.mean(axis=1, keepdims=True)).cumsum(axis=1)[:, left - 1]
    gains: Array = sums**2 * size / (left * (size - left))
    return gains


@lru_cache(maxsize=32)
def _orders(size: int) -> NDArray[np.int32]:
    """Draw orders of so many recordings, the same ones each time."""
    random = np.random.default_rng((SEED, size))
    rows = np.tile(np.arange(size, dtype=np.int32), (ORDERS, 1))
    return random.permuted(rows, axis=1)
