"""Bisection over the releases of a package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import Version

from whisperbench.bisect.measuring import SKIPPED, Measurer
from whisperbench.bisect.search import (
    Growth,
    Span,
    changes,
    counts_of,
    grown,
    most_steps,
    others,
    search,
    spans,
)
from whisperbench.errors import InvalidMeasurementError
from whisperbench.results.records import Run
from whisperbench.units import counted
from whisperbench.versions.releases import (
    read_range,
    releases_between,
    releases_of,
    require_package,
    requirement_of,
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a bisection came to."""

    lines: tuple[str, ...]
    decided: bool
    """Whether one release is named, and not several that could not be told apart."""
    first_bad: str
    """The release or commit."""


def bisect_releases(
    package: str,
    text: str,
    measurer: Measurer,
    *,
    metric: str | None = None,
    say: Callable[[str], None],
) -> Answer:
    """Find the release of a package in which a count grew most.

    Args:
        package: its name.
        text: GOOD..BAD, as in 5.0.0..5.23.0.
        measurer: measures a release.
        metric: the count to follow, or a pattern; by default the one whose share grew most.
        say: told of each step.

    Raises:
        InputError: there is no such package or release, or the bad end is not worse.
        InvalidMeasurementError: an end cannot be measured.
    """
    require_package(package)
    wanted = read_range(text)
    releases = releases_between(releases_of(measurer.python, package), wanted, package)

    def measure(release: Version) -> Run:
        return measurer.run_of(requirement_of(package, release), f"{package} {release}")

    def packages(release: Version) -> Mapping[str, str]:
        return measurer.packages_of(f"{package} {release}")

    return bisect(package, releases, measure, packages=packages, metric=metric, say=say)


def bisect(
    package: str,
    releases: Sequence[Version],
    measure: Callable[[Version], Run],
    *,
    packages: Callable[[Version], Mapping[str, str]] = lambda _: {},
    metric: str | None = None,
    say: Callable[[str], None],
) -> Answer:
    """Find among releases, oldest first, the one in which a count grew most.

    Args:
        package: its name.
        releases: the first is said to be good, the last to be bad: these two are measured first.
        measure: returns the run of a release.
        packages: returns the versions of all packages that this run had; nothing if not known.
        metric: as in `bisect_releases`.
        say: told of each step.

    Raises:
        InputError: the last is not worse than the first.
        InvalidMeasurementError: one of these two cannot be measured.
    """
    say(_plan(package, releases))
    ends = [
        _end(measure, release, which, f"{package} {release}", say)
        for release, which in ((releases[0], "good"), (releases[-1], "bad"))
    ]
    names = f"{package} {releases[0]}", f"{package} {releases[-1]}"
    growths = grown(counts_of(ends[0]), counts_of(ends[1]), names, metric)
    say(following(growths))
    steps = _Steps(package, releases, measure, growths[0], say)
    steps.runs |= {0: ends[0], len(releases) - 1: ends[1]}
    try:
        found = search(len(releases), (growths[0].good, growths[0].bad), steps.count_of)
    except KeyboardInterrupt:
        say(steps.so_far())
        raise
    most = found[0]
    lines = list(_answer(package, releases, found, steps.runs, growths[0], metric))
    before, after = (packages(releases[each]) for each in (most.first, most.last))
    if told := others(before, after, package):
        lines.append(f"  {told}")
    return Answer(
        lines=(*lines, *_elsewhere(package, releases, found[1:], growths[0])),
        decided=most.whole and not most.skipped,
        first_bad=str(releases[most.last]),
    )


def _plan(package: str, releases: Sequence[Version]) -> str:
    """Say how much there is to measure."""
    steps = most_steps(len(releases))
    between = (
        f"then {steps} between them, or up to {3 * steps} if it grew in several places"
        if steps
        else "and no other release lies between them"
    )
    return (
        f"{package} {releases[0]}..{releases[-1]}: {counted(len(releases), 'release')}; the two "
        f"ends are measured, {between}"
    )


