"""Wall time of base against head by pairs of processes: pure, runs in, verdicts out.

A pair is a process of each side, and gives each figure once: by how much the head's is larger. How
many pairs are enough is decided by judge/sequential.py, figure by figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

import msgspec

from whisperbench.asked.suite import Tolerance
from whisperbench.errors import InputError
from whisperbench.judge.boundaries import BY_FAMILY
from whisperbench.judge.compare import Gate, Identity, identity_of
from whisperbench.judge.rules import BEYOND, percent, signed, verdict_on
from whisperbench.judge.sequential import MOST, UNBOUNDED, Decision, decide, looks
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import KINDS, Kind
from whisperbench.results.passes import LatencyResult, Turns
from whisperbench.results.records import Cell, Judged, Judgement, Measurement, Run, Verdict
from whisperbench.units import counted

Key = tuple[str, Cell]
"""A benchmark and its cell, as the head has it."""


NOT_MEASURED = ("new", "missing")
"""Verdicts on a figure that one side has not measured, which a later pair may."""


@dataclass
class _Figure:
    """A figure of wall time, pair by pair."""

    key: Key
    metrics: list[tuple[Metric, Metric]] = field(default_factory=list)
    """The base's and the head's."""
    growths: list[float] = field(default_factory=list)
    """Logarithms of head over base; positive is worse."""
    in_turns: bool = True
    doubt: Verdict | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was said of a figure after so many pairs."""

    pairs: int
    decision: Decision


@dataclass(frozen=True, kw_only=True)
class Course:
    """A figure of wall time, pair by pair and look by look."""

    benchmark: str
    cell: Cell
    metric: str
    growths: tuple[float, ...]
    """Of the head over the base in each pair, as shares; positive is worse."""
    looks: tuple[Look, ...]
    """Those that there were, up to the one that decided."""
    tolerance: float
    """The growth that is allowed, as a share."""
    largest: int
    """Pairs of the last look that was planned."""
    outcome: Judgement


