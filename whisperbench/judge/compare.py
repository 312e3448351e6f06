"""Runs held against a baseline: pure, data in, verdicts out.

Every figure goes through the rule of its kind (kinds.py), whatever measured it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from whisperbench.asked.suite import Tolerance, matches
from whisperbench.errors import InputError
from whisperbench.judge.causes import causes_of
from whisperbench.judge.statistics import FEWEST_BASES, FEWEST_HEADS, growth
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import KINDS, Rule
from whisperbench.results.metrics import can_be_zero
from whisperbench.results.passes import CostResult
from whisperbench.results.records import (
    Cell,
    Judged,
    Judgement,
    Machine,
    Measurement,
    Run,
    Verdict,
)

_CIRCUMSTANCES = (
    *("driver", "cuda", "power_limit_w", "compute_mode", "mig", "memory_mib"),
    *("cpu", "cpu_cores", "threads", "python", "os"),
)
"""What may differ between two machines of one device key, and is said."""

_Identity = tuple[str, str, str, str, int, str, bool]


def compare(base: Run, head: Run, tolerances: Sequence[Tolerance] = ()) -> list[Judged]:
    """Judge each figure of two runs.

    Args:
        base: a run, or a baseline of several.
        head: likewise.
        tolerances: suite.toml's.

    Returns:
        A verdict for each figure of either, in the order of the head's, what only the base has
        last; and the head's own, by its ceilings.

    Raises:
        InputError: a run measured a cell twice, so that one of the two would not be judged.
    """
    return Gate(base, head.machine, tolerances).judge_all(head.measurements)


class Gate:
    """A baseline that measurements are held against, one at a time or all at once."""

    def __init__(self, base: Run, machine: Machine, tolerances: Sequence[Tolerance] = ()) -> None:
        """Prepare to judge what is measured on a machine.

        Raises:
            InputError: the base measured a cell twice.
        """
        self._base = base
        self._machine = machine
        self._tolerances = [row for row in tolerances if matches(machine.device_key, row.devices)]
        self._used: set[int] = set()
        self._names: set[str] = set()
        self._left: dict[_Identity, Measurement] = {}
        for row in base.measurements:
            if self._left.setdefault(_identity(row), row) is not row:
                raise _twice("base", row)
        self._known = dict(self._left)
        self._seen: set[_Identity] = set()
        self._checkpoints: dict[str, str] = {}
        # Of the base alone, so that a cell is judged alike, by itself and with the others.
        self._family = sum(
            KINDS[metric.kind].statistical for row in base.measurements for metric in _judged(row)
        )

    def judge(self, head: Measurement) -> list[Judged]:
        """Judge a measurement's figures, by the baseline and by its ceilings.

        Raises:
            InputError: it was judged before.
        """
        identity = _identity(head)
        if identity in self._seen:
            raise _twice("head", head)
        self._seen.add(identity)
        self._left.pop(identity, None)
        found = list(self._of_cell(self._known.get(identity), head))
        found += [verdict for verdict in head.verdicts if verdict.verdict != "ok"]
        return [Judged(head.benchmark, head.cell, verdict) for verdict in found]

    def judge_all(self, head: Sequence[Measurement]) -> list[Judged]:
        """Judge all that was measured, and what of the baseline was not."""
        return [*(each for row in head for each in self.judge(row)), *self.missing()]

    def missing(self) -> list[Judged]:
        """Return what the baseline has and was not judged."""
        return [
            Judged(
                row.benchmark, row.cell, _verdict("missing", "the head did not measure it", metric)
            )
            for row in self._left.values()
            for metric in _judged(row)
        ]

    def _of_cell(self, base: Measurement | None, head: Measurement) -> Iterator[Verdict]:
        if base is None:
            for metric in _judged(head):
                yield _verdict("new", "the base did not measure it", None, metric)
            return
        if base.cell.checkpoint != head.cell.checkpoint:
            self._checkpoints[head.cell.model] = (
                f"suspect: the checkpoint {head.cell.model} was {base.cell.checkpoint} and is "
                f"{head.cell.checkpoint}"
            )
        differing = _differing_cells(base, head)
        known = {metric.name: metric for metric in _judged(base)}
        for metric in _judged(head):
            old = known.pop(metric.name, None)
            if old is None:
                yield _verdict("new", "the base has no such figure", None, metric)
            elif reasons := differing or self._differing_figures(old, metric):
                yield _verdict("not-comparable", "; ".join(reasons), old, metric)
            else:
                yield self._judge(base, head, old, metric)
        for metric in known.values():
            yield _verdict("missing", "the head has no such figure", metric)
        for which, row in (("base", base), ("head", head)):
            if isinstance(row.found, CostResult) and row.found.not_counted is not None:
                sentence = f"by the {which}: {row.found.not_counted}"
                yield Verdict(
                    verdict="not-comparable", metric="not counted", unit="1", sentence=sentence
                )

    def _differing_figures(self, old: Metric, new: Metric) -> list[str]:
        """Say why two figures of one cell cannot be compared."""
        found = [
            f"{name} was {old.conditions.get(name, 'unknown')} and is "
            f"{new.conditions.get(name, 'unknown')}"
            for name in sorted(old.conditions.keys() | new.conditions.keys())
            if old.conditions.get(name) != new.conditions.get(name)
        ]
        found += _differences(old, new, ("unit", "kind", "better"))
        if KINDS[new.kind].same_device:
            was, now = self._base.machine, self._machine
            found += _differences(was, now, ("device_key",))
            if (was.gpu_uuid is None) != (now.gpu_uuid is None):
                found += _differences(was, now, ("gpu_uuid",))
        return found

    def _judge(self, base: Measurement, head: Measurement, old: Metric, new: Metric) -> Verdict:
        rule = KINDS[new.kind]
        for which, metric in (("base", old), ("head", new)):
            spread = spread_of(metric)
            if rule.own_spread is not None and spread > rule.own_spread:
                sentence = f"the {which}'s own executions differ by {_percent(spread)}"
                return _verdict("inconclusive", f"{sentence}; measure it again", old, new)
            if rule.agree is not None and differ(metric.figures, rule.agree):
                sentence = f"the {which}'s processes differ, and should not"
                return _verdict("invalid", sentence, old, new)
            least = min((*metric.figures, *(metric.samples or ())))
            if least <= 0 and not can_be_zero(metric):
                sentence = f"the {which} measured {least:g}: measure it again"
                return _verdict("invalid", sentence, old, new)
        allowed = self._allowed(head.cell, new.name, rule)
        if rule.statistical:
            return self._by_statistics(old, new, allowed)
        before, after = _figure(old), _figure(new)
        sign = 1 if new.better == "lower" else -1
        grown = sign * (after - before)
        room = allowed.share * abs(before) + allowed.absolute
        limit = before + sign * room
        if abs(grown) <= room:
            sentence = _from_to(old, new) if grown else ""
            return _verdict("ok", sentence, old, new, limit=limit)
        sentence = _from_to(old, new)
        if room and grown > 0:
            sentence += f", at {'most' if sign > 0 else 'least'} {limit:.4g}"
        if causes := causes_of(base, head, new.name):
            sentence += f": {', '.join(causes)}"
        outcome: Judgement = "regressed" if grown > 0 else "improved"
        return _verdict(outcome, sentence, old, new, limit=limit)

    def _by_statistics(self, old: Metric, new: Metric, allowed: _Allowed) -> Verdict:
        """Judge by how much processes differ (docs/statistics.md)."""
        counts = f"{_processes(old)} against {len(new.figures)}"
        found = growth(old.figures, new.figures, self._family, less_is_worse=new.better == "higher")
        if found is None:
            sentence = f"{counts} tell too little of its spread: record at least {FEWEST_BASES}"
            return _verdict("inconclusive", sentence, old, new)
        interval = (found.low, found.high)
        bounds = f"between {_signed(found.low)} and {_signed(found.high)}"
        predicted = ": where one more would lie" if len(new.figures) == 1 else ""
        said = f"{_from_to(old, new)}, {bounds} ({counts}{predicted})"
        if found.high < 0:
            return _verdict("improved", said, old, new, interval=interval)
        if found.at_most <= allowed.share:
            return _verdict("ok", said, old, new, interval=interval)
        if found.low > 0 and len(new.figures) >= FEWEST_HEADS:
            return _verdict("regressed", said, old, new, interval=interval)
        if found.low > 0:
            sentence = (
                f"{said}: slower than one more process of the base would be, but some are slow as "
                f"a whole; record at least {FEWEST_HEADS} under another --name"
            )
            return _verdict("inconclusive", sentence, old, new, interval=interval)
        sentence = (
            f"{said}: a growth under {_percent(found.resolves)} may stay unseen, and "
            f"{_percent(allowed.share)} is the tolerance; measure more processes, on a quieter "
            "machine, or base and head in turns"
        )
        return _verdict("inconclusive", sentence, old, new, interval=interval)

    def _allowed(self, cell: Cell, metric: str, rule: Rule) -> _Allowed:
        """Return what a figure may grow by here."""
        self._names.add(metric)
        allowed = _Allowed(rule.share, rule.absolute)
        for place, row in enumerate(self._tolerances):
            if (
                matches(metric, row.metrics)
                and matches(cell.model, row.models)
                and matches(cell.precision, row.precisions)
            ):
                self._used.add(place)
                allowed = _Allowed(row.share, row.absolute)
        if self.other_card:
            allowed = _Allowed(allowed.share + rule.other_card, allowed.absolute)
        return allowed

    @property
    def other_card(self) -> bool:
        """Whether the GPU is another one than the baseline's."""
        was, now = self._base.machine.gpu_uuid, self._machine.gpu_uuid
        return was is not None and now is not None and was != now

    def circumstances(self) -> list[str]:
        """Say what else has changed on the machine: suspects, and what is allowed for."""
        was, now = self._base.machine, self._machine
        found = []
        if self.other_card and was.device_key == now.device_key:
            wider = ", ".join(
                f"{kind.replace('_', ' ')} by {_percent(rule.other_card)}"
                for kind, rule in KINDS.items()
                if rule.other_card
            )
            found.append(f"another card of the same model: tolerances are wider, {wider}")
        found += _differences(was, now, _CIRCUMSTANCES)
        found += self._checkpoints.values()
        found += [
            f"suite.toml: the tolerance of {' '.join(row.metrics)} for {' '.join(row.models)} "
            f"{' '.join(row.precisions)} matched nothing here; if it should have, look at its names"
            for place, row in enumerate(self._tolerances)
            if place not in self._used and any(matches(name, row.metrics) for name in self._names)
        ]
        found += [
            f"suspect: {name} was {was.versions.get(name, 'absent')} and is "
            f"{now.versions.get(name, 'absent')}"
            for name in sorted(was.versions.keys() | now.versions.keys())
            if was.versions.get(name) != now.versions.get(name)
        ]
        return found


