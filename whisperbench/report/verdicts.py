"""Verdicts as text or JSON, and what their Markdown has in common with these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from whisperbench.judge.comparison import Comparison
from whisperbench.judge.reach import Reach
from whisperbench.report.undecided import told_together, undecided_lines
from whisperbench.results.records import Judged, Judgement, Run, name_of
from whisperbench.units import counted


def spreads(run: Run) -> Iterator[str]:
    """Yield how far a baseline's processes lie apart, a line for each figure that wobbles."""
    for row in run.measurements:
        for metric in row.metrics:
            least, most = min(metric.figures), max(metric.figures)
            if len(metric.figures) > 1 and most > least > 0:
                yield (
                    f"{row.benchmark}, {name_of(row.cell, with_clip=True)}: "
                    f"{metric.name}: {least:.4g} to {most:.4g} {metric.unit} "
                    f"({100 * (most / least - 1):.1f} %) in {len(metric.figures)} processes"
                )


def where(each: Judged) -> str:
    """Name what a verdict is on: stage and cell."""
    return f"{each.benchmark}, {name_of(each.cell, with_clip=True)}"


NEXT: dict[Judgement, str] = {
    "regressed": "find what changed; or allow it by a [[tolerance]] in benchmarks/suite.toml, with "
    "the reason; or, where the base is a recorded baseline, record a new one with --force",
    "over-limit": "find what grew; or raise the limit in benchmarks/suite.toml, and say why",
    "new": "measure the base as well; where it is a recorded baseline, record it anew",
    "missing": "measure it; or, where the base is a recorded baseline, record it anew",
    "not-comparable": "measure both alike; or, where the base is a recorded baseline, record it "
    "anew",
}
"""What to do, where a verdict's sentence does not say it."""


def as_lines(judged: Sequence[Judged], *, every_change: bool = False) -> list[str]:
    """Write what did not pass or improved, a line each, and what to do."""
    verdicts = {each.verdict.verdict for each in judged}
    lines = [": ".join(row) for row in rows_of(judged, every_change=every_change)]
    return [*lines, *(f"{name}: {step}" for name, step in NEXT.items() if name in verdicts)]


def as_text(found: Comparison, *, every_change: bool = False) -> str:
    """Write what did not pass or improved, what to do, and how many had which verdict.

    Of wall time that is not decided, and need not be, one line tells for all figures.

    Args:
        found: the comparison.
        every_change: whether to write what is ok or not decided as well, unless it is just as it
            was.
    """
    lines = as_lines(found.judged if every_change else told_alone(found), every_change=every_change)
    return "\n".join([*lines, *undecided_lines(found), *found.remarks, tally(found.judged)])


def as_json(found: Comparison) -> str:
    """Write all of it, for a program."""
    verdicts = [
        {"benchmark": each.benchmark, "cell": each.cell, "change": each.verdict.change}
        | msgspec.to_builtins(each.verdict)
        for each in found.judged
    ]
    data = msgspec.json.encode(
        {
            "exit_code": int(found.exit_code),
            "require": list(found.require),
            "undecided": undecided_lines(found),
            "verdicts": verdicts,
            "unmeasured": found.unmeasured,
            "circumstances": found.circumstances,
            "reach": _reach_data(found.reach) if found.reach is not None else None,
        }
    )
    return msgspec.json.format(data, indent=1).decode()


def _reach_data(found: Reach) -> dict[str, object]:
    """Write all functions that differ by what became of them, where the sentence names a few."""
    lists = {
        "run": found.run,
        "defined": found.defined,
        "missed": found.missed,
        "tests": found.tests,
    }
    return {
        "unreached": found.unreached,
        "changed": found.changed,
        **{
            name: [{"file": each.file, "name": each.name, "kind": each.kind} for each in functions]
            for name, functions in lists.items()
        },
        "closed": found.closed,
        "unread": found.unread,
    }


def tally(judged: Sequence[Judged]) -> str:
    """Say how many figures had which verdict."""
    found = [each.verdict.verdict for each in judged]
    counts = ", ".join(f"{found.count(name)} {name}" for name in dict.fromkeys(found))
    return f"{counted(len(judged), 'figure')} compared: {counts or 'none'}"


def told_alone(found: Comparison) -> list[Judged]:
    """Return the verdicts that have a line of their own: all but what one line tells together."""
    return [
        each for each in found.judged if not (found.may_be_undecided(each) and told_together(each))
    ]


def rows_of(
    judged: Sequence[Judged], *, every_change: bool = False
) -> Iterator[tuple[str, str, str, str]]:
    """Yield verdict, place, metric and sentence; why many could not be judged is said once."""
    said: dict[tuple[str, str, str, str], list[str]] = {}
    for each in judged:
        verdict = each.verdict
        if verdict.verdict != "ok" or (every_change and verdict.sentence):
            own = "" if verdict.verdict in ("new", "missing", "not-comparable") else verdict.metric
            key = (verdict.verdict, where(each), verdict.sentence, own)
            said.setdefault(key, []).append(verdict.metric)
    for (verdict_name, place, sentence, _), metrics in said.items():
        what = metrics[0] if len(metrics) == 1 else f"{len(metrics)} figures"
        yield verdict_name, place, what, sentence
