"""Bisection over the releases of a package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from packaging.version import Version

from whisperbench.bisect.measuring import SKIPPED, Measurer
from whisperbench.bisect.search import (
    Found,
    Growth,
    changes,
    counts_of,
    grown,
    most_steps,
    search,
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


def bisect_releases(
    package: str,
    text: str,
    measurer: Measurer,
    *,
    metric: str | None = None,
    say: Callable[[str], None],
) -> Answer:
    """Find the release of a package that made a count grow.

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
    """Find among releases, oldest first, the one that made a count grow.

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
        f"ends and at most {most_steps(len(releases))} between them are measured"
    )
    runs: dict[int, Run] = {}
    for index, which in ((0, "good"), (len(releases) - 1, "bad")):
        try:
            runs[index] = measure(releases[index])
        except SKIPPED as error:
            raise InvalidMeasurementError(
                f"the {which} end cannot be measured; name another release: {error}"
            ) from error
        say(f"{names[index]}: measured")
    ends = (counts_of(runs[0]), counts_of(runs[len(releases) - 1]))
    growths = grown(*ends, (names[0], names[-1]), metric)
    followed = growths[0]
    say(following(growths))

    def worse(index: int) -> bool | None:
        try:
            runs[index] = measure(releases[index])
        except SKIPPED as error:
            say(f"skipped: {error}")
            return None
        count = counts_of(runs[index]).get(followed.place)
        if count is None:
            say(f"skipped: {names[index]}: {followed.place} was not measured")
            return None
        bad = count > followed.boundary
        say(f"{names[index]}: {count:.10g}, {'bad' if bad else 'good'}")
        return bad

    try:
        found = search(len(releases), worse)
    except KeyboardInterrupt:
        known = {index: counts_of(run)[followed.place] for index, run in runs.items()}
        bad = min(index for index, count in known.items() if count > followed.boundary)
        good = max(index for index, count in known.items() if count <= followed.boundary)
        say(
            f"so far: {names[good]} is good and {names[bad]} is bad; the same command goes on from "
            "there"
        )
        raise
    return Answer(
        lines=tuple(_answer(package, releases, found, runs, followed, metric)),
        decided=not found.skipped,
        first_bad=str(releases[found.bad]),
    )


def following(growths: Sequence[Growth], what: str = "release") -> str:
    """Say which count is followed, and what is called bad."""
    first = growths[0]
    others = f"; {counted(len(growths) - 1, 'other count')} grew too" if growths[1:] else ""
    return (
        f"followed: {first.place}, which grew from {first.good:.10g} to {first.bad:.10g}"
        f"{_share(first)}; a {what} with more than {first.boundary:.10g} is bad{others}"
    )


def _share(growth: Growth) -> str:
    return f" ({growth.share:+.2%})" if growth.good else ""


def _answer(
    package: str,
    releases: Sequence[Version],
    found: Found,
    runs: dict[int, Run],
    followed: Growth,
    metric: str | None,
) -> Iterator[str]:
    """Say which release it was, what it changed, and where the rest of the growth is."""
    good, bad = releases[found.good], releases[found.bad]
    if found.skipped:
        between = ", ".join(str(releases[each]) for each in (*found.skipped, found.bad))
        yield (
            f"not decided: one of {package} {between} is the first bad release; those before "
            f"{bad} could not be measured"
        )
    else:
        yield f"{package} {bad} is the first bad release; {good} is the last good one"
    for line in changes(runs[found.good], runs[found.bad], followed.place, metric):
        yield f"  {line}"
    before, after = (counts_of(runs[each])[followed.place] for each in (found.good, found.bad))
    part = followed.part(before, after)
    yield (
        f"It makes up {part:.0%} of the growth of {followed.place} from {releases[0]} to "
        f"{releases[-1]}"
    )
    rest = [
        f"whisperbench bisect {package} {first}..{last} (from {one:.10g} to {two:.10g})"
        for first, last, one, two in (
            (releases[0], good, followed.good, before),
            (bad, releases[-1], after, followed.bad),
        )
        if two > one
    ]
    if rest:
        yield f"It grew elsewhere too: {'; '.join(rest)}"
