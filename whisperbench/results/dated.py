"""A run and when it was measured: what a history is made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from whisperbench.errors import InputError, one_line
from whisperbench.results.records import Run
from whisperbench.results.scalars import Line
from whisperbench.results.schema import decode_run


class DatedRun(NamedTuple):
    """A recording: one run, or a baseline of several."""

    when: datetime
    """When it ended, in UTC; of a baseline its first run."""
    commit: str
    """Hash of the commit that the checkout was at; empty where that is not known."""
    name: str
    """Of its file."""
    run: Run


class _Commit(msgspec.Struct, frozen=True):
    id: Line | None = None


class _Dated(msgspec.Struct, frozen=True):
    datetime: datetime
    commit_info: _Commit = _Commit()


def decode_dated(data: bytes, name: str) -> DatedRun:
    """Read what a run file holds, and when it was measured.

    Args:
        data: all of it.
        name: what to call it in an error.

    Raises:
        InputError: it is no run file, has an unknown schema, or does not say when it was measured.
    """
    run = decode_run(data, name)
    try:
        said = msgspec.json.decode(data, type=_Dated)
    except msgspec.ValidationError as error:
        raise InputError(f"{name}: does not say when it was measured: {one_line(error)}") from error
    when = said.datetime
    when = when.astimezone(UTC) if when.tzinfo is not None else when.replace(tzinfo=UTC)
    commit = said.commit_info.id or ""
    return DatedRun(when, commit if commit != "unversioned" else "", name, run)
