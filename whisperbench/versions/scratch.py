"""Folders in the cache for as long as a command runs; those that a kill left are cleared."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from whisperbench.errors import InputError, one_line
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder

LITTLE_ROOM_MIB = 1024
"""An environment takes more."""


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """Make an empty folder in the cache, and remove it at the end, whatever happens.

    First the folders go that earlier processes made and did not live to remove.

    Args:
        purpose: with what its name begins.

    Raises:
        InputError: the cache cannot be written.
    """
    place = cache_folder() / "scratch"
    with _written_to(place):
        place.mkdir(parents=True, exist_ok=True)
        # One at a time, so that nobody takes a folder for forsaken before its maker has locked it.
        with FileLock(place / ".lock"):
            _clear(place)
            folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=place))
            lock = FileLock(_lock_of(folder))
            lock.acquire()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        _lock_of(folder).unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _clear(place: Path) -> None:
    """Remove the folders that nobody holds: the system frees a lock when its owner ends."""
    for folder in place.iterdir():
        if not folder.is_dir() or folder.is_symlink():
            continue
        lock = FileLock(_lock_of(folder), timeout=0)
        with suppress(Timeout, OSError), lock:
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)


def if_full(place: Path) -> str:
    """Return what to add to a failure to write where there is little room, which is often why.

    Args:
        place: an existing folder.

    Returns:
        The room that is left, if less than `LITTLE_ROOM_MIB`; else nothing.
    """
    try:
        free_mib = shutil.disk_usage(place).free / 2**20
    except OSError:
        return ""
    return f"; {place} has {free_mib:,.0f} MiB free" if free_mib < LITTLE_ROOM_MIB else ""


@contextmanager
def _written_to(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{place}: cannot be written: {one_line(error.strerror or error)}; set "
            f"{CACHE_VARIABLE} to a folder that can be written"
        ) from error
