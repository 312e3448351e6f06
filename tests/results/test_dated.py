"""A run and when it was measured."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.runs import make_run_file
from whisperbench.errors import InputError
from whisperbench.results.dated import decode_dated


def dated(**more: Any) -> bytes:
    """Write a run file with more at its top level."""
    return json.dumps(make_run_file() | more).encode()


@pytest.mark.parametrize(
    "when", ["2026-03-01T12:00:00+00:00", "2026-03-01T14:00:00+02:00", "2026-03-01T12:00:00"]
)
def test_the_date_is_in_utc(when: str) -> None:
    """Other zones are converted; a date without a zone is taken for UTC, as pytest-benchmark's."""
    assert decode_dated(dated(datetime=when), "a").when == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("info", "commit"),
    [({"id": "ab" * 20}, "ab" * 20), ({"id": "unversioned"}, ""), ({}, ""), ({"id": None}, "")],
)
def test_the_commit(info: dict[str, Any], commit: str) -> None:
    """It is that of the checkout; where there was none it is not known."""
    content = dated(datetime="2026-03-01T12:00:00+00:00", commit_info=info)
    assert decode_dated(content, "a").commit == commit


@pytest.mark.parametrize("more", [{}, {"datetime": "yesterday"}, {"datetime": 7}])
def test_a_file_that_does_not_say_when(more: dict[str, Any]) -> None:
    """It has no place in a history, and is refused in a line."""
    with pytest.raises(InputError, match="a: does not say when it was measured"):
        decode_dated(dated(**more), "a")
