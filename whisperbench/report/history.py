"""What has changed over a history of recordings: as rows for a page, and as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from whisperbench.judge.history import Change, History
from whisperbench.results.dated import DatedRun
from whisperbench.results.records import name_of
from whisperbench.units import counted

MOST_ROWS = 12
"""Figures that are told of one recording."""


@dataclass(frozen=True, kw_only=True)
class ChangeRow:
    """One figure that changed."""

    what: str
    """Benchmark and cell."""
    metric: str
    change: str
    """From which level to which, and by how much."""
    reason: str
    """What a change of a count is made of. Of what wobbles, in which share of the orders of these
    recordings chance divides them as well."""
    worse: bool


@dataclass(frozen=True, kw_only=True)
class ChangedHere:
    """All figures that changed between two recordings."""

    before: str
    """The last recording of the old level: its date and commit;"""
    after: str
    """and the first one of the new level."""
    suspects: tuple[str, ...]
    """Versions and circumstances that differ between the two."""
    rows: tuple[ChangeRow, ...]
    more: int
    """Figures that changed as well and have no row."""


def recording_name(recording: DatedRun) -> str:
    """Name a recording by its date and its commit."""
    when = f"{recording.when:%Y-%m-%d %H:%M}"
    return f"{when} ({recording.commit[:10]})" if recording.commit else when


def changed(history: History, most: int = MOST_ROWS) -> list[ChangedHere]:
    """Return what changed, the newest recording first.

    Args:
        history: of recordings.
        most: figures that are told of one recording.
    """
    found = []
    for (before, after), group in groupby(
        sorted(history.changes, key=lambda each: (each.after, each.before)),
        key=lambda each: (each.before, each.after),
    ):
        here = list(group)
        found.append(
            ChangedHere(
                before=recording_name(history.recordings[before]),
                after=recording_name(history.recordings[after]),
                suspects=tuple(history.between(before, after)),
                rows=tuple(map(_row, here[:most])),
                more=max(0, len(here) - most),
            )
        )
    return found[::-1]


def _row(change: Change) -> ChangeRow:
    series = change.series
    digits, reasons = ".10g", list(change.causes)
    if change.p is not None:
        digits = ".4g"
        reasons.append(
            f"as large by chance in {_percent(change.p)} of the orders of the recordings"
        )
    said = f"{change.old:{digits}} to {change.new:{digits}} {series.unit}".removesuffix(" 1")
    share = f" ({100 * change.share:+.2f} %)" if change.share is not None else ""
    return ChangeRow(
        what=f"{series.benchmark}, {name_of(series.cell, with_clip=True)}",
        metric=series.metric,
        change=said + share,
        reason=", ".join(reasons),
        worse=change.worse,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def span(history: History) -> str:
    """Say how many recordings there are, from when to when, and how many figures are followed."""
    if not history.recordings:
        return "There are no recordings"
    first, last = (recording_name(history.recordings[place]) for place in (0, -1))
    many = counted(len(history.recordings), "recording")
    when = first if len(history.recordings) == 1 else f"{first} to {last}"
    return f"{many}, {when}; {counted(len(history.series), 'figure')} followed"


def as_lines(history: History, most: int = MOST_ROWS) -> Iterator[str]:
    """Yield the history as lines of text, the newest change first."""
    yield span(history)
    yield from history.remarks
    if not history.changes:
        yield "No figure has changed."
    for each in changed(history, most):
        yield ""
        yield f"From {each.before} to {each.after}:"
        yield f"  differing: {', '.join(each.suspects) or 'nothing that was recorded'}"
        for row in each.rows:
            which = "worse" if row.worse else "better"
            reason = f": {row.reason}" if row.reason else ""
            yield f"  {which}: {row.what}: {row.metric} {row.change}{reason}"
        if each.more:
            yield f"  {counted(each.more, 'more figure')} changed"
