"""Bisection over the releases of a package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

    return bisect(package, releases, measure, metric=metric, say=say)


def bisect(
    package: str,
    releases: Sequence[Version],
    measure: Callable[[Version], Run],
    *,
    metric: str | None = None,
    say: Callable[[str], None],
) -> Answer:
    """Find among releases, oldest first, the one in which a count grew most.

    Args:
        package: its name.
        releases: the first is said to be good, the last to be bad: these two are measured first.
        measure: returns the run of a release.
        metric: as in `bisect_releases`.
        say: told of each step.

    Raises:
        InputError: the last is not worse than the first.
        InvalidMeasurementError: one of these two cannot be measured.
    """
    names = [f"{package} {each}" for each in releases]
    say(
        f"{package} {releases[0]}..{releases[-1]}: {counted(len(releases), 'release')}; the two "
        f"ends are measured, then {most_steps(len(releases))} between them, more if it grew in "
        "several places"
    )
    ends = [
        _end(measure, release, which, f"{package} {release}", say)
        for release, which in ((releases[0], "good"), (releases[-1], "bad"))
    ]
    runs = {0: ends[0], len(releases) - 1: ends[1]}
    growths = grown(counts_of(ends[0]), counts_of(ends[1]), (names[0], names[-1]), metric)
    followed = growths[0]
    say(following(growths))

    def count_of(index: int) -> float | None:
        try:
            run = measure(releases[index])
        except SKIPPED as error:
            say(f"skipped: {error}")
            return None
        count = counts_of(run).get(followed.place)
        if count is None:
            say(f"skipped: {names[index]}: {followed.place} was not measured")
            return None
        runs[index] = run
        say(f"{names[index]}: {count:.10g}, {count - followed.good:+.10g} since {releases[0]}")
        return count

    try:
        found = search(len(releases), (followed.good, followed.bad), count_of)
    except KeyboardInterrupt:
        most = spans({index: counts_of(run)[followed.place] for index, run in runs.items()})[0]
        say(
            f"so far: it grew most from {releases[most.first]} to {releases[most.last]}, by "
            f"{most.growth:.10g}; the same command goes on from there"
        )
        raise
    return Answer(
        lines=tuple(_answer(package, releases, found, runs, followed, metric)),
        decided=found[0].whole and not found[0].skipped,
        first_bad=str(releases[found[0].last]),
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
    """Say which release added most, what it is made of, and where the rest of the growth is."""
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
        yield f"{package} {after} added most, compared with {before}: {share}"
    for line in changes(runs[most.first], runs[most.last], followed.place, metric):
        yield f"  {line}"
    for span in found[1:]:
        ends = releases[span.first], releases[span.last]
        which = f"{ends[1]}" if span.whole else f"{ends[0]}..{ends[1]}"
        yield f"{package} {which} added {span.growth:.10g}, {followed.part(span.growth):.0%} of it"
