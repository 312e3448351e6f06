"""Environments made of a revision's own lock, and kept in the cache by what they were made of."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from whisperbench.errors import InputError, one_line
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder
from whisperbench.results.run_file import write_whole
from whisperbench.versions.environment import Environment
from whisperbench.versions.installers import Installer, installer, python_in
from whisperbench.versions.locks import Lock, read_lock
from whisperbench.versions.projects import FILE, dependencies, is_whisperbench
from whisperbench.versions.revisions import Tree
from whisperbench.versions.scratch import if_full

__all__ = ["Environment", "environment_of"]

KEPT_DAYS = 30
"""How long an environment is kept for which nobody asks."""

_DIGEST_LENGTH = 20
_FOLDER = re.compile(rf"(?P<digest>[0-9a-f]{{{_DIGEST_LENGTH}}})-\w+")
"""How the folder of an environment is called; others in the same place are let be."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """All that an environment is made of."""

    lock: Lock
    needs: tuple[str, ...]
    """What the suite depends on, and what the tree's own project does."""
    installer: Installer

    @property
    def digest(self) -> str:
        """Name it: another lock, interpreter, installer or index gives another name."""
        parts = [
            [self.lock.name, *self.lock.requirements, "", *self.lock.constraints],
            [*self.needs],
            [sys.implementation.name, platform.python_version(), sysconfig.get_platform()],
            [self.installer.name, *self.installer.indexes()],
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGEST_LENGTH]


def environment_of(tree: Tree, suite: Path, say: Say) -> Environment:
    """Make the environment that a tree's own lock describes, or find it in the cache.

    The lock (constraints.txt at the tree's top, or else requirements.txt) says the versions. What
    is installed is the lock's requirements, what the suite depends on and what the tree's own
    project depends on, as their pyproject.toml files say; neither the project itself, whose code
    comes from the tree, nor whisperbench. The interpreter is the one that runs this.

    An environment counts once a file beside it says so, which is written last. What was not
    finished is removed, by who failed or by who comes next, and so is what nobody has asked for in
    `KEPT_DAYS`: each takes 1.4 GiB, and more with CUDA.

    Args:
        tree: whose lock it is.
        suite: the folder of the suite, with its pyproject.toml.
        say: told what is being done where it takes long.

    Raises:
        InputError: there is no lock, it cannot be used or installed, or the cache cannot be
            written.
    """
    lock = read_lock(tree)
    own = [] if is_whisperbench(tree.folder, tree.name) else _own_needs(tree, lock)
    needs = dict.fromkeys([*_suite_needs(suite), *own])
    recipe = _Recipe(lock=lock, needs=tuple(needs), installer=installer())
    place = cache_folder() / "environments"
    with _alone(place, recipe.digest, tree, say):
        folder = _whole(place, recipe.digest)
        if folder is not None:
            _marker(place, recipe.digest).touch()
        _clear(place, recipe.digest)
        if folder is None:
            folder = _build(place, recipe, tree, say)
    return Environment(python=python_in(folder), name=tree.name)


def _suite_needs(suite: Path) -> list[str]:
    found = dependencies(suite, "the suite")
    if not found:
        raise InputError(f"{suite / FILE}: names no dependencies, so the suite cannot be installed")
    return found


def _own_needs(tree: Tree, lock: Lock) -> list[str]:
    return dependencies(tree.folder, tree.name, lock.extras)


@contextmanager
def _alone(place: Path, digest: str, tree: Tree, say: Say) -> Iterator[None]:
    """Keep a second process from making the same environment: it waits, and finds it made."""
    lock = FileLock(_lock_of(place, digest))
    try:
        place.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another process is making the environment of {tree.name}: waiting for it")
            lock.acquire()
    except OSError as error:
        raise InputError(
            f"{place}: cannot be written: {one_line(error.strerror or error)}; set "
            f"{CACHE_VARIABLE} to a folder that can be written"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _lock_of(place: Path, digest: str) -> Path:
    return place / f".{digest}.lock"


def _whole(place: Path, digest: str) -> Path | None:
    """Return the folder of an environment that was finished and still has its interpreter."""
    folder = _named(place, digest)
    # The file is a link to an interpreter that may have been uninstalled.
    return folder if folder is not None and python_in(folder).exists() else None


def _named(place: Path, digest: str) -> Path | None:
    with suppress(OSError, UnicodeDecodeError):
        name = _marker(place, digest).read_text(encoding="ascii").strip()
        if re.fullmatch(rf"{digest}-\w+", name):
            return place / name
    return None


def _wanted(place: Path, digest: str) -> Path | None:
    """Return the folder of a whole environment, unless nobody has asked for it in a long time."""
    with suppress(OSError):
        unused_s = time.time() - _marker(place, digest).stat().st_mtime
        return _whole(place, digest) if unused_s < KEPT_DAYS * 86400 else None
    return None


def _marker(place: Path, digest: str) -> Path:
    return place / f"{digest}.whole"


def _clear(place: Path, held: str) -> None:
    """Remove what was begun and not finished, or is not wanted, of those that nobody is making.

    Args:
        place: of all environments.
        held: the digest of the one whose lock this process holds.
    """
    for folder in place.iterdir():
        named = _FOLDER.fullmatch(folder.name)
        if named is None or folder == _wanted(place, named["digest"]):
            continue
        if named["digest"] == held:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        with suppress(Timeout, OSError), FileLock(_lock_of(place, named["digest"]), timeout=0):
            # A build that ended between the two looks is whole by now.
            if folder != _wanted(place, named["digest"]):
                shutil.rmtree(folder, ignore_errors=True)


def _build(place: Path, recipe: _Recipe, tree: Tree, say: Say) -> Path:
    """Make an environment in a folder that nothing else writes to, and say that it is whole.

    A folder of its own each time, because the installer of a build that was killed may live on.
    """
    say(
        f"making the environment of {tree.name} from its {recipe.lock.name} with "
        f"{recipe.installer.name}; it is kept in {place}"
    )
    started_s = time.monotonic()
    full = ""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{recipe.digest}-", dir=place))
        try:
            recipe.installer.install(folder, recipe.lock, recipe.needs, tree.name)
            write_whole(_marker(place, recipe.digest), folder.name.encode("ascii"))
        except BaseException:
            full = if_full(place)
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except InputError as error:
        raise InputError(f"{error}{full}") from error
    except OSError as error:
        why = one_line(error.strerror or error)
        raise InputError(
            f"{tree.name}: no environment can be made in {place}: {why}{full}"
        ) from error
    took_s = time.monotonic() - started_s
    say(f"the environment of {tree.name} took {took_s:.0f} s and {_mib(folder):,.0f} MiB")
    return folder


def _mib(folder: Path) -> float:
    """Return what the files of a folder take, in MiB; links count as links."""
    return sum(map(_size, _files(str(folder)))) / 2**20


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield all files in a folder: pathlib takes ten times as long for its 60,000."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield entry


def _size(entry: os.DirEntry[str]) -> int:
    return entry.stat(follow_symlinks=False).st_size