@dataclass(frozen=True)
class _Allowed:
    """How much a figure may grow."""

    share: float
    absolute: float


def _identity(row: Measurement) -> _Identity:
    """Return what pairs a cell of the base with one of the head, whatever else they differ in."""
    cell = row.cell
    natural = cell.tokens is None
    return (
        row.benchmark,
        cell.model,
        cell.precision,
        cell.clip,
        cell.batch_size,
        cell.attention,
        natural,
    )


def _twice(which: str, row: Measurement) -> InputError:
    return InputError(
        f"the {which} has two measurements of {row.benchmark}, {row.cell.model} "
        f"{row.cell.precision}, {row.cell.clip}; compare runs of one cell each"
    )


def _differing_cells(base: Measurement, head: Measurement) -> list[str]:
    """Say in what two cells differ that must not. The checkpoint's fingerprint is a suspect."""
    fields = [name for name in Cell.__struct_fields__ if name != "checkpoint"]
    found = _differences(base.cell, head.cell, fields)
    if base.body != head.body:
        found.append("the benchmark's code has changed; record the baseline anew")
    return found


def _differences(was: object, now: object, fields: Sequence[str]) -> list[str]:
    return [
        f"{name.replace('_', ' ')} was {getattr(was, name)} and is {getattr(now, name)}"
        for name in fields
        if getattr(was, name) != getattr(now, name)
    ]


