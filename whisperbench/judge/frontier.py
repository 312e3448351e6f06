"""Which contenders are beaten: another one is as good in time, memory and words, and better in one.

Pure. What differs by no more than unchanged code does from run to run beats nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Literal

from whisperbench.results.kinds import KINDS
from whisperbench.results.passes import ClipScore
from whisperbench.text.words import difference_interval

Measure = Literal["time", "memory", "words"]
MEASURES: tuple[Measure, ...] = ("time", "memory", "words")
"""What contenders are held against each other in."""

NEEDED: tuple[Measure, ...] = ("time", "memory")
"""Without either nothing is placed: what is quick may be large. Words may be lacking, of all."""

ALIKE = 0.05
"""Times of one process are alike that differ by less than this share."""

ALIKE_ELSEWHERE = 0.2
"""The same of times that were taken in processes of different runs: fresh processes of unchanged
code differ by 2 to 20 % on a shared host, and a slow one by more (docs/contenders.md)."""

HOST_SHARE = 0.1
"""Peaks of a process's resident memory on a host are not surely other ones that differ by less than
this share: of unchanged code five runs held from 678 to 737 MiB."""

WORDS_MARGIN = 0.02
"""By so much of the word error rate a contender must be shown not to be worse to count as equally
good: the growth from which suite.toml calls a precision no saving."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """What can be taken, and what was found of it. NaN is what was not measured."""

    name: str
    time_s: float = nan
    """p50 of a transcription of the same work."""
    spread: float = nan
    """Half the interquartile range of its rounds, as a share of the p50."""
    memory_mib: float = nan
    """At the peak."""
    wer: float = nan
    scores: tuple[ClipScore, ...] = ()
    """Of each clip, for an interval of the difference; empty where they were not kept."""

    def lacks(self) -> tuple[Measure, ...]:
        """Name what was not measured."""
        known = {"time": self.time_s, "memory": self.memory_mib, "words": self.wer}
        return tuple(measure for measure in MEASURES if isnan(known[measure]))


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A contender among the others."""

    contender: Contender
    beaten_by: Mapping[str, tuple[Measure, ...]] = field(default_factory=dict)
    """Those that beat it, and what each is surely better in; those that nothing beats come
    first."""
    lacks: tuple[Measure, ...] = ()
    """What was not measured of it and was of others: it is then neither beaten nor beats any."""

    @property
    def stands(self) -> bool:
        """Whether it stands on the frontier: it is known in full, and nothing beats it."""
        return not self.beaten_by and not self.lacks


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """All contenders, in the order in which they were given."""

    measures: tuple[Measure, ...]
    """What they were held against each other in."""
    placed: tuple[Placed, ...]

    def of(self, name: str) -> Placed | None:
        """Find a contender."""
        return next((each for each in self.placed if each.contender.name == name), None)

    @property
    def standing(self) -> tuple[Contender, ...]:
        """Those that nothing beats."""
        return tuple(each.contender for each in self.placed if each.stands)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What unchanged code wobbles by."""

    time: float = ALIKE
    """Share by which times may differ and be alike."""
    memory: float = 0.0
    """Likewise of peaks, where it is more than the tolerance of their kind."""


def noise_of(*, on_host: bool, processes: int = 1) -> Noise:
    """Return what figures wobble by.

    Args:
        on_host: whether the device is the host itself.
        processes: how many runs the figures were taken in.
    """
    return Noise(
        time=ALIKE if processes == 1 else ALIKE_ELSEWHERE, memory=HOST_SHARE if on_host else 0.0
    )


def frontier(contenders: Sequence[Contender], noise: Noise) -> Frontier | None:
    """Place contenders that did the same work on one device.

    One beats another where it is as good in each measure and surely better in at least one:

    - time: as good up to a share of `ALIKE` more; surely better by more than the noise and more
      than the spreads of both add up to;
    - memory: as good up to the tolerance of the kind `memory`; surely better by more than that and
      the noise;
    - words: as good with no higher a word error rate, or where the paired interval of the
      difference holds 0 and ends below `WORDS_MARGIN`; surely better where the interval lies below
      0.

    Small allowances add up, so that three contenders could each beat the next in a ring. What
    another beats and what beats that one in turn, by whatever way, are alike: neither is beaten.
    So there is always one that stands.

    Args:
        contenders: each of another name.
        noise: what their figures wobble by.

    Returns:
        None where time or memory was measured of none.
    """
    known = {measure for each in contenders for measure in MEASURES if measure not in each.lacks()}
    if not known.issuperset(NEEDED):
        return None
    measures = tuple(measure for measure in MEASURES if measure in known)
    lacking = {each.name: tuple(lacked(each, measures)) for each in contenders}
    full = [each for each in contenders if not lacking[each.name]]
    beats: dict[str, dict[str, tuple[Measure, ...]]] = {each.name: {} for each in full}
    for one in full:
        for other in full:
            if one is not other and (better := _better_in(one, other, measures, noise)):
                beats[one.name][other.name] = better
    reached = {name: _reached(name, beats) for name in beats}

    def beaten_by(name: str) -> dict[str, tuple[Measure, ...]]:
        found = {
            one: better[name]
            for one, better in beats.items()
            if name in better and one not in reached[name]
        }
        stands = {one: not _is_beaten(one, beats, reached) for one in found}
        return dict(sorted(found.items(), key=lambda each: not stands[each[0]]))

    return Frontier(
        measures=measures,
        placed=tuple(
            Placed(
                contender=each,
                beaten_by=beaten_by(each.name) if each.name in beats else {},
                lacks=lacking[each.name],
            )
            for each in contenders
        ),
    )


def lacked(contender: Contender, measures: Sequence[Measure]) -> list[Measure]:
    """Return which of some measures a contender lacks, in their order."""
    lacks = contender.lacks()
    return [measure for measure in measures if measure in lacks]


def _is_beaten(
    name: str, beats: Mapping[str, Mapping[str, object]], reached: Mapping[str, set[str]]
) -> bool:
    return any(name in others and one not in reached[name] for one, others in beats.items())


def _reached(name: str, beats: Mapping[str, Mapping[str, object]]) -> set[str]:
    """Return all that a contender beats, itself or by way of others."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in beats[waiting.pop()]:
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _better_in(
    one: Contender, other: Contender, measures: Sequence[Measure], noise: Noise
) -> tuple[Measure, ...]:
    """Return what one is surely better in; nothing where it is not as good in all."""
    better: list[Measure] = []
    # Words last: an interval takes as long as everything else.
    for measure in measures:
        as_good, surely = _HELD[measure](one, other, noise)
        if not as_good:
            return ()
        if surely:
            better.append(measure)
    return tuple(better)


