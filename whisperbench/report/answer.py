"""What 8-bit costs here, in plain sentences: a rule that does not apply is silent.

A sentence is a template whose figures are all of the run's file. A rule speaks where its condition
holds and every figure that it names was measured; of the rules of one topic the first that applies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isnan
from string import Formatter
from typing import Any

from whisperbench.report.answer_rules import COMPARISON, RULES
from whisperbench.report.case import Case, case_of
from whisperbench.report.rule import Rule
from whisperbench.report.standing import Subject
from whisperbench.results.records import Run
from whisperbench.units import format_figure, format_mib, format_seconds


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"


def _rate(rate: float) -> str:
    return f"{100 * rate:.2f} %"


def _times(times: float) -> str:
    return f"{times:.1f}" if times >= 1.95 else f"{times:.2f}"


def _count(count: float) -> str:
    return f"{count:.0f}" if count >= 10 or count == int(count) else f"{count:.1f}"


WRITTEN: Mapping[str, Callable[[float], str]] = {
    "size": format_mib,
    "share": _share,
    "rate": _rate,
    "times": _times,
    "count": _count,
    "time": format_seconds,
    "figure": format_figure,
}
"""How a figure is written, by the name that a sentence gives."""


class _Unknown(Exception):  # noqa: N818 - it is no error, and leaves this module nowhere
    """A sentence names what was not measured."""


class _Sentence(Formatter):
    """Fills a sentence in from a case."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: ARG002 - as Formatter has it
        """Look a name up in the case."""
        return getattr(args[0], str(key))

    def format_field(self, value: Any, format_spec: str) -> str:
        """Write a figure or a name."""
        if value == "" or (isinstance(value, float) and isnan(value)):
            raise _Unknown
        return WRITTEN[format_spec](value) if format_spec else str(value)


def said(rule: Rule, case: Case) -> str | None:
    """Return what a rule says of a case; None where it does not apply."""
    if not rule.when(case):
        return None
    try:
        return _Sentence().vformat(rule.sentence, (case,), {})
    except _Unknown:
        return None


def sentences(case: Case) -> list[str]:
    """Return what there is to say of a case."""
    found: dict[str, str] = {}
    for rule in RULES:
        if rule.topic not in found and (sentence := said(rule, case)) is not None:
            found[rule.topic] = sentence
            if rule.topic == COMPARISON:
                break
    return list(found.values())


def paragraphs(run: Run, subjects: Sequence[Subject]) -> Iterator[tuple[str, str]]:
    """Yield each model and what 8-bit costs it: the model of several settings by its first."""
    models: dict[str, list[Subject]] = {}
    for subject in subjects:
        models.setdefault(subject.model, []).append(subject)
    for own in models.values():
        told = sentences(case_of(own[0], run.machine, len(own) - 1))
        if told:
            yield own[0].name, " ".join(told)


def title(run: Run, subjects: Sequence[Subject]) -> str:
    """Return the heading: 8-bit, unless the run has measured 4-bit alone."""
    about = {case_of(each, run.machine, 0).this.precision for each in subjects}
    bits = "nf4" if about == {"nf4"} else "8-bit"
    return f"What {bits} costs here ({run.machine.device})"
