"""The rules that hold a figure against another: whether both are believed, and how it has grown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from whisperbench.judge.statistics import FEWEST_BASES, FEWEST_HEADS, growth
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import KINDS
from whisperbench.results.metrics import can_be_zero
from whisperbench.results.records import Judgement, Verdict
from whisperbench.units import counted

BEYOND = 10.0
"""A growth that is not told from a larger one, as a share: eleven times the figure."""


@dataclass(frozen=True)
class Allowed:
    """How much a figure may grow."""

    share: float
    absolute: float


def doubted(old: Metric, new: Metric) -> Verdict | None:
    """Say why one of two figures is not to be believed; None where both are."""
    rule = KINDS[new.kind]
    for which, metric in (("base", old), ("head", new)):
        spread = spread_of(metric)
        if rule.own_spread is not None and spread > rule.own_spread:
            sentence = f"the {which}'s own executions differ by {percent(spread)}"
            return verdict_on("inconclusive", f"{sentence}; measure it again", old, new)
        if rule.agree is not None and differ(metric.figures, rule.agree):
            sentence = (
                f"the {which}'s processes differ in a figure that should be the same in all of them"
            )
            return verdict_on("invalid", sentence, old, new)
        least = min((*metric.figures, *(metric.samples or ())))
        if least <= 0 and not can_be_zero(metric):
            sentence = f"the {which} measured {least:g}: measure it again"
            return verdict_on("invalid", sentence, old, new)
    return None


def by_growth(
    old: Metric, new: Metric, allowed: Allowed, causes: Callable[[], Sequence[str]]
) -> Verdict:
    """Judge by how much a figure has grown.

    Args:
        old: the base's.
        new: the head's.
        allowed: what it may grow by.
        causes: names what a change is made of.
    """
    before, after = figure_of(old), figure_of(new)
    sign = 1 if new.better == "lower" else -1
    grown = sign * (after - before)
    room = allowed.share * abs(before) + allowed.absolute
    limit = before + sign * room
    if abs(grown) <= room:
        sentence = _from_to(old, new) if grown else ""
        return verdict_on("ok", sentence, old, new, limit=limit)
    sentence = _from_to(old, new)
    if room and grown > 0:
        sentence += f", at {'most' if sign > 0 else 'least'} {limit:.4g}"
    if named := causes():
        sentence += f": {', '.join(named)}"
    outcome: Judgement = "regressed" if grown > 0 else "improved"
    return verdict_on(outcome, sentence, old, new, limit=limit)


def by_statistics(old: Metric, new: Metric, allowed: Allowed, family: int) -> Verdict:
    """Judge by how much processes differ (docs/statistics.md).

    Args:
        old: the base's.
        new: the head's.
        allowed: what it may grow by.
        family: how many such figures are judged together.
    """
    counts = f"{_processes(old)} against {len(new.figures)}"
    found = growth(old.figures, new.figures, family, less_is_worse=new.better == "higher")
    if found is None:
        tells = "tells" if len(old.figures) == 1 else "tell"
        sentence = (
            f"{counts} {tells} too little of how processes differ, so any growth may be hidden: "
            f"record a base of at least {FEWEST_BASES} processes"
        )
        return verdict_on("inconclusive", sentence, old, new)
    interval = (found.low, found.high)
    bounds = f"between {signed(found.low)} and {signed(found.high)}"
    predicted = ": where one more process would lie" if len(new.figures) == 1 else ""
    said = f"{_from_to(old, new)}, {bounds} ({counts}{predicted})"
    unseen = found.resolves if found.resolves < BEYOND else None
    if found.high < 0:
        return verdict_on("improved", said, old, new, interval=interval)
    if found.at_most <= allowed.share:
        return verdict_on("ok", said, old, new, interval=interval)
    if found.low > 0 and len(new.figures) >= FEWEST_HEADS:
        return verdict_on("regressed", said, old, new, interval=interval)
    if found.low > 0:
        sentence = (
            f"{said}: slower than one more process of the base would be, but some are slow as a "
            f"whole; record at least {FEWEST_HEADS} processes under another --name"
        )
        return verdict_on("inconclusive", sentence, old, new, interval=interval, unseen=unseen)
    hidden = f"a growth under {percent(unseen)}" if unseen is not None else "any growth"
    sentence = (
        f"{said}: {hidden} may stay unseen, and "
        f"{percent(allowed.share)} is the tolerance; measure more processes, on a quieter machine, "
        "or base and head in turns"
    )
    return verdict_on("inconclusive", sentence, old, new, interval=interval, unseen=unseen)


def spread_of(metric: Metric) -> float:
    """Return by how much samples or processes differ, as a share of their median."""
    samples = metric.samples or metric.figures
    middle = median(samples)
    return (max(samples) - min(samples)) / middle if middle else 0.0


def differ(figures: Sequence[float], share: float) -> bool:
    """Whether figures lie further apart than by a share of their median."""
    return max(figures) - min(figures) > share * abs(median(figures))


def figure_of(metric: Metric) -> float:
    """Return the figure that stands for all processes of a metric."""
    return max(metric.figures) if KINDS[metric.kind].highest else median(metric.figures)


def _from_to(old: Metric, new: Metric) -> str:
    before, after = figure_of(old), figure_of(new)
    digits = ".10g" if KINDS[new.kind].agree == 0 else ".4g"
    said = f"{before:{digits}} to {after:{digits}} {new.unit}".removesuffix(" 1")
    return f"{said} ({100 * (after / before - 1):+.2f} %)" if before else said


def _processes(metric: Metric) -> str:
    return counted(len(metric.figures), "process")


def signed(growth: float) -> str:
    """Write a growth, given as a share; one that is beyond all measure as that."""
    return f"{growth:+.1%}" if growth < BEYOND else "over +1000 %"


def percent(share: float) -> str:
    """Write a share in percent; of a huge one, that it is."""
    return f"{100 * share:.1f} %" if share < BEYOND else "1000 %"


def verdict_on(
    outcome: Judgement,
    sentence: str,
    base: Metric | None = None,
    head: Metric | None = None,
    *,
    limit: float | None = None,
    interval: tuple[float, float] | None = None,
    unseen: float | None = None,
) -> Verdict:
    """Make a verdict of two figures, either of which may be absent."""
    metric = next(each for each in (head, base) if each is not None)
    return Verdict(
        verdict=outcome,
        metric=metric.name,
        unit=metric.unit,
        sentence=sentence,
        base=figure_of(base) if base is not None else None,
        head=figure_of(head) if head is not None else None,
        interval=interval,
        limit=limit,
        kind=metric.kind,
        unseen=unseen,
    )
