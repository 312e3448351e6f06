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
from whisperbench.judge.compare import Gate
from whisperbench.judge.rules import BEYOND, doubted, percent, verdict_on
from whisperbench.judge.sequential import MOST, UNBOUNDED, Decision, decide
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import KINDS
from whisperbench.results.passes import LatencyResult, Turns
from whisperbench.results.records import Cell, Judged, Judgement, Measurement, Run, Verdict

Key = tuple[str, Cell]
"""A benchmark and its cell, as the head has it."""


@dataclass
class _Figure:
    """A figure of wall time, pair by pair."""

    metrics: list[tuple[Metric, Metric]] = field(default_factory=list)
    """The base's and the head's."""
    growths: list[float] = field(default_factory=list)
    """Logarithms of head over base; positive is worse."""
    in_turns: bool = True
    doubt: Verdict | None = None


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
        self._figures: dict[tuple[Key, str], _Figure] = {}
        self._else: list[Judged] = []
        self._family = 0
        self._gate: Gate | None = None
        self.count = 0

    def add(self, base: Run, head: Run) -> None:
        """Take in a pair.

        Raises:
            InputError: a run measured a cell twice.
        """
        self.count += 1
        if self._gate is None:
            self._gate = Gate(base, head.machine, self._tolerances)
            judged = self._gate.judge_all(head.measurements)
            # What is not of wall time is decided by one execution, and so is what has no partner.
            self._else = [each for each in judged if not _is_by_pairs(each)]
        known = {_key(row): row for row in base.measurements}
        for row in head.measurements:
            if (partner := known.get(_key(row))) is not None:
                self._add(partner, row)
        # As many as were asked for, measured or not: the family is that of the first pair.
        asked = sum(not entry.deselected for entry in head.info.manifest)
        self._family = self._family or max(1, asked, len(self._figures))

    def _add(self, base: Measurement, head: Measurement) -> None:
        known = {metric.name: metric for metric in base.metrics}
        for new in head.metrics:
            old = known.get(new.name)
            if old is None or new.derived or not KINDS[new.kind].statistical:
                continue
            figure = self._figures.setdefault((_key(head), new.name), _Figure())
            if (doubt := doubted(old, new)) is not None:
                figure.doubt = doubt
                continue
            growth = _growth(old, new, _turns(base), _turns(head))
            figure.in_turns &= _turns(base) is not None
            figure.metrics.append((old, new))
            figure.growths.append(growth if new.better == "lower" else -growth)

    def judged(self) -> list[Judged]:
        """Return a verdict for each figure, by the pairs so far."""
        found = list(self._else)
        for (key, _), figure in self._figures.items():
            found.append(Judged(*key, self._verdict(key[1], figure)))
        return found

    def open(self) -> list[Key]:
        """Return the benchmarks and cells of which a figure is not decided and may still be."""
        return list(
            dict.fromkeys(
                key
                for (key, _), figure in self._figures.items()
                if figure.doubt is None and self._decision(key[1], figure).next_look is not None
            )
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
            f", between {_signed(found.low)} and {_signed(found.high)}"
            if found.high < math.expm1(UNBOUNDED)
            else ""
        )
        sentence = f"{_signed(found.growth)}{bounds} ({found.pairs} pairs {how})"
        if outcome == "inconclusive":
            size = f"under {percent(found.unseen)}" if found.unseen < BEYOND else "of any size"
            sentence += (
                f": a growth {size} may stay unseen, and "
                f"{percent(self._tolerance(cell, new))} is the tolerance"
            )
        interval = (found.low, found.high) if bounds else None
        told = outcome == "inconclusive" and found.unseen < BEYOND
        unseen = found.unseen if told else None
        return verdict_on(outcome, sentence, old, new, interval=interval, unseen=unseen)


def _key(row: Measurement) -> Key:
    return row.benchmark, row.cell


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


def _signed(growth: float) -> str:
    return f"{growth:+.1%}" if growth < 10 else "over +1000 %"
