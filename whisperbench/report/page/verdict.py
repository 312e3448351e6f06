"""The headline of a page, and what is missing."""

from __future__ import annotations

from typing import Literal

from whisperbench.errors import ExitCode, printable
from whisperbench.judge.comparison import Comparison
from whisperbench.report.page.section import Section
from whisperbench.report.pull_request import in_a_line
from whisperbench.report.pull_request import title as outcome
from whisperbench.report.undecided import undecided_lines
from whisperbench.results.records import WITH_FIGURES, Run
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
    measured = sum(entry.outcome in WITH_FIGURES for entry in asked)
    judged = any(row.verdicts for row in run.measurements)
    status: Status
    if lines:
        status, told = "bad", f"{counted(len(lines), 'thing')} did not pass"
        told = f"{told}; {measured} of {counted(len(asked), 'benchmark')} have figures."
    elif not measured:
        status, told = "bad", "Nothing was measured."
    elif judged:
        status, told = (
            "good",
            f"All {counted(measured, 'benchmark')} ran, and no limit is exceeded.",
        )
    else:
        status, told = (
            "open",
            f"All {counted(measured, 'benchmark')} ran. No limit applies to them.",
        )
    deselected = len(run.info.manifest) - len(asked)
    more = f"{counted(deselected, 'benchmark')} were left out on purpose (-k or -m)."
    section = Section(
        id="missing",
        title="What did not pass, or is missing",
        paragraphs=(more,) if deselected and lines else (),
        lines=tuple(map(printable, lines)),
    )
    return status, told, section


def _of_comparison(compared: Comparison) -> tuple[Status, str, Section]:
    passed = compared.exit_code == ExitCode.OK
    line = in_a_line(compared)
    told = line if passed else f"{outcome(compared)}: {line}"
    section = Section(
        id="missing",
        title="What is missing, or not decided",
        lines=tuple(map(printable, [*compared.unmeasured, *undecided_lines(compared)])),
    )
    return ("good" if passed else "bad"), f"{told[0].upper()}{told[1:]}.", section
