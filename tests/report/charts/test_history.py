"""Charts of a history."""

from __future__ import annotations

import json
from collections.abc import Callable

import altair
import pytest

from tests.report.recorded import RECORDINGS
from tests.report.test_history import make_history
from whisperbench.judge.history import history_of
from whisperbench.report.charts.history import MOST_LINES, history_charts
from whisperbench.report.charts.render import drawn

NAMES = ("history-times", "history-memory", "history-counts")


@pytest.mark.parametrize("name", NAMES)
def test_a_history_is_drawn(name: str, golden: Callable[[str, str], None]) -> None:
    """A line a figure, a mark a change; Vega-Lite's schema knows all that stands in it."""
    chart = history_charts(make_history())[name]
    shown = {key: each for key, each in chart.specification.items() if key != "config"}
    told = [chart.title, chart.alt, chart.notes, [*chart.table.rows], shown]
    golden(f"{name}.json", json.dumps(told, indent=1, ensure_ascii=False))
    altair.Chart.from_dict(chart.specification)
    svg = drawn({name: chart})[name].inline
    assert svg.count("<title>") >= RECORDINGS


def test_one_recording_is_no_history() -> None:
    """A line needs two recordings; nothing has no charts."""
    one = history_of(make_history().recordings[:1])
    assert history_charts(one) == {}
    assert history_charts(history_of([])) == {}


def test_what_changed_is_drawn_before_what_did_not() -> None:
    """The first line is that of the largest change, and there are no more than are told apart."""
    chart = history_charts(make_history())["history-times"]
    assert chart.table.rows[0][:2] == ("transcribe, owner/whisper int8, harbour, 64 tokens",
                                       "latency_s")  # fmt: skip
    assert len(chart.table.rows) <= MOST_LINES
    assert "1 change of theirs: the newest is that of latency_s of owner/whisper int8" in chart.alt
