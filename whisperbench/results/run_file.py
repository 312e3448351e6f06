"""The files of a run: found, read back, and written whole."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from whisperbench.errors import InputError, one_line, printable
from whisperbench.results.records import Run
from whisperbench.results.schema import decode_run

MAX_BYTES = 100 * 2**20
"""Of a run file that is read. A hundred cells with their costs take a few MiB."""


def read_run(path: Path) -> Run:
    """Read a run file.

    Raises:
        InputError: it cannot be read, is not a whisperbench run, or has an unknown schema.
    """
    return decode_run(content_of(path), _named(path))


def content_of(path: Path) -> bytes:
    """Read all of a file that is no larger than a run file may be.

    Raises:
        InputError: it cannot be read, is too large, or is no regular file.
    """
    name = _named(path)
    try:
        return _content(path, name)
    except OSError as error:
        raise InputError(f"{name}: {one_line(error.strerror)}") from error


def _named(path: Path) -> str:
    name = printable(path)
    return name if len(name) <= 300 else f"...{name[-297:]}"


def _content(path: Path, name: str) -> bytes:
    """Read a file, but no pipe or device: those may never end."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"{name}: is not a regular file; name a run's JSON file")
    if facts.st_size > MAX_BYTES:
        raise InputError(
            f"{name}: takes {facts.st_size / 2**20:.0f} MiB; a run file takes at most "
            f"{MAX_BYTES // 2**20}"
        )
    return path.read_bytes()


_RESULT = ".json"
_BESIDE = (".clips.jsonl", "-clips.jsonl")
"""How a file that says clip by clip what was heard ends: of a result that ends in .json, and of one
that does not. Two results never share one."""


def clips_beside(result: Path) -> Path:
    """Return the place of the file that says clip by clip what was heard, beside a run's file."""
    name = result.name
    if name.endswith(_RESULT):
        return result.with_name(name.removesuffix(_RESULT) + _BESIDE[0])
    return result.with_name(name + _BESIDE[1])


def require_own_name(result: Path) -> None:
    """Refuse to write a run where the clip-by-clip file of another may be.

    Raises:
        InputError: its name ends as those do.
    """
    if result.name.endswith(_BESIDE):
        raise InputError(f"{result}: is a name for what was heard, clip by clip; name a .json file")


def require_writable(path: Path) -> None:
    """Check that a file can be made where it is to be, and make its folder.

    Raises:
        InputError: it cannot, or there is a folder or a device in its place.
    """
    try:
        if path.exists() and not path.is_file():
            what = "is a folder" if path.is_dir() else "is not a regular file"
            raise InputError(f"{path}: {what}; name a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(path)
        part.touch()
        part.unlink()
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error.strerror)}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all.

    What a writer that was killed has left of the same file goes first.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    part = _part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # of another user, who can take it away
            for left in _left_behind(path):
                left.unlink(missing_ok=True)
        try:
            with part.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error.strerror)}") from error


def _part_of(path: Path) -> Path:
    """Return where this process writes a file before it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _left_behind(path: Path) -> Iterator[Path]:
    """Find the parts of a file whose writers, which they are named after, are no more."""
    part = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.part")
    for file in path.parent.iterdir():
        named = part.fullmatch(file.name)
        if named is not None:
            import psutil

            if not psutil.pid_exists(int(named[1])):
                yield file
