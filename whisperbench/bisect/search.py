"""The search: which count is followed, and in which step it grew most.

It is pure. Counts do not wobble, so each step decides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import NamedTuple

from whisperbench.errors import InputError, InvalidMeasurementError
from whisperbench.judge.causes import causes_of
from whisperbench.results.records import Measurement, Run, name_of
from whisperbench.units import counted


class Place(NamedTuple):
    """What a count is of."""

    benchmark: str
    cell: str
    metric: str

    def __str__(self) -> str:
        """Name it in a sentence."""
        return f"{self.metric} of {self.cell}"


Counts = Mapping[Place, float]


@dataclass(frozen=True, kw_only=True)
class Growth:
    """A count that is higher at the bad end than at the good one."""

    place: Place
    good: float
    bad: float

    @property
    def share(self) -> float:
        """The growth as a share; infinite over nothing."""
        return self.bad / self.good - 1 if self.good else math.inf

    @property
    def boundary(self) -> float:
        """Half of the way: what is over it is bad, where each must be called one or the other.

        Somewhere between two neighbours a count passes it, however many of them it grew in and
        whether it shrank meanwhile. A boundary at the good end's count would find the first growth,
        however small, and miss the one that matters.
        """
        return (self.good + self.bad) / 2

    def part(self, growth: float) -> float:
        """Return what a step makes up of the growth, as a share."""
        return growth / (self.bad - self.good)


def counts_of(run: Run) -> Counts:
    """Return the exact figures of a run that are better when they are lower, by place."""
    return {
        Place(row.benchmark, name_of(row.cell, with_clip=True), metric.name): metric.figures[0]
        for row in run.measurements
        for metric in row.metrics
        if metric.kind == "exact" and metric.better == "lower" and not metric.derived
    }


def grown(good: Counts, bad: Counts, names: tuple[str, str], wanted: str | None) -> list[Growth]:
    """Return what grew from one end to the other, the largest share first.

    Args:
        good: counts of the good end.
        bad: of the bad one.
        names: of the two, for sentences.
        wanted: a metric's name, or a pattern such as `decode_*`; None for all.

    Raises:
        InvalidMeasurementError: one of them has no counts.
        InputError: there is no such metric, or none of what is asked for grew.
    """
    for counts, name in zip((good, bad), names, strict=True):
        if not counts:
            raise InvalidMeasurementError(
                f"{name}: no counts were measured; name benchmarks that count, such as "
                "benchmarks/test_cost.py"
            )
    pattern = wanted or "*"
    both = [place for place in good if place in bad and fnmatchcase(place.metric, pattern)]
    if not both:
        known = ", ".join(sorted({place.metric for place in good if place in bad}))
        raise InputError(f"--metric {pattern}: no count of both is called so; there are: {known}")
    found = [
        Growth(place=place, good=good[place], bad=bad[place])
        for place in both
        if bad[place] > good[place]
    ]
    if not found:
        less = sum(bad[place] < good[place] for place in both)
        which = f"{less} of them shrank" if less else "all are equal"
        raise InputError(
            f"{names[1]} is not worse than {names[0]}: none of {counted(len(both), 'count')} grew, "
            f"{which}; there is nothing to look for"
        )
    # What there was nothing of comes last: any growth of it is infinite.
    return sorted(found, key=lambda each: (not each.good, -each.share, each.place))


@dataclass(frozen=True, kw_only=True)
class Span:
    """From one candidate that was measured to the next one that was."""

    first: int
    last: int
    growth: float
    """From the first to the last."""
    skipped: tuple[int, ...]
    """Those between them that cannot be measured."""

    @property
    def whole(self) -> bool:
        """Whether nothing between the two is left to be measured."""
        return self.last - self.first - 1 == len(self.skipped)


def search(
    number: int, ends: tuple[float, float], count_of: Callable[[int], float | None]
) -> list[Span]:
    """Find the step in which a count grew most.

    Of the ranges between neighbours that were measured, the one that grew most (net) is halved,
    again and again: log2 measurements where it grew in one step. Where it grew in several steps, or
    fell in some, any range with a change may hold a larger step, and the search goes on until three
    times as many were made. A range between equal counts is not looked into.

    Args:
        number: of candidates, oldest first.
        ends: counts of the first and the last.
        count_of: measures a candidate; None where it cannot be measured.

    Returns:
        What lies between neighbours that were measured and grew, the largest growth first.
    """
    counts = {0: ends[0], number - 1: ends[1]}
    skipped: set[int] = set()
    for _ in range(3 * most_steps(number)):
        middle = _next(counts, skipped)
        if middle is None:
            break
        count = count_of(middle)
        if count is None:
            skipped.add(middle)
        else:
            counts[middle] = count
    return spans(counts, skipped)


def _next(counts: Mapping[int, float], skipped: Collection[int]) -> int | None:
    """Return the middle of the range that grew most, or fell least; None where none is left."""
    ranges = sorted(
        pairwise(sorted(counts)), key=lambda each: (counts[each[0]] - counts[each[1]], each)
    )
    for first, last in ranges:
        left = [each for each in range(first + 1, last) if each not in skipped]
        if left and counts[first] != counts[last]:
            return min(left, key=lambda each: (abs(2 * each - first - last), each))
    return None


def spans(counts: Mapping[int, float], skipped: Collection[int] = ()) -> list[Span]:
    """Return what lies between neighbours that were measured and grew, the largest growth first."""
    found = [
        Span(
            first=one,
            last=two,
            growth=counts[two] - counts[one],
            skipped=tuple(sorted(each for each in skipped if one < each < two)),
        )
        for one, two in pairwise(sorted(counts))
        if counts[two] > counts[one]
    ]
    return sorted(found, key=lambda each: (-each.growth, each.first))


def most_steps(number: int) -> int:
    """Return how many are measured, both ends apart, where it grew in one step and none is skipped.

    >>> most_steps(16), most_steps(2), most_steps(41)
    (4, 0, 6)
    """
    return max(0, math.ceil(math.log2(number - 1)))


def measurement_at(run: Run, place: Place) -> Measurement | None:
    """Find the measurement that a count is of."""
    return next(
        (
            row
            for row in run.measurements
            if (row.benchmark, name_of(row.cell, with_clip=True)) == (place.benchmark, place.cell)
        ),
        None,
    )


def changes(before: Run, after: Run, followed: Place, wanted: str | None) -> Iterator[str]:
    """Say what grew in a step, and what it is made of: the followed count first."""
    one, two = counts_of(before), counts_of(after)
    places: Sequence[Place] = [
        place
        for place in sorted(one.keys() & two.keys(), key=lambda each: (each != followed, each))
        if two[place] > one[place] and fnmatchcase(place.metric, wanted or "*")
    ]
    for place in places:
        share = f" ({two[place] / one[place] - 1:+.2%})" if one[place] else ""
        base, head = (measurement_at(run, place) for run in (before, after))
        causes = causes_of(base, head, place.metric) if base and head else []
        made_of = f": {'; '.join(causes)}" if causes else ""
        yield f"{place}: {one[place]:.10g} to {two[place]:.10g}{share}{made_of}"


def others(before: Mapping[str, str], after: Mapping[str, str], package: str) -> str | None:
    """Say which other packages differ on the two sides of a step, for they may be the cause.

    Args:
        before: versions by distribution; none where they are not known.
        after: of the other side.
        package: the one that is searched.

    >>> others({"x": "1", "tokenizers": "0.21"}, {"X": "2", "tokenizers": "0.22"}, "x")
    'beside x, tokenizers 0.21 became 0.22, which may be the cause'
    """
    if not (before and after):
        return None
    one, two = ({normal(name): each for name, each in found.items()} for found in (before, after))
    differ = [
        f"{name} {one.get(name, '(none)')} became {two.get(name, '(none)')}"
        for name in sorted((one.keys() | two.keys()) - {normal(package)})
        if one.get(name) != two.get(name)
    ]
    return f"beside {package}, {', '.join(differ)}, which may be the cause" if differ else None


def normal(name: str) -> str:
    """Write a package's name as all of its spellings are alike (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