class _Steps:
    """Measures what the search asks for, and keeps the runs."""

    def __init__(
        self,
        package: str,
        releases: Sequence[Version],
        measure: Callable[[Version], Run],
        followed: Growth,
        say: Callable[[str], None],
    ) -> None:
        self.runs: dict[int, Run] = {}
        self._package = package
        self._releases = releases
        self._measure = measure
        self._followed = followed
        self._say = say

    def count_of(self, index: int) -> float | None:
        """Return the count of a release; None where it cannot be measured."""
        name = f"{self._package} {self._releases[index]}"
        try:
            run = self._measure(self._releases[index])
        except SKIPPED as error:
            self._say(f"skipped: {error}")
            return None
        count = counts_of(run).get(self._followed.place)
        if count is None:
            self._say(f"skipped: {name}: {self._followed.place} was not measured")
            return None
        self.runs[index] = run
        since = f"{count - self._followed.good:+.10g} since {self._releases[0]}"
        self._say(f"{name}: {count:.10g}, {since}")
        return count

    def so_far(self) -> str:
        """Say what is known of a search that was interrupted."""
        place = self._followed.place
        most = spans({index: counts_of(run)[place] for index, run in self.runs.items()})[0]
        return (
            f"so far: it grew most from {self._releases[most.first]} to "
            f"{self._releases[most.last]}, by {most.growth:.10g}; the same command goes on from "
            "there"
        )


def _end(
    measure: Callable[[Version], Run],
    release: Version,
    which: str,
    name: str,
    say: Callable[[str], None],
) -> Run:
    """Measure an end, without which there is nothing to search.

    Raises:
        InvalidMeasurementError: it cannot be measured.
    """
    try:
        run = measure(release)
    except SKIPPED as error:
        raise InvalidMeasurementError(
            f"the {which} end cannot be measured; name another release: {error}"
        ) from error
    say(f"{name}: measured")
    return run


def following(growths: Sequence[Growth]) -> str:
    """Say which count is followed."""
    first = growths[0]
    others = f"; {counted(len(growths) - 1, 'other count')} grew too" if growths[1:] else ""
    return (
        f"followed: {first.place}, which grew from {first.good:.10g} to {first.bad:.10g}"
        f"{_share(first)}{others}"
    )


def _share(growth: Growth) -> str:
    return f" ({growth.share:+.2%})" if growth.good else ""


def _answer(
    package: str,
    releases: Sequence[Version],
    found: Sequence[Span],
    runs: dict[int, Run],
    followed: Growth,
    metric: str | None,
) -> Iterator[str]:
    """Say which release added most, and what that is made of."""
    most = found[0]
    before, after = releases[most.first], releases[most.last]
    share = f"{followed.part(most.growth):.0%} of the growth from {releases[0]} to {releases[-1]}"
    if not most.whole:
        yield (
            f"not decided: many releases added to it, most of all those from {before} to {after}, "
            f"with {share}: whisperbench bisect {package} {before}..{after}"
        )
    elif most.skipped:
        between = ", ".join(str(releases[each]) for each in (*most.skipped, most.last))
        yield (
            f"not decided: one of {package} {between} added most, {share}; those before {after} "
            "could not be measured"
        )
    else:
        of = " of those looked at" if len(runs) < len(releases) else ""
        yield f"{package} {after} added most{of}, compared with {before}: {share}"
    for line in changes(runs[most.first], runs[most.last], followed.place, metric):
        yield f"  {line}"


def _elsewhere(
    package: str, releases: Sequence[Version], rest: Sequence[Span], followed: Growth
) -> Iterator[str]:
    """Say where else it grew."""
    for span in rest:
        ends = releases[span.first], releases[span.last]
        which = f"{ends[1]}" if span.whole else f"{ends[0]}..{ends[1]}"
        yield f"{package} {which} added {span.growth:.10g}, {followed.part(span.growth):.0%} of it"
