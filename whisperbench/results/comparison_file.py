"""What `whisperbench ab` says of itself beside its run files: what was compared, and how it went.

Who judges the files again needs to know what they are of, and whether they are all. The verdicts
are not in it: they follow from the runs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from whisperbench.errors import InputError, one_line
from whisperbench.results.scalars import Count, Line

COMPARISON_FILE = "comparison.json"
"""Its name, in the folder of all results of a comparison."""

Commit = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})\Z")]


class Compared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A comparison that has ended, one way or another."""

    schema: Literal[1] = 1
    """Version of the file. History: 1, the first."""
    base: Commit | None
    """The commit that was measured; None where it was none: an interpreter, or a work tree with
    changes."""
    head: Commit | None
    arguments: tuple[Line, ...]
    """Of pytest, which selected what was measured."""
    fast: bool
    """Whether wall time was left out on purpose."""
    again: Annotated[int, msgspec.Meta(ge=0, le=99)] = 0
    """Executions of each side after the first one of counts, of cells whose GPU time differed
    alone."""
    largest: Count
    """Pairs of the last look."""
    pairs: Count
    """That both sides have measured to their end."""
    whole: Line = ""
    """Why whole processes alternated, and no rounds; empty where rounds did."""
    faults: tuple[Line, ...] = ()
    """What kept it from passing, whatever the verdicts are."""
    remarks: tuple[Line, ...] = ()
    """What else there is to say."""
    exit_code: Count
    """Of the command, by the head's suite.toml."""


def encode_compared(compared: Compared) -> bytes:
    """Write what a comparison says of itself."""
    return msgspec.json.format(msgspec.json.encode(compared), indent=1) + b"\n"


def decode_compared(data: bytes) -> Compared:
    """Read what a comparison says of itself.

    Raises:
        InputError: it is not as expected, or of an unknown schema.
    """
    try:
        return msgspec.json.decode(data, type=Compared)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{COMPARISON_FILE}: is not as expected: {one_line(error)}") from error