def _judged(row: Measurement) -> list[Metric]:
    return [metric for metric in row.metrics if not metric.derived]


def spread_of(metric: Metric) -> float:
    """Return by how much samples or processes differ, as a share of their median."""
    samples = metric.samples or metric.figures
    middle = median(samples)
    return (max(samples) - min(samples)) / middle if middle else 0.0


def differ(figures: Sequence[float], share: float) -> bool:
    """Whether figures lie further apart than by a share of their median."""
    return max(figures) - min(figures) > share * abs(median(figures))


def _figure(metric: Metric) -> float:
    """Return what stands for all processes."""
    return max(metric.figures) if KINDS[metric.kind].highest else median(metric.figures)


def _from_to(old: Metric, new: Metric) -> str:
    before, after = _figure(old), _figure(new)
    digits = ".10g" if KINDS[new.kind].agree == 0 else ".4g"
    said = f"{before:{digits}} to {after:{digits}} {new.unit}".removesuffix(" 1")
    return f"{said} ({100 * (after / before - 1):+.2f} %)" if before else said


def _processes(metric: Metric) -> str:
    count = len(metric.figures)
    return f"{count} process{'es' * (count > 1)}"


def _signed(growth: float) -> str:
    return f"{growth:+.1%}" if growth < 10 else "over +1000 %"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 10 else "1000 %"


def _verdict(
    outcome: Judgement,
    sentence: str,
    base: Metric | None = None,
    head: Metric | None = None,
    *,
    limit: float | None = None,
    interval: tuple[float, float] | None = None,
) -> Verdict:
    metric = next(each for each in (head, base) if each is not None)
    return Verdict(
        verdict=outcome,
        metric=metric.name,
        unit=metric.unit,
        sentence=sentence,
        base=_figure(base) if base is not None else None,
        head=_figure(head) if head is not None else None,
        interval=interval,
        limit=limit,
    )
