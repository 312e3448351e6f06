"""The recordings of a folder: those that lie in it, and what git remembers of them.

A committed baseline is replaced when it moves, so that its history is git's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from whisperbench.errors import InputError
from whisperbench.results.dated import DatedRun, decode_dated
from whisperbench.results.run_file import MAX_BYTES, content_of
from whisperbench.units import counted
from whisperbench.versions.git import git

MOST = 200
"""Versions that are read: the newest ones."""

_CHANGED = re.compile(r":\d+ \d+ [0-9a-f]+ (?P<blob>[0-9a-f]{40,64}) [AM]\t(?P<path>.+)")


def read_history(folder: Path) -> tuple[list[DatedRun], list[str]]:
    """Read the recordings of a folder and of the folders in it, and earlier versions of them.

    Args:
        folder: such as `baselines/<device key>`. Where it lies in a git repository, the versions
            of its files that were committed before are read too.

    Returns:
        The recordings, in no order; and remarks on files that are none.

    Raises:
        InputError: there is no such folder, it cannot be read, or it holds no recording.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; name one with recorded runs")
    found: list[DatedRun] = []
    refused: list[str] = []
    contents = dict.fromkeys((*_of_folder(folder, refused), *_of_git(folder)))
    for name, data in contents:
        try:
            found.append(decode_dated(data, name))
        except InputError as error:
            refused.append(str(error))
    if not found:
        why = f", and {refused[0]}" if refused else ""
        raise InputError(f"{folder}: holds no recorded run{why}")
    if refused:
        files = counted(len(refused), "file")
        verb = "is" if len(refused) == 1 else "are"
        return found, [f"{files} of the history {verb} left out: {refused[0]}"]
    return found, []


def _of_folder(folder: Path, refused: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files that lie in a folder."""
    for path in sorted({*folder.glob("*.json"), *folder.glob("*/*.json")}):
        try:
            yield path.relative_to(folder).as_posix(), content_of(path)
        except InputError as error:
            refused.append(str(error))


def _of_git(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of what was committed in a folder, the newest first."""
    listed = git(
        *(folder, "log", f"--max-count={MOST}", "--diff-filter=AM", "--no-renames"),
        *("--raw", "--no-abbrev", "--relative", "--format=", "--", "."),
    )
    if listed.returncode:
        return  # it is in no repository, or nothing of it was committed
    for line in listed.stdout.splitlines()[:MOST]:
        changed = _CHANGED.fullmatch(line)
        if changed is None or not Path(changed["path"]).match("*.json"):
            continue
        said = git(folder, "cat-file", "blob", changed["blob"])
        data = said.stdout.encode(errors="surrogateescape")
        if not said.returncode and len(data) <= MAX_BYTES:
            yield changed["path"], data
