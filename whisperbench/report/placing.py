"""The precisions of a subject as contenders: what each is held against the others with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import isnan, nan

from whisperbench.judge.frontier import Contender, Frontier, frontier, noise_of
from whisperbench.report.standing import Standing, Subject

FEWEST = 3
"""Precisions from which there is a choice beside the question of what 8 bits cost."""


def work_of(standings: Sequence[Standing]) -> float | None:
    """Return the work that most of some precisions were timed on: a token count, or NaN.

    NaN is natural length, which people's own transcribers have alone. Of works that as many were
    timed on the first fixed count comes first.

    Returns:
        None where none was timed.
    """
    counts = Counter(each.tokens for each in standings if each.latency_s > 0 and each.tokens > 0)
    natural = sum(each.natural_s > 0 for each in standings)
    fixed, most = max(counts.items(), key=lambda each: each[1], default=(nan, 0))
    if not most and not natural:
        return None
    return fixed if most >= natural else nan


def contender_of(standing: Standing, work: float) -> Contender:
    """Take what counts of a precision; what ran out of memory has no peak.

    Args:
        standing: what was found of it.
        work: that its time is of, as `work_of` returns it.
    """
    natural = isnan(work)
    same = natural or standing.tokens == work
    return Contender(
        name=standing.precision,
        time_s=(standing.natural_s if natural else standing.latency_s) if same else nan,
        spread=(standing.natural_spread if natural else standing.spread) if same else nan,
        memory_mib=standing.peak_mib,
        wer=standing.wer,
        scores=standing.scores,
    )


@lru_cache(maxsize=64)
def frontier_of(
    subject: Subject, *, on_host: bool, processes: int = 1, fewest: int = FEWEST
) -> Frontier | None:
    """Place the precisions of a subject that did the same work.

    Args:
        subject: a model on a clip at a batch size.
        on_host: whether it was measured on the host itself.
        processes: how many runs it was measured in.
        fewest: how many precisions must have been measured.

    Returns:
        None where fewer were measured, or time or memory was of none.
    """
    measured = [each for each in subject.standings if each.measured]
    if len(measured) < fewest:
        return None
    work = work_of(measured)
    if work is None:
        return None
    noise = noise_of(on_host=on_host, processes=processes)
    return frontier([contender_of(each, work) for each in measured], noise)


def beaten_by(found: Frontier | None, precision: str) -> str:
    """Write what beats a precision: the first of those that nothing beats, and how many more."""
    place = found.of(precision) if found is not None else None
    if place is None or not place.beaten_by:
        return ""
    first, *others = place.beaten_by
    return f"{first} +{len(others)}" if others else first


def winner_of(found: Frontier) -> Contender | None:
    """Return the contender that beats all others, where there is one."""
    stand = found.standing
    alone = len(stand) == 1 and not any(place.lacks for place in found.placed)
    beats_all = alone and all(
        stand[0].name in place.beaten_by for place in found.placed if place.contender != stand[0]
    )
    return stand[0] if beats_all else None
