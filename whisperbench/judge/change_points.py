"""Where a figure that wobbles changes its level: pure, a figure a recording in, places out.

Three must agree (docs/statistics.md). ruptures proposes places by the least squares of a signal
that is constant in parts (Truong, Oudre and Vayatis, *Signal Processing* 167, 2020). The levels on
both sides differ by more than the tolerance, whichever recording is left out. And in few orders of
the recordings any place divides them as well, which is a permutation test (as in Matteson and
James, *J. Am. Stat. Assoc.* 109, 2014). The recording is what is permuted: processes of one have
their day and host in common.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
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

_FIRST, _CHUNK = 999, 3_000
"""How many of them are tried at a time."""

_SELDOM = 0.0005
"""A share that the second test need not lower."""

SEED = 20

OF_STAYING = 0.8
"""Share of the false alarms that is for changes that stay, and not for those that go again."""

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
    whole = None
    while places:
        ends = [0, *places, len(values)]
        found = []
        for start, at, end in zip(ends, ends[1:], ends[2:], strict=False):
            before, after = values[start:at], values[at:end]
            old, new = level(before), level(after)
            p = 1.0
            if all(
                abs(level(now) - level(was)) > room(level(was))
                for was, now in _without_one(before, after)
            ):
                if whole is None:
                    whole = _share_as_uneven(values)
                p = max(whole, _share_as_divided(values[start:end], at - start))
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
            "pip install -e '.[report]'"
        ) from error
    # In standard deviations, so that neither unit nor size of a figure matters.
    spread = float(np.median(np.abs(np.diff(values)))) / _MAD
    scaled = (values - values.mean()) / (spread or float(values.std()) / len(values))
    model = KernelCPD(kernel="linear", min_size=FEWEST).fit(scaled)
    return [int(place) for place in model.predict(pen=PENALTY * math.log(len(values)))[:-1]]


def _without_one(before: Array, after: Array) -> Iterator[tuple[Array, Array]]:
    """Yield two groups, and both without the recording that is most like a change: none decides."""
    up = after.mean() > before.mean()
    yield before, after
    yield np.delete(before, before.argmin() if up else before.argmax()), after
    yield before, np.delete(after, after.argmax() if up else after.argmin())


def _share_as_uneven(values: Array) -> float:
    """Return in which share of the orders of values they are as uneven, by chance.

    The places that ruptures proposes are the best ones, and those between them were chosen with
    them: so the whole must be uneven, before a part of it is looked at. It may be so by a level
    that stays or by one that goes again (circular binary segmentation, Olshen et al.,
    *Biostatistics* 5, 2004). Two tests share what may go wrong.
    """
    staying = _share_of_orders(values, _most_gain) / OF_STAYING
    if staying <= _SELDOM:
        return staying
    return min(1.0, staying, _share_of_orders(values, _gain_of_arcs) / (1 - OF_STAYING))


def _share_as_divided(values: Array, at: int) -> float:
    """Return in which share of the orders of values some place divides them as well as `at`."""
    own = float(_gains(values[None, :])[0, at - FEWEST])
    return _share_of_orders(values, _most_gain, own)


def _share_of_orders(
    values: Array, statistic: Callable[[Array], Array], own: float | None = None
) -> float:
    """Return in which share of the orders of values a statistic is as large as their own.

    Args:
        values: in their own order.
        statistic: of each row of values.
        own: the statistic of the values' own order; by default worked out.
    """
    least = (float(statistic(values[None, :])[0]) if own is None else own) * (1 - 1e-9)
    orders = _orders(len(values))
    as_large, tried = 0, 0
    for start, end in ((0, _FIRST), *((at, at + _CHUNK) for at in range(_FIRST, ORDERS, _CHUNK))):
        rows = values[orders[start:end]]
        as_large += int((statistic(rows) >= least).sum())
        tried += len(rows)
        if as_large > FALSE_CHANGES * (1 + ORDERS):
            break  # however many more are tried, it is nothing
    return (1 + as_large) / (1 + tried)


def _gains(rows: Array) -> Array:
    """Return by how much two levels shorten the sum of squares, for each row and place."""
    size = rows.shape[1]
    left = np.arange(FEWEST, size - FEWEST + 1)
    sums = _centred(rows)[:, left]
    gains: Array = sums**2 * size / (left * (size - left))
    return gains


def _most_gain(rows: Array) -> Array:
    """Return the same for the best place of each row."""
    most: Array = _gains(rows).max(axis=1)
    return most


def _gain_of_arcs(rows: Array) -> Array:
    """Return by how much one stretch of a level of its own does so at most, for each row."""
    size = rows.shape[1]
    sums = _centred(rows)
    most = np.zeros(len(rows))
    for length in range(FEWEST, size - FEWEST + 1):
        arcs = sums[:, length:] - sums[:, :-length]
        gains = (arcs**2).max(axis=1) * size / (length * (size - length))
        np.maximum(most, gains, out=most)
    return most


def _centred(rows: Array) -> Array:
    """Return the sums of the first 0, 1, 2 and more values of each row, less their mean."""
    sums = np.zeros((rows.shape[0], rows.shape[1] + 1))
    (rows - rows.mean(axis=1, keepdims=True)).cumsum(axis=1, out=sums[:, 1:])
    return sums


@lru_cache(maxsize=16)
def _orders(size: int) -> NDArray[np.int32]:
    """Draw orders of so many recordings, the same ones each time."""
    random = np.random.default_rng((SEED, size))
    rows = np.tile(np.arange(size, dtype=np.int32), (ORDERS, 1))
    return random.permuted(rows, axis=1)
