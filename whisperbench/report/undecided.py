"""Figures that were not decided, told in one line a kind: what may be hidden, what decides it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from whisperbench.judge.comparison import Comparison, suspected
from whisperbench.judge.statistics import FEWEST_HEADS
from whisperbench.results.kinds import KINDS
from whisperbench.results.records import Judged, name_of
from whisperbench.units import counted

_KINDS = {"wall": "wall time"}
"""What a kind of figures is called, where its name alone does not say it."""


def told_together(each: Judged) -> bool:
    """Whether a figure is one of those that one line tells of: undecided, as its noise is."""
    kind = each.verdict.kind
    return each.verdict.verdict == "inconclusive" and kind is not None and KINDS[kind].statistical


def undecided_lines(found: Comparison) -> list[str]:
    """Say what was not decided: a line for each kind of which a figure was not.

    A second line says where nothing was decided at all, which is no pass.
    """
    lines = []
    for kind in KINDS:
        judged = [
            each for each in found.judged if told_together(each) and each.verdict.kind == kind
        ]
        if judged:
            what = f"{_KINDS.get(kind, kind)} of {counted(len(judged), 'figure')} is not decided"
            required = ", and suite.toml requires it" if kind in found.require else ""
            clauses = [*_hidden(judged), *_suspects(judged), *filter(None, [found.remedy])]
            lines.append(f"{what}{required}: {'; '.join(clauses)}")
    if found.decided_nothing:
        lines.append("no figure was decided, and a comparison that decides nothing is no pass")
    return lines


def _hidden(judged: Sequence[Judged]) -> Iterator[str]:
    """Say what growth may be hidden: under a bound, or any."""
    shares = [each.verdict.unseen for each in judged if each.verdict.unseen is not None]
    if shares:
        least, most = (_percent(share) for share in (min(shares), max(shares)))
        if least == most:
            yield f"a growth under {least} may be hidden"
        else:
            yield f"a growth under {least} to {most}, depending on the figure, may be hidden"
    others = [each.verdict for each in judged if each.verdict.unseen is None]
    # Too few processes are of the runs, not of the figure, so all say it in the same words.
    reasons = {verdict.sentence for verdict in others if verdict.interval is None}
    if len(reasons) == 1 and all(verdict.interval is None for verdict in others):
        yield reasons.pop()
    elif others:
        which = f" in {len(others)} of them" if shares else ""
        yield f"any growth may be hidden{which}"


def _suspects(judged: Sequence[Judged]) -> Iterator[str]:
    """Name the one of most growth, where any look worse than the base and may be bad luck."""
    found = suspected(judged)
    if found:
        most = max(found, key=lambda each: abs(each.verdict.change or 0.0))
        which = f"{most.benchmark}, {name_of(most.cell, with_clip=True)}"
        look = "looks" if len(found) == 1 else "look"
        yield (
            f"{len(found)} of them {look} worse than the base, most of all {which} "
            f"({100 * (most.verdict.change or 0.0):+.0f} %), and {FEWEST_HEADS} or more processes "
            "would tell"
        )


def _percent(share: float) -> str:
    """Write a share in whole percent, rounded up: what is said to show must not be less."""
    return f"{ceil(round(100 * share, 6))} %"
