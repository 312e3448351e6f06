"""Verdicts as text, Markdown or JSON, and the exit code that they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from whisperbench.errors import ExitCode
from whisperbench.result import Judged, Judgement, Run

PASSES = ("ok", "improved")

_EXITS: dict[Judgement, ExitCode] = {
    "regressed": ExitCode.REGRESSED,
    "over-limit": ExitCode.REGRESSED,
    "invalid": ExitCode.INVALID,
    "not-comparable": ExitCode.INVALID,
    "missing": ExitCode.INVALID,
    "new": ExitCode.INVALID,
    "inconclusive": ExitCode.INCONCLUSIVE,
}
"""What is none of these passes. The first one here that is there decides."""


def exit_code(judged: Sequence[Judged], unmeasured: Sequence[str] = ()) -> ExitCode:
    """Return the exit code of a comparison. One that compared nothing has not passed."""
    found = {each.verdict.verdict for each in judged}
    codes = [code for verdict, code in _EXITS.items() if verdict in found]
    if ExitCode.REGRESSED in codes:
        return ExitCode.REGRESSED
    if unmeasured or not judged:
        return ExitCode.INVALID
    return codes[0] if codes else ExitCode.OK


def worse(judged: Sequence[Judged]) -> list[str]:
    """Return the verdicts with which no baseline is replaced unasked, those that there are."""
    found = {each.verdict.verdict for each in judged}
    return [verdict for verdict in _EXITS if verdict in found and verdict != "new"]


def spreads(run: Run) -> Iterator[str]:
    """Yield how far a baseline's processes lie apart, a line for each figure that wobbles."""
    for row in run.measurements:
        for metric in row.metrics:
            least, most = min(metric.figures), max(metric.figures)
            if len(metric.figures) > 1 and most > least > 0:
                yield (
                    f"{row.stage}, {row.cell.model} {row.cell.precision}, {row.cell.clip}: "
                    f"{metric.name}: {least:.4g} to {most:.4g} {metric.unit} "
                    f"({100 * (most / least - 1):.1f} %) in {len(metric.figures)} processes"
                )


def where(each: Judged) -> str:
    """Name what a verdict is on: stage and cell."""
    cell = each.cell
    tokens = f", {cell.tokens} tokens" if cell.tokens is not None else ""
    batch = f", batch {cell.batch_size}" if cell.batch_size > 1 else ""
    return f"{each.stage}, {cell.model} {cell.precision}, {cell.clip}{tokens}{batch}"


def as_text(judged: Sequence[Judged], circumstances: Sequence[str] = ()) -> str:
    """Write what did not pass or improved, a line each, and how many had which verdict."""
    lines = [f"{verdict}: {place}: {what}: {said}" for verdict, place, what, said in _rows(judged)]
    return "\n".join([*lines, *circumstances, tally(judged)])


def as_markdown(judged: Sequence[Judged], circumstances: Sequence[str] = ()) -> str:
    """Write the same as a table, for a pull request."""
    rows = [f"| {' | '.join(_escaped(text) for text in row)} |" for row in _rows(judged)]
    table = ["| verdict | where | metric | |", "| --- | --- | --- | --- |", *rows, ""] * bool(rows)
    return "\n".join([*table, *(f"- {_escaped(line)}" for line in circumstances), tally(judged)])


def as_json(judged: Sequence[Judged], circumstances: Sequence[str] = ()) -> str:
    """Write all of it, for a program."""
    verdicts = [
        {"stage": each.stage, "cell": each.cell, "change": each.verdict.change}
        | msgspec.to_builtins(each.verdict)
        for each in judged
    ]
    data = msgspec.json.encode({"verdicts": verdicts, "circumstances": list(circumstances)})
    return msgspec.json.format(data, indent=1).decode()


FORMATS: dict[str, Callable[[Sequence[Judged], Sequence[str]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "json": as_json,
}


def tally(judged: Sequence[Judged]) -> str:
    """Say how many figures had which verdict."""
    found = [each.verdict.verdict for each in judged]
    counts = ", ".join(f"{found.count(name)} {name}" for name in dict.fromkeys(found))
    return f"{len(judged)} figures compared: {counts or 'none'}"


def _rows(judged: Sequence[Judged]) -> Iterator[tuple[str, str, str, str]]:
    """Yield verdict, place, metric and sentence; why many could not be judged is said once."""
    said: dict[tuple[str, str, str, str], list[str]] = {}
    for each in judged:
        verdict = each.verdict
        if verdict.verdict != "ok":
            own = "" if verdict.verdict in ("new", "missing", "not-comparable") else verdict.metric
            key = (verdict.verdict, where(each), verdict.sentence, own)
            said.setdefault(key, []).append(verdict.metric)
    for (verdict_name, place, sentence, _), metrics in said.items():
        what = metrics[0] if len(metrics) == 1 else f"{len(metrics)} figures"
        yield verdict_name, place, what, sentence


def _escaped(text: str) -> str:
    """Keep text from being read as markup."""
    text = text.replace("&", "&amp;").replace("@", "&#64;")
    for mark in "\\`*_{}[]<>|~":
        text = text.replace(mark, f"\\{mark}")
    return text
