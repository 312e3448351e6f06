"""The headline of a page, and what is missing."""

from __future__ import annotations

from typing import Literal

from whisperbench.errors import ExitCode, printable
from whisperbench.judge.comparison import Comparison
from whisperbench.report.page.section import Section
from whisperbench.report.pull_request import in_a_line
from whisperbench.report.pull_request import title as outcome
from whisperbench.report.undecided import undecided_lines
from whisperbench.report.verdict_markdown import MISSING
from whisperbench.report.verdicts import rows_of
from whisperbench.results.records import WITH_FIGURES, Run, name_of
from whisperbench.units import counted

Status = Literal["good", "bad", "open"]


def verdict_of(run: Run, compared: Comparison | None) -> tuple[Status, str, Section]:
    """Say what a run comes to.

    Args:
        run: what was measured.
        compared: the run against a base, where there is one.

    Returns:
        The status and the sentence of the headline, and a section that says what is missing.
    """
    if compared is not None:
        return _of_comparison(compared)
    asked = [entry for entry in run.info.manifest if not entry.deselected]
    failing = [
        f"{entry.outcome}: {entry.benchmark}: {entry.reason}"
        for entry in run.info.manifest
        if entry.outcome in ("regressed", "not-comparable")
    ]
    lines = [*failing, *run.unmeasured()]
    unjudged = [
        f"{verdict.verdict}: {row.benchmark}, {name_of(row.cell)}: {verdict.sentence}"
        for row in run.measurements
        for verdict in row.verdicts
        if verdict.verdict in MISSING
    ]
    deselected = len(run.info.manifest) - len(asked)
    measured = sum(entry.outcome in WITH_FIGURES for entry in asked)
    judged = any(row.verdicts for row in run.measurements)
    status: Status
    if lines:
        status, told = "bad", f"{counted(len(lines), 'thing')} did not pass"
        told = f"{told}; {measured} of {counted(len(asked), 'benchmark')} have figures."
    elif not measured:
        status, told = "bad", "Nothing was measured."
    else:
        status = "good" if judged and not unjudged and not deselected else "open"
        if unjudged:
            limits = f"{counted(len(unjudged), 'limit')} could not be judged"
        else:
            limits = "No limit is exceeded" if judged else "No limit applies to them"
        rest = f"; {counted(deselected, 'other')} left out by -k or -m" if deselected else ""
        told = f"All {counted(measured, 'benchmark')} ran{rest}. {limits}."
    more = f"{counted(deselected, 'benchmark')} left out on purpose, by -k or -m."
    section = Section(
        id="missing",
        title="What did not pass, or is missing",
        paragraphs=(more,) if deselected else (),
        lines=tuple(map(printable, [*lines, *unjudged])),
    )
    return status, told, section


def _of_comparison(compared: Comparison) -> tuple[Status, str, Section]:
    passed = compared.exit_code == ExitCode.OK
    line = in_a_line(compared)
    told = line if passed else f"{outcome(compared)}: {line}"
    unjudged = [each for each in compared.judged if each.verdict.verdict in MISSING]
    rows = [
        f"{verdict}: {place}: {what}: {sentence}"
        for verdict, place, what, sentence in rows_of(unjudged)
    ]
    lines = [*compared.unmeasured, *rows, *undecided_lines(compared)]
    section = Section(
        id="missing",
        title="What is missing, or not decided",
        lines=tuple(map(printable, lines)),
    )
    return ("good" if passed else "bad"), f"{told[0].upper()}{told[1:]}.", section