def is_quicker(one: Contender, other: Contender, noise: Noise) -> bool:
    """Whether one takes less time, by more than the noise and the spreads of both.

    A time without a spread, of fewer than three rounds, is known no better than that of another
    process.
    """
    spreads = one.spread + other.spread
    by = max(noise.time, ALIKE_ELSEWHERE if isnan(spreads) else spreads)
    return one.time_s * (1 + by) < other.time_s


def is_smaller(one_mib: float, other_mib: float, noise: Noise) -> bool:
    """Whether a peak is lower, by more than the tolerance of its kind and the noise."""
    return _grown(one_mib, max(KINDS["memory"].share, noise.memory)) < other_mib


def _grown(mib: float, share: float) -> float:
    return mib * (1 + share) + KINDS["memory"].absolute


def _in_time(one: Contender, other: Contender, noise: Noise) -> tuple[bool, bool]:
    return one.time_s <= other.time_s * (1 + ALIKE), is_quicker(one, other, noise)


def _in_memory(one: Contender, other: Contender, noise: Noise) -> tuple[bool, bool]:
    as_good = one.memory_mib <= _grown(other.memory_mib, KINDS["memory"].share)
    return as_good, is_smaller(one.memory_mib, other.memory_mib, noise)


def _in_words(one: Contender, other: Contender, _noise: Noise) -> tuple[bool, bool]:
    if one.scores == other.scores and one.scores:
        return True, False
    bounds = _difference(one, other)
    if bounds is None:
        return one.wer <= other.wer, False
    low, high = bounds
    return one.wer <= other.wer or (low <= 0 and high <= WORDS_MARGIN), high < 0


def _difference(one: Contender, other: Contender) -> tuple[float, float] | None:
    """Return bounds of one's error rate less the other's; None where clips cannot be paired."""
    if [each.name for each in one.scores] != [each.name for each in other.scores]:
        return None
    return difference_interval(
        [each.score for each in other.scores], [each.score for each in one.scores]
    )


_HELD: Mapping[Measure, Callable[[Contender, Contender, Noise], tuple[bool, bool]]] = {
    "time": _in_time,
    "memory": _in_memory,
    "words": _in_words,
}
"""Whether one is as good as the other in a measure, and whether it is surely better."""
