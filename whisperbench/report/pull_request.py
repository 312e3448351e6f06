"""A comparison as a pull request shows it: in one line, and the worst of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whisperbench.errors import ExitCode, one_line
from whisperbench.judge.comparison import PASSES, Comparison
from whisperbench.report.inert import shortened
from whisperbench.report.undecided import undecided_lines
from whisperbench.report.verdicts import where
from whisperbench.results.records import Judged, Judgement
from whisperbench.units import counted

_TITLE = 200
"""Letters of an annotation's title; GitHub refuses more than 255."""

WORST: tuple[Judgement, ...] = (
    *("regressed", "over-limit", "invalid", "not-comparable", "missing", "new", "inconclusive"),
    *("improved", "ok"),
)
"""Verdicts, the worst first."""


def in_a_line(found: Comparison) -> str:
    """Say what a comparison comes to, the worst figure included."""
    failing = worst_first(found.failing)
    if failing:
        worst = failing[0]
        verdict = worst.verdict
        alike = sum(each.verdict.verdict == verdict.verdict for each in failing)
        change = f" {100 * verdict.change:+.2f} %" if verdict.change is not None else ""
        of = counted(len(found.judged), "figure")
        return one_line(
            f"{alike} of {of} {verdict.verdict}: {verdict.metric}{change} ({where(worst)})"
        )
    if found.unmeasured:
        more = len(found.unmeasured) - 1
        others = f" (and {counted(more, 'other fault')})" if more else ""
        return one_line(f"incomplete{others}: {found.unmeasured[0]}")
    if not found.judged:
        return "no figure was compared"
    improved = sum(each.verdict.verdict == "improved" for each in found.judged)
    better = f", {improved} of them better" if improved else ""
    undecided = sum(each.verdict.verdict not in PASSES for each in found.judged)
    open_ = f"; wall time of {counted(undecided, 'figure')} is not decided" if undecided else ""
    decided = len(found.judged) - undecided
    return f"{counted(decided, 'figure')} no worse than the base's{better}{open_}"


def title(found: Comparison) -> str:
    """Say in a few words what a comparison comes to, for a heading."""
    verdicts = {each.verdict.verdict for each in found.failing}
    if "regressed" in verdicts:
        return "worse than the base"
    if "over-limit" in verdicts:
        return "over a limit"
    if found.exit_code == ExitCode.OK:
        return "no worse than the base"
    return "not shown to be as good as the base"


def faults(found: Comparison) -> Iterator[tuple[str, str]]:
    """Yield title and message of what keeps a comparison from passing, the worst first.

    Where nothing does, what was not decided is told.
    """
    for each in worst_first(found.failing):
        verdict = each.verdict
        title = f"{verdict.verdict}: {verdict.metric}"
        yield shortened(one_line(title), _TITLE), one_line(f"{where(each)}: {verdict.sentence}")
    for line in found.unmeasured:
        yield "incomplete", one_line(line)
    if found.exit_code == ExitCode.OK:
        for line in undecided_lines(found):
            yield "not decided", one_line(line)


def worst_first(judged: Iterable[Judged]) -> list[Judged]:
    """Put what was judged in order: by verdict, and of one verdict the largest changes first."""
    return sorted(
        judged,
        key=lambda each: (WORST.index(each.verdict.verdict), -abs(each.verdict.change or 0.0)),
    )
