"""Verdicts as text: each cell by a name of its own."""

from __future__ import annotations

import msgspec
import pytest

from tests.runs import make_cell
from whisperbench.report.verdicts import as_lines, tally
from whisperbench.results.records import Cell, Judged, Verdict, name_of

WORSE = Verdict(verdict="regressed", metric="wer", unit="1", sentence="0.1 to 0.2")


@pytest.mark.parametrize(
    "other",
    [
        make_cell(attention="eager"),
        make_cell(batch_size=4),
        make_cell(clip="mountain"),
        make_cell(tokens=32),
        make_cell(tokens=None),
        make_cell("int8"),
        make_cell(model="owner/other"),
    ],
)
def test_cells_that_differ_have_names_that_differ(other: Cell) -> None:
    """Two regressions of one figure, in two cells, are two lines, whatever the cells differ in."""
    lines = as_lines([Judged("quality", cell, WORSE) for cell in (make_cell(), other)])
    assert [line.partition(": ")[0] for line in lines[:2]] == ["regressed", "regressed"]
    assert lines[0] != lines[1]
    assert not any("2 figures" in line for line in lines)


def test_a_name_says_what_is_unusual() -> None:
    """A batch of one and sdpa are left out; the clip and a token count stand in the long form."""
    cell = make_cell("int8", batch_size=4, attention="eager")
    assert name_of(make_cell("int8")) == "owner/whisper int8"
    assert name_of(cell) == "owner/whisper int8 b4 eager"
    assert name_of(cell, with_clip=True) == "owner/whisper int8 b4 eager, harbour, 64 tokens"
    natural = msgspec.structs.replace(cell, tokens=None)
    assert name_of(natural, with_clip=True) == "owner/whisper int8 b4 eager, harbour"


def test_one_figure_is_not_figures() -> None:
    """A tally has the singular of one."""
    judged = Judged("quality", make_cell(), WORSE)
    assert tally([judged]) == "1 figure compared: 1 regressed"
    assert tally([judged, judged]) == "2 figures compared: 2 regressed"
