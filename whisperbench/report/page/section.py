"""What a page is made of: a headline, and sections with sentences, tables and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from whisperbench.report.charts.chart import Table
from whisperbench.report.charts.render import Picture

MOST_ROWS = 600
"""Rows of a table that stand in a page."""


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """A table, and what it is of."""

    caption: str
    table: Table
    folded: bool = False
    """Whether it is shown only to who asks for it."""

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The rows that are shown."""
        return self.table.rows[:MOST_ROWS]

    @property
    def left_out(self) -> int:
        """How many are not."""
        return max(0, len(self.table.rows) - MOST_ROWS)


@dataclass(frozen=True, kw_only=True)
class Illustrated:
    """A picture, with its table where none stands beside it."""

    picture: Picture
    with_table: bool = True

    @property
    def figures(self) -> Captioned:
        """The table, which is shown only to who asks for it."""
        chart = self.picture.chart
        return Captioned(caption=chart.title, table=chart.table, folded=True)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page."""

    id: str
    """Of its heading, for links: small letters and hyphens."""
    title: str
    paragraphs: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    """A list, such as what is missing."""
    pictures: tuple[Illustrated, ...] = ()
    tables: tuple[Captioned, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to say, so that it is left out."""
        return not (self.paragraphs or self.lines or self.pictures or self.tables)


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, before it is written."""

    title: str
    subtitle: str
    status: Literal["good", "bad", "open"]
    """What the headline comes to: passed, not passed, or not judged by anything."""
    headline: str
    sections: tuple[Section, ...]
    """In order; empty ones are left out."""
