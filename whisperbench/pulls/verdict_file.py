"""The verdict on a pull request as a file: `pull judge` writes it, `pull publish` reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from whisperbench.errors import ExitCode, InputError, one_line
from whisperbench.report.inert import inert
from whisperbench.results.run_file import write_whole

MAX_BYTES = 20 * 2**20


class Annotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line that GitHub shows at the top of a workflow's run."""

    level: Literal["error", "warning"]
    title: str
    message: str


class PullVerdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What there is to say of a pull request's head."""

    schema: Literal[1] = 1
    """Version of the file. History: 1, the first."""
    state: Literal["success", "failure", "error"]
    """`failure`: the head is worse, or not shown to be no worse. `error`: nothing can be said of
    it, for what was measured is absent, broken, or of something else."""
    exit_code: int
    """Of the command, 0 for success alone."""
    description: str
    """In one line."""
    markdown: str
    """In full, for a comment."""
    title: str = ""
    """Of the comment; empty where the state says it all."""
    annotations: tuple[Annotation, ...] = ()
    """The worst first."""

    def __post_init__(self) -> None:
        """Refuse a success that is none."""
        if (self.state == "success") != (self.exit_code == ExitCode.OK):
            raise ValueError(f"the state is {self.state} with the exit code {self.exit_code}")


def error_verdict(why: str, exit_code: int = ExitCode.INVALID) -> PullVerdict:
    """Make the verdict of which there is nothing but a reason why nothing can be said.

    Args:
        why: a line.
        exit_code: of the command; not 0.
    """
    line = one_line(why)
    return PullVerdict(
        state="error",
        exit_code=exit_code,
        description=line,
        markdown=inert(line),
        annotations=(Annotation("error", "whisperbench", line),),
    )


def write_verdict(path: Path, verdict: PullVerdict) -> None:
    """Write a verdict.

    Raises:
        InputError: the file cannot be written.
    """
    write_whole(path, msgspec.json.format(msgspec.json.encode(verdict), indent=1) + b"\n")


def read_verdict(path: Path) -> PullVerdict:
    """Read a verdict.

    Raises:
        InputError: it is absent, too large, or none.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: is too large for a verdict")
        return msgspec.json.decode(path.read_bytes(), type=PullVerdict)
    except OSError as error:
        raise InputError(f"{path}: {one_line(error.strerror)}") from error
    except ValueError as error:
        raise InputError(f"{path}: is no verdict: {one_line(error)}") from error
