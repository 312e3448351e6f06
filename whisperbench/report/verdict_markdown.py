"""Verdicts as Markdown for a pull request: what matters in sight, the rest folded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from whisperbench.errors import ExitCode
from whisperbench.judge.comparison import Comparison
from whisperbench.report.inert import inert, shortened
from whisperbench.report.pull_request import in_a_line, title, worst_first
from whisperbench.report.undecided import undecided_lines
from whisperbench.report.verdicts import NEXT, rows_of, tally, told_alone
from whisperbench.results.records import Judged, Judgement, Run
from whisperbench.units import counted

MOST_IN_SIGHT = 20
"""Rows of a table, and lines of a list, that are not folded."""

MISSING: tuple[Judgement, ...] = ("invalid", "not-comparable", "missing", "new")
"""Verdicts on figures of which nothing can be said."""

_CELL = 600
"""Letters of a name or a sentence that are shown: what is longer is nobody's usual text."""

_SUSPECT = "suspect: "
"""What a circumstance begins with that may be the cause of a change."""


def as_markdown(found: Comparison, *, every_change: bool = False) -> str:
    """Write a comparison as Markdown: the verdict in a line, and then `in_full`.

    Args:
        found: the comparison.
        every_change: whether what is ok or not decided is in sight as well, unless it is just as
            it was.
    """
    return "\n".join(
        [
            f"**{title(found).capitalize()}**: {inert(in_a_line(found))}",
            "",
            _body(found, every_change),
        ]
    )


def in_full(found: Comparison) -> str:
    """Write a comparison without its verdict in a line, which stands above it.

    What is missing comes first, then what changed with its causes, and the rest folded.
    """
    return _body(found, every_change=False)


def as_baseline_change(name: str, old: Run | None, new: Run | None, found: Comparison) -> str:
    """Write what becomes of a baseline as a section of Markdown, for a pull request that moves it.

    Args:
        name: of its file.
        old: what it was; None where it is new.
        new: what it is; None where it is taken away.
        found: the new one, held against the old one; not read where there is but one of them.
    """
    lines = [f"### {inert(name)}", ""]
    lines += [
        f"- {what}: {inert(_described(run))}"
        for what, run in (("was", old), ("is", new))
        if run is not None
    ]
    if old is not None and new is not None:
        return "\n".join([*lines, "", as_markdown(found, every_change=True)])
    if new is None:
        return "\n".join([*lines, "", "This baseline is gone."])
    shown = f"whisperbench baseline show {name}"
    return "\n".join([*lines, "", f"This baseline is new; its figures: {inert(shown)}"])


def _described(run: Run) -> str:
    """Say what a baseline is of: how much, on what machine, with which versions."""
    machine = run.machine
    stack = [
        f"{name} {machine.versions[name]}"
        for name in ("torch", "transformers", "bitsandbytes")
        if name in machine.versions
    ]
    return ", ".join(
        [
            counted(len(run.measurements), "benchmark"),
            counted(run.info.processes, "process"),
            f"{machine.device} ({machine.device_key})",
            f"Python {machine.python}",
            *stack,
        ]
    )


def folded(summary: str, lines: Sequence[str]) -> list[str]:
    """Write lines that are shown only to who asks for them; nothing where there are none.

    Args:
        summary: what they are, in words of ours: nothing in it is escaped.
        lines: of Markdown.
    """
    if not lines:
        return []
    return ["<details>", f"<summary>{summary}</summary>", "", *lines, "", "</details>", ""]


def _body(found: Comparison, every_change: bool) -> str:
    """Write all but the verdict."""
    judged = worst_first(found.judged if every_change else told_alone(found))
    missing = [each for each in judged if each.verdict.verdict in MISSING]
    still_open = [each for each in judged if each.verdict.verdict == "inconclusive"]
    changed = [each for each in judged if each.verdict.verdict not in (*MISSING, "inconclusive")]
    undecided = undecided_lines(found)
    failed = found.exit_code != ExitCode.OK
    suspects = [line for line in found.circumstances if failed and line.startswith(_SUSPECT)]
    others = [line for line in found.circumstances if line not in suspects]
    rest = [*([] if failed else undecided), *others]
    verdicts = {each.verdict.verdict for each in judged}
    return "\n".join(
        [
            f"{tally(found.judged)}.",
            "",
            *_listed("**What is missing:**", "what is missing", found.unmeasured),
            *_tabled("**What cannot be judged:**", "what cannot be judged", missing),
            *_tabled("**What changed:**", "what changed", changed, every_change=every_change),
            *_tabled("**What is not decided:**", "what is not decided", still_open),
            *_listed(
                "" if still_open else "**What is not decided:**",
                "what is not decided",
                undecided if failed else (),
            ),
            *_listed("**What else differs, and may be the cause:**", "what differs", suspects),
            *_steps(verdicts),
            *(_plain(rest) if every_change else folded("What else there is to say", _plain(rest))),
        ]
    ).rstrip()


def _plain(lines: Sequence[str]) -> list[str]:
    """Write lines as a list."""
    return [f"- {_cell(line)}" for line in lines]


def _steps(verdicts: Collection[Judgement]) -> Iterator[str]:
    """Yield what to do about verdicts."""
    steps = [f"- {inert(f'{name}: {step}')}" for name, step in NEXT.items() if name in verdicts]
    if steps:
        yield from ("**What to do:**", "", *steps, "")


def _listed(heading: str, what: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield a list of which the first lines are in sight."""
    if not lines:
        return
    items = _plain(lines)
    yield from ([heading, ""] if heading else [])
    yield from (*items[:MOST_IN_SIGHT], "")
    yield from folded(f"{len(items) - MOST_IN_SIGHT} more lines of {what}", items[MOST_IN_SIGHT:])


def _tabled(
    heading: str, what: str, judged: Sequence[Judged], *, every_change: bool = False
) -> Iterator[str]:
    """Yield a table of which the first rows are in sight."""
    rows = [
        f"| {' | '.join(_cell(text) for text in row)} |"
        for row in rows_of(judged, every_change=every_change)
    ]
    if not rows:
        return
    head = ["| verdict | where | figure | change and cause |", "| --- | --- | --- | --- |"]
    more = rows[MOST_IN_SIGHT:]
    yield from (heading, "", *head, *rows[:MOST_IN_SIGHT], "")
    yield from folded(f"{len(more)} more rows of {what}", [*head, *more] if more else [])


def _cell(text: str) -> str:
    return inert(shortened(text, _CELL))
