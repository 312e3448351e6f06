"""Runs held against a baseline: pure, data in, verdicts out.

Every figure goes through the rule of its kind (results/kinds.py), whatever measured it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whisperbench.asked.suite import Tolerance, matches
from whisperbench.errors import InputError
from whisperbench.judge.causes import causes_of
from whisperbench.judge.rules import Allowed, by_growth, by_statistics, doubted, percent, verdict_on
from whisperbench.judge.what_ran import judge_what_ran
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import KINDS, Rule
from whisperbench.results.passes import CostResult
from whisperbench.results.records import (
    Cell,
    Judged,
    Machine,
    Measurement,
    Run,
    Verdict,
    name_of,
)

_CIRCUMSTANCES = (
    *("driver", "cuda", "power_limit_w", "compute_mode", "mig", "memory_mib"),
    *("cpu", "cpu_cores", "threads", "python", "os"),
)
"""What may differ between two machines of one device key, and is said."""

Identity = tuple[str, str, str, str, int, str, bool]


def compare(base: Run, head: Run, tolerances: Sequence[Tolerance] = ()) -> list[Judged]:
    """Judge each figure of two runs.

    Args:
        base: a run, or a baseline of several.
        head: likewise.
        tolerances: suite.toml's.

    Returns:
        A verdict for each figure of either, in the order of the head's, what only the base has
        last; and the head's own, by its limits.

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
        self._left: dict[Identity, Measurement] = {}
        for row in base.measurements:
            if self._left.setdefault(identity_of(row), row) is not row:
                raise _twice("base", row)
        self._known = dict(self._left)
        self._seen: set[Identity] = set()
        self._checkpoints: dict[str, str] = {}
        # Of the base alone, so that a cell is judged alike, by itself and with the others.
        self._family = sum(
            KINDS[metric.kind].statistical for row in base.measurements for metric in _judged(row)
        )

    def judge(self, head: Measurement) -> list[Judged]:
        """Judge a measurement's figures, by the baseline and by its limits.

        Raises:
            InputError: it was judged before.
        """
        identity = identity_of(head)
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
                row.benchmark,
                row.cell,
                verdict_on("missing", "the head did not measure it", metric),
            )
            for row in self._left.values()
            for metric in _judged(row)
        ]

    def _of_cell(self, base: Measurement | None, head: Measurement) -> Iterator[Verdict]:
        if base is None:
            for metric in _judged(head):
                yield self._of_head_alone(metric, "the base did not measure it")
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
                yield self._of_head_alone(metric, "the base has no such figure")
            elif reasons := differing or self._differing_figures(old, metric):
                yield verdict_on("not-comparable", "; ".join(reasons), old, metric)
            else:
                yield self._judge(base, head, old, metric)
        for metric in known.values():
            yield verdict_on("missing", "the head has no such figure", metric)
        ran = judge_what_ran(base, head, self._base.machine, self._machine)
        if ran is not None and not differing:
            yield ran
        for which, row in (("base", base), ("head", head)):
            if isinstance(row.found, CostResult) and row.found.not_counted is not None:
                sentence = f"by the {which}: {row.found.not_counted}"
                yield Verdict(
                    verdict="not-comparable", metric="not counted", unit="1", sentence=sentence
                )

    def _of_head_alone(self, metric: Metric, sentence: str) -> Verdict:
        """Judge a figure that the base has not: of another device it could not have it."""
        elsewhere = _differences(self._base.machine, self._machine, ("device_key",))
        if KINDS[metric.kind].same_device and elsewhere:
            said = f"{elsewhere[0]}, and this needs a baseline of this machine"
            return verdict_on("not-comparable", said, None, metric)
        return verdict_on("new", sentence, None, metric)

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
        if (doubt := doubted(old, new)) is not None:
            return doubt
        rule = KINDS[new.kind]
        allowed = self.allowed(head.cell, new.name, rule)
        if rule.statistical:
            return by_statistics(old, new, allowed, self._family)
        return by_growth(old, new, allowed, lambda: causes_of(base, head, new.name))

    def allowed(self, cell: Cell, metric: str, rule: Rule, *, in_turns: bool = False) -> Allowed:
        """Return what a figure may grow by here.

        Args:
            cell: what it is of.
            metric: its name.
            rule: of its kind.
            in_turns: whether it is known by pairs of processes.
        """
        self._names.add(metric)
        allowed = Allowed(rule.in_turns if in_turns else rule.share, rule.absolute)
        for place, row in enumerate(self._tolerances):
            if (
                matches(metric, row.metrics)
                and matches(cell.model, row.models)
                and matches(cell.precision, row.precisions)
            ):
                self._used.add(place)
                allowed = Allowed(row.share, row.absolute)
        if self.other_card:
            allowed = Allowed(allowed.share + rule.other_card, allowed.absolute)
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
                f"{kind.replace('_', ' ')} by {percent(rule.other_card)}"
                for kind, rule in KINDS.items()
                if rule.other_card
            )
            found.append(
                f"the card is another one of the same model, so tolerances are wider: {wider}"
            )
        found += _differences(was, now, _CIRCUMSTANCES)
        found += self._checkpoints.values()
        found += [
            f"suite.toml: the tolerance of {' '.join(row.metrics)} for {' '.join(row.models)} "
            f"{' '.join(row.precisions)} matched no figure here; if it should, look at its names"
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


def identity_of(row: Measurement | Judged) -> Identity:
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
        f"the {which} has two measurements of {row.benchmark}, "
        f"{name_of(row.cell, with_clip=True)}; compare runs of one cell each"
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
