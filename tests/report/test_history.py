"""What has changed over recordings, as text."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.report.recorded import RECORDINGS, make_recorded
from whisperbench.judge.history import History, history_of
from whisperbench.report.history import as_lines, changed
from whisperbench.results.dated import decode_dated


def make_history(name: str = "owner/whisper") -> History:
    """Read the made-up recordings."""
    return history_of(
        [
            decode_dated(json.dumps(content).encode(), f"{place}.json")
            for place, content in enumerate(make_recorded(name))
        ]
    )


def test_a_history_as_text(golden: Callable[[str, str], None]) -> None:
    """The newest change first: between which recordings, what differs, which figures, and why."""
    golden("history.txt", "\n".join(as_lines(make_history())))


def test_many_changes_of_one_recording_are_told_within_bounds() -> None:
    """The largest shares have rows, and the others are counted."""
    (newest, older) = changed(make_history(), most=1)
    assert (len(newest.rows), newest.more) == (1, 1)
    assert (len(older.rows), older.more) == (1, 2)
    assert older.rows[0].change == "100 to 132 (+32.00 %)"


def test_a_history_without_changes() -> None:
    """It says how many recordings there are, and that nothing changed."""
    found = make_history()
    first = history_of(found.recordings[:1])
    assert list(as_lines(first)) == [
        "1 recording, 2026-01-01 12:00 (0101010101); 8 figures followed",
        "No figure has changed.",
    ]
    assert next(as_lines(history_of([]))) == "There are no recordings"
    assert len(found.recordings) == RECORDINGS