class Pairs:
    """The pairs of a comparison so far, and what they say."""

    def __init__(self, tolerances: Sequence[Tolerance] = (), largest: int = MOST) -> None:
        """Prepare to judge.

        Args:
            tolerances: suite.toml's.
            largest: pairs of the last look, fixed before the first.
        """
        self._tolerances = tolerances
        self._largest = largest
        self._figures: dict[tuple[Identity, str], _Figure] = {}
        self._else: dict[tuple[Identity, str, Kind | None], Judged] = {}
        """What is not of wall time is decided by one execution, and so is what has no partner."""
        self._family = 0
        self._gate: Gate | None = None
        self.count = 0

    def add(self, base: Run, head: Run) -> None:
        """Take in a pair.

        Raises:
            InputError: a run measured a cell twice, or there are more figures than can be judged.
        """
        gate = Gate(base, head.machine, self._tolerances)
        judged = gate.judge_all(head.measurements)
        # As many as were asked for, measured or not: the family is that of the first pair.
        if not self._family:
            asked = sum(not entry.deselected for entry in head.info.manifest)
            self._family = max(1, asked, sum(map(_is_by_pairs, judged)))
            if self._family > max(BY_FAMILY):
                raise InputError(
                    f"{self._family} figures of wall time are more than the {max(BY_FAMILY)} that "
                    "can be judged together: compare fewer cells at a time"
                )
        self.count += 1
        if self._gate is None:
            self._gate = gate
        olds = {identity_of(row): row for row in base.measurements}
        news = {identity_of(row): row for row in head.measurements}
        for each in judged:
            identity = identity_of(each)
            place = identity, each.verdict.metric
            if _is_by_pairs(each):
                self._add(place, olds[identity], news[identity])
            elif place not in self._figures:
                before = self._else.get((*place, each.verdict.kind))
                if before is None or before.verdict.verdict in NOT_MEASURED:
                    self._else[*place, each.verdict.kind] = each
            elif each.verdict.verdict not in NOT_MEASURED:
                self._figures[place].doubt = each.verdict

    def _add(self, place: tuple[Identity, str], base: Measurement, head: Measurement) -> None:
        """Take in a figure that both sides have and that can be compared."""
        if (before := self._else.get((*place, "wall"))) is not None:
            if before.verdict.verdict not in NOT_MEASURED:
                return
            del self._else[*place, "wall"]
        old, new = base.metric(place[1]), head.metric(place[1])
        assert old is not None  # noqa: S101 - it was judged
        assert new is not None  # noqa: S101 - likewise
        figure = self._figures.setdefault(place, _Figure((head.benchmark, head.cell)))
        growth = _growth(old, new, _turns(base), _turns(head))
        figure.in_turns &= _turns(base) is not None
        figure.metrics.append((old, new))
        figure.growths.append(growth if new.better == "lower" else -growth)

    def judged(self) -> list[Judged]:
        """Return a verdict for each figure, by the pairs so far."""
        by_pairs = (
            Judged(*figure.key, self._verdict(figure.key[1], figure))
            for figure in self._figures.values()
        )
        return [*self._else.values(), *by_pairs]

    def measured(self) -> set[Key]:
        """Return the benchmarks and cells that both sides of a pair have measured."""
        return {figure.key for figure in self._figures.values()}

    def open(self) -> set[Key]:
        """Return the benchmarks and cells of which a figure is not decided and may still be."""
        return {
            figure.key
            for figure in self._figures.values()
            if figure.doubt is None and self._decision(figure.key[1], figure).next_look is not None
        }

    def courses(self) -> list[Course]:
        """Return each figure of wall time, pair by pair and look by look."""
        return [self._course(name, figure) for (_, name), figure in self._figures.items()]

    def _course(self, name: str, figure: _Figure) -> Course:
        benchmark, cell = figure.key
        tolerance = self._tolerance(cell, figure.metrics[-1][1])
        found = []
        for look in (each for each in looks(self._largest) if each <= len(figure.growths)):
            decision = decide(
                figure.growths[:look],
                family=self._family,
                tolerance=tolerance,
                largest=self._largest,
            )
            found.append(Look(pairs=look, decision=decision))
            if decision.outcome != "undecided":
                break
        return Course(
            benchmark=benchmark,
            cell=cell,
            metric=name,
            growths=tuple(math.expm1(growth) for growth in figure.growths),
            looks=tuple(found),
            tolerance=tolerance,
            largest=self._largest,
            outcome=self._verdict(cell, figure).verdict,
        )

    def circumstances(self) -> list[str]:
        """Return what else has changed between the two sides."""
        return self._gate.circumstances() if self._gate is not None else []

    def _decision(self, cell: Cell, figure: _Figure) -> Decision:
        new = figure.metrics[-1][1]
        return decide(
            figure.growths,
            family=self._family,
            tolerance=self._tolerance(cell, new),
            largest=self._largest,
        )

    def _tolerance(self, cell: Cell, metric: Metric) -> float:
        assert self._gate is not None  # noqa: S101 - there is a pair
        return self._gate.allowed(cell, metric.name, KINDS[metric.kind], in_turns=True).share

    def _verdict(self, cell: Cell, figure: _Figure) -> Verdict:
        if figure.doubt is not None:
            return figure.doubt
        found = self._decision(cell, figure)
        seen = figure.metrics[: found.pairs]
        old, new = (
            _typical([pair[side] for pair in seen], figure.metrics[-1][side]) for side in (0, 1)
        )
        outcome: Judgement = "inconclusive" if found.outcome == "undecided" else found.outcome
        how = "in turns" if figure.in_turns else "of whole processes"
        bounds = (
            f", between {signed(found.low)} and {signed(found.high)}"
            if found.high < math.expm1(UNBOUNDED)
            else ""
        )
        sentence = f"{signed(found.growth)}{bounds} ({counted(found.pairs, 'pair')} {how})"
        if outcome == "inconclusive":
            size = f"under {percent(found.unseen)}" if found.unseen < BEYOND else "of any size"
            sentence += (
                f": a growth {size} may stay unseen, and "
                f"{percent(self._tolerance(cell, new))} is the tolerance"
            )
        interval = (found.low, found.high) if bounds else None
        told = outcome == "inconclusive" and found.unseen < BEYOND
        unseen = found.unseen if told else None
        verdict = verdict_on(outcome, sentence, old, new, interval=interval, unseen=unseen)
        if verdict.base is None:
            return verdict
        # The medians of both sides know nothing of pairs, and may say something else than they do.
        worse = 1 + found.growth if new.better == "lower" else 1 / (1 + found.growth)
        return msgspec.structs.replace(verdict, head=verdict.base * worse)


def _is_by_pairs(each: Judged) -> bool:
    """Whether a verdict of one pair stands for more pairs to come."""
    return each.verdict.verdict in ("ok", "improved", "regressed", "inconclusive") and (
        each.verdict.kind == "wall"
    )


def _turns(row: Measurement) -> Turns | None:
    return row.found.turns if isinstance(row.found, LatencyResult) else None


def _growth(old: Metric, new: Metric, base: Turns | None, head: Turns | None) -> float:
    """Return log(head / base) of a pair.

    Of two that took turns it is taken round by round. Who is first changes with each round, and the
    second finds another machine than the first one does: on an H200's host the front end was 13 %
    quicker for whoever came second. So the medians of both orders count alike.

    Raises:
        ValueError: they took turns over different numbers of rounds.
    """
    before, after = old.samples or old.figures, new.samples or new.figures
    if base is None or head is None:
        return math.log(median(after) / median(before))
    rounds = [math.log(y / x) for x, y in zip(before, after, strict=True)]
    orders = [rounds[::2], rounds[1::2]] if len(rounds) > 1 else [rounds]
    return fmean(median(order) for order in orders)


def _typical(metrics: Sequence[Metric], like: Metric) -> Metric:
    """Return a metric whose figure is the median of those of several processes."""
    figures = tuple(median(metric.figures) for metric in metrics)
    return msgspec.structs.replace(like, value=median(figures), samples=None)
