"""How a report is written for a terminal: so many columns, with colour or without."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import StringIO
from textwrap import wrap

from rich.console import Console, RenderableType

FEWEST, MOST = 80, 200
"""Columns between which a report's width lies, whatever the terminal's."""


@dataclass(frozen=True)
class Look:
    """Width and colour of a report."""

    width: int = 100
    """Columns. 100 fit a CI log and a divided screen."""
    colour: bool = False

    def __post_init__(self) -> None:
        """Keep the width within bounds."""
        object.__setattr__(self, "width", max(FEWEST, min(MOST, self.width)))

    def console(self, out: StringIO | None = None) -> Console:
        """Return a console that writes text as it is: no markup, no highlighting."""
        return Console(
            file=out or StringIO(),
            width=self.width,
            color_system="standard" if self.colour else None,
            force_terminal=self.colour,
            no_color=not self.colour,
            highlight=False,
            emoji=False,
            markup=False,
            legacy_windows=False,
        )

    def written(self, *parts: RenderableType) -> str:
        """Write parts below each other, without spaces at the ends of lines."""
        out = StringIO()
        console = self.console(out)
        for part in parts:
            console.print(part)
        lines = [line.rstrip() for line in out.getvalue().rstrip().splitlines()]
        # A table ends with a blank line, and what follows it may begin with one.
        pairs = zip(lines, ["", *lines], strict=False)
        return "\n".join(line for line, before in pairs if line or before)


def wrapped(text: str, width: int) -> list[str]:
    """Break a text at spaces, but neither a figure from its unit nor an option from its value."""
    units = r"(?<=\d) (?=%|(?:GiB|MiB|s|ms|us|times|tokens)\b)"
    joined = re.sub(rf"{units}|(?<=--precision) ", "\N{NO-BREAK SPACE}", text)
    lines = wrap(joined, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


PLAIN = Look()
"""What is piped, or stands in a file."""
