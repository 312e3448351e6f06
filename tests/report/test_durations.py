"""What short and long audio costs: the table, its sentences and its picture."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

import altair
import msgspec
import pytest

from tests.runs import make_measurement, make_run
from whisperbench.report.charts.all import Pictured, charts_of
from whisperbench.report.durations import durations_of, sentences
from whisperbench.report.page.html import as_html
from whisperbench.report.page.sections import page_of
from whisperbench.report.standing import subjects_of
from whisperbench.report.summary import details
from whisperbench.results.records import Measurement, Run

TIMES = {
    "fp16": {1.0: 0.3, 5.0: 0.45, 27.0: 1.2, 90.0: 4.1},
    "int8": {1.0: 0.5, 5.0: 1.4, 27.0: 6.0, 90.0: 21.0},
}


def a_duration(precision: str, audio_s: float, seconds: float, tokens: int | None) -> Measurement:
    """Make up a duration of a precision."""
    rate = "rtfx" if tokens is None else "rtfx_fixed_tokens"
    values: dict[str, Any] = {rate: audio_s / seconds, "window_share": 0.2 / seconds}
    row = make_measurement(
        "duration",
        precision,
        tuple(seconds * share for share in (0.99, 1.0, 1.01)),
        clip=f"speech-{audio_s:g}s",
        tokens=tokens,
        **values,
    )
    return msgspec.structs.replace(row, cell=msgspec.structs.replace(row.cell, audio_s=audio_s))


def a_run(tokens: int | None = None) -> Run:
    """Make up durations of two precisions, the reference last."""
    return make_run(
        *(
            a_duration(precision, audio_s, seconds, tokens)
            for precision in ("int8", "fp16")
            for audio_s, seconds in TIMES[precision].items()
        )
    )


def test_golden(golden: Callable[[str, str], None]) -> None:
    """The section of the details, to the letter."""
    golden("durations.txt", details(a_run()))


def test_rows_are_ordered_and_the_reference_is_first() -> None:
    """The shortest first; of one duration the precision that ratios are taken against."""
    (found,) = durations_of(a_run())
    order = [(row.audio_s, row.precision) for row in found.rows]
    assert order == [(audio, name) for audio in (1, 5, 27, 90) for name in ("fp16", "int8")]
    assert [round(row.filled, 3) for row in found.of("fp16")] == [0.033, 0.167, 0.9, 1.0]


def test_the_sentence_holds_short_audio_against_what_fills_a_window() -> None:
    """And not against audio of several windows."""
    (found,) = durations_of(a_run())
    assert next(sentences(found)) == (
        "In fp16 1.00 s of speech take 300 ms, 25 % of the time of 27.0 s."
    )


def test_a_fixed_token_count_is_marked() -> None:
    """Random weights decode what speech would take, and the star says so."""
    text = details(a_run(4))
    assert "22.5*" in text
    assert "natural  " not in text


def test_durations_stand_in_no_other_table() -> None:
    """They are neither a subject of the answer nor a row of the stages, and quoted nowhere."""
    run = a_run()
    assert subjects_of(run) == []
    text = details(run)
    assert "p50 is the median" not in text
    assert "batch 1, attention" not in text


def test_times_of_other_work_have_no_ratio() -> None:
    """Against the reference at natural length a fixed count says nothing."""
    run = make_run(a_duration("fp16", 1.0, 0.3, None), a_duration("int8", 1.0, 0.5, 4))
    (found,) = durations_of(run)
    assert found.base_of(found.rows[1]) is None
    assert not isnan(found.rows[1].latency_s)


def test_the_picture_is_vega_lite_and_told_in_words() -> None:
    """With a table of its figures; it stands in the page."""
    charts = charts_of(Pictured(run=a_run()))
    chart = charts["durations"]
    altair.Chart.from_dict(chart.specification)
    assert "27.0 s take 6.00 s in int8" in chart.alt
    assert all(note.endswith(".") for note in chart.notes)
    assert {len(row) for row in chart.table.rows} == {len(chart.table.headings)}
    from whisperbench.report.charts.render import drawn

    assert "Short and long audio" in as_html(page_of(Pictured(run=a_run()), drawn(charts)))


@pytest.mark.parametrize("rows", [[], [a_duration("fp16", 1.0, 0.3, None)]])
def test_of_one_duration_there_is_no_picture(rows: list[Measurement]) -> None:
    """A line takes two points, and a sentence two durations."""
    assert "durations" not in charts_of(Pictured(run=make_run(*rows)))
    assert [each for found in durations_of(make_run(*rows)) for each in sentences(found)] == []
