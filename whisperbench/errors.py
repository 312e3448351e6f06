"""The suite's errors: one tree, each with the exit code that the command line gives it.

A message is one line: what was wrong, where, and what to do. The pytest hooks and the command
line print it as it is, without a traceback.
"""

from __future__ import annotations

import re
from enum import IntEnum

UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""Inside of a character class: what ends a line, steers a terminal, turns the direction of writing
or cannot be encoded. Not the spaces and joiners of other scripts, which transcripts need."""

_UNPRINTABLE = re.compile(f"[{UNPRINTABLE}]")


class ExitCode(IntEnum):
    """Exit codes of the `whisperbench` command. Under a gate only OK passes."""

    OK = 0
    REGRESSED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    INVALID = 4
    INTERRUPTED = 130
    """By Ctrl-C: 128 and the signal's number, as a shell has it."""
    UNREAD = 141
    """Who read the output went away before its end, as of a command that SIGPIPE ends."""


class WhisperbenchError(Exception):
    """A fault that the person at the terminal can do something about."""

    exit_code = ExitCode.USAGE


class InputError(WhisperbenchError):
    """An option, a file or a setting that cannot be used as it is."""


class NotInstallableError(InputError):
    """A package that pip cannot install, or a tree that cannot be built."""


class ModelError(WhisperbenchError):
    """A checkpoint that cannot be found, reached, trusted or loaded."""


class NotOfferedError(WhisperbenchError):
    """A part of a transcription that a transcriber does not offer: named, and no failure."""

    exit_code = ExitCode.INVALID


class DeviceError(WhisperbenchError):
    """A device that is absent, or that cannot run what was asked of it."""

    exit_code = ExitCode.INVALID


class InvalidMeasurementError(WhisperbenchError):
    """A measurement that must not be believed: garbage output, or memory that was not freed."""

    exit_code = ExitCode.INVALID


class OutOfMemoryError(WhisperbenchError):
    """The device or the host had too little memory for what was asked: over a limit."""

    exit_code = ExitCode.REGRESSED

    def __init__(self, message: str, *, on_host: bool = False) -> None:
        super().__init__(message)
        self.on_host = on_host


class RegressedError(WhisperbenchError):
    """A measurement that is worse than the baseline."""

    exit_code = ExitCode.REGRESSED


class IncomparableError(WhisperbenchError):
    """A measurement that cannot be held against the baseline."""

    exit_code = ExitCode.INVALID


class OverLimitError(WhisperbenchError):
    """A figure over its limit."""

    exit_code = ExitCode.REGRESSED


def one_line(text: object) -> str:
    """Fold another library's message, however long, into one line of at most 300 characters."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= 300 else line[:297] + "..."


def printable(text: object) -> str:
    """Write a text with escapes for what would not stay within its line."""
    return _UNPRINTABLE.sub(
        lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text)
    )


def require_plain(name: str, where: str) -> None:
    """Refuse a name that cannot be printed as it is: no result file can hold it.

    Raises:
        InputError: it cannot.
    """
    if printable(name) != name:
        raise InputError(f"{where}: the name {printable(name)} cannot be printed; rename it")
