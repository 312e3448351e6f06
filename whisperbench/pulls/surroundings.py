"""What GitHub Actions tells a job by its environment, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from whisperbench.errors import InputError, one_line

COMMIT = re.compile(r"[0-9a-f]{40}")
"""A commit's hash in full: a shortened one, a branch or a tag may be moved after the review."""

PULL, HEAD, BASE = "WHISPERBENCH_PULL", "WHISPERBENCH_HEAD", "WHISPERBENCH_BASE"
"""Variables that say the number of the pull request, the reviewed head and the base."""

NEEDS = "NEEDS"
"""Variable that is `toJSON(needs)`: what became of the jobs before."""

FORKS = "WHISPERBENCH_FORKS"
"""Variable that is `reviewed` where a reviewed head of a fork may be measured."""

GATE = "whisperbench/gate"
"""Name of the status that a pull request needs: of a commit held against what it grew from."""

RUNNER = "whisperbench/runner"
"""Name of the status of a commit held against itself, which speaks of the runner alone."""

EVENT = "GITHUB_EVENT_NAME"
"""Variable that names the event that started the workflow."""

SCHEDULE = "schedule"
"""The event on which a commit is held against itself."""

NOBODY = "0" * 40
"""The commit that a push names where there is none: before the first, after the last."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_MAX_EVENT_BYTES = 25 * 2**20
"""GitHub sends no larger payload."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The environment of a job of GitHub Actions."""

    variables: Mapping[str, str]

    def required(self, name: str) -> str:
        """Return a variable.

        Raises:
            InputError: it is not set, or empty.
        """
        value = self.variables.get(name, "")
        if not value:
            raise InputError(f"{name} is not set: run this in a job of GitHub Actions")
        return value

    @property
    def repository(self) -> str:
        """The repository whose workflow this is, as owner/name.

        Raises:
            InputError: it is not said, or no such name.
        """
        name = self.required("GITHUB_REPOSITORY")
        if not _REPOSITORY.fullmatch(name) or name.endswith(("/.", "/..")):
            raise InputError(f"GITHUB_REPOSITORY: {one_line(name)!r} is no owner/name")
        return name

    @property
    def api(self) -> str:
        """The address of the REST API, without a slash at its end.

        Raises:
            InputError: it is not said, or the token would travel unencrypted to another machine.
        """
        address = self.required("GITHUB_API_URL").rstrip("/")
        parts = urlsplit(address)
        inside = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not (inside or (parts.scheme == "https" and parts.hostname)):
            raise InputError(f"GITHUB_API_URL: {one_line(address)!r} does not begin with https://")
        return address

    @property
    def run_address(self) -> str:
        """The page of this workflow's run; empty where it is not known."""
        said = [self.variables.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_RUN_ID")]
        server, run = said
        if not server.startswith(("https://", "http://")) or not run.isdecimal():
            return ""
        return f"{server.rstrip('/')}/{self.repository}/actions/runs/{run}"

    def commit(self, name: str) -> str:
        """Return a commit that a variable names.

        Raises:
            InputError: it is not set, or is not a hash of 40 hexadecimal digits.
        """
        return require_commit(self.required(name), name)

    def number(self, name: str = PULL) -> int:
        """Return the number of a pull request that a variable names.

        Raises:
            InputError: it is not set, or is no such number.
        """
        value = self.required(name)
        if not _NUMBER.fullmatch(value):
            raise InputError(f"{name}: {one_line(value)!r} is no number of a pull request")
        return int(value)

    def event(self) -> bytes:
        """Return the payload of the event that started the workflow.

        Raises:
            InputError: its file cannot be read, or is too large.
        """
        path = Path(self.required("GITHUB_EVENT_PATH"))
        try:
            if path.stat().st_size > _MAX_EVENT_BYTES:
                raise InputError(f"{path}: is larger than any event's payload")
            return path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: {one_line(error.strerror)}") from error

    def append(self, name: str, text: str) -> bool:
        """Append to a file that a variable names; return whether there is one.

        Raises:
            InputError: it cannot be written.
        """
        place = self.variables.get(name, "")
        if not place:
            return False
        try:
            with Path(place).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise InputError(f"{name}: cannot be written: {one_line(error.strerror)}") from error
        return True


def require_commit(value: str, where: str) -> str:
    """Return a commit's hash.

    Raises:
        InputError: it is not one of 40 hexadecimal digits, or is all zeros.
    """
    if not COMMIT.fullmatch(value) or value == NOBODY:
        raise InputError(
            f"{where}: {one_line(value)!r} is no commit: name the hash that was reviewed, all 40 "
            "digits of it"
        )
    return value


def context_of(job: Surroundings) -> str:
    """Return the name of the status that a job's event sets.

    On a schedule it is not the gate's: that would replace what the commit has earned.

    Raises:
        InputError: the event is not known.
    """
    return RUNNER if job.required(EVENT) == SCHEDULE else GATE


class _Needed(msgspec.Struct):
    result: str


def unmet_needs(text: str) -> list[str]:
    """Name the jobs that this one needs and that did not succeed, each with what became of it.

    A job that was skipped counts as a success to GitHub; not here.

    Args:
        text: `toJSON(needs)`.

    Raises:
        InputError: it says nothing of any job.
    """
    try:
        needed = msgspec.json.decode(text, type=dict[str, _Needed])
    except msgspec.DecodeError as error:
        raise InputError(f"NEEDS: is not toJSON(needs): {one_line(error)}") from error
    if not needed:
        raise InputError("NEEDS: names no job, so that nothing says that anything was measured")
    return [
        f"{one_line(name)}: {one_line(each.result)}"
        for name, each in needed.items()
        if each.result != "success"
    ]
