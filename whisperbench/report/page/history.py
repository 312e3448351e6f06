"""The section of a page that tells what has changed over recordings."""

from __future__ import annotations

from collections.abc import Mapping

from whisperbench.errors import printable
from whisperbench.judge.history import History
from whisperbench.report.charts.chart import Table
from whisperbench.report.charts.render import Picture
from whisperbench.report.history import ChangedHere, changed, span
from whisperbench.report.page.section import Captioned, Illustrated, Section

IN_SIGHT = 4
"""Tables of changes that are not folded, the newest first."""

MOST_ROWS = 30


def history_section(history: History, pictures: Mapping[str, Picture]) -> Section:
    """Make the section.

    Args:
        history: of recordings.
        pictures: of its charts, by name.
    """
    found = changed(history, MOST_ROWS)
    return Section(
        id="history",
        title="History",
        paragraphs=(
            f"{span(history)}.",
            *(() if found else ("No figure has changed.",)),
        ),
        lines=tuple(map(printable, history.remarks)),
        pictures=tuple(Illustrated(picture=each) for each in pictures.values()),
        tables=tuple(_table(each, at) for at, each in enumerate(found)),
    )


def _table(here: ChangedHere, at: int) -> Captioned:
    rows = [
        (row.what, row.metric, "worse" if row.worse else "better", row.change, row.reason)
        for row in here.rows
    ]
    if here.more:
        rows.append((f"{here.more} more", "", "", "", ""))
    differing = ", ".join(here.suspects) or "nothing that was recorded"
    return Captioned(
        caption=printable(f"{here.before} to {here.after}; differing: {differing}"),
        table=Table(
            headings=("what", "figure", "", "change", "cause, or how sure it is"),
            rows=tuple(tuple(map(printable, row)) for row in rows),
        ),
        folded=at >= IN_SIGHT,
    )
