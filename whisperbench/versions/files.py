"""Which files differ between two sides: of two folders, or of what two interpreters import."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from whisperbench.errors import InputError, one_line

_PIECE_BYTES = 2**20

_IDLE = frozenset({".md", ".pyc", ".pyo", ".rst"})
"""Suffixes of files that no program depends on."""

_IDLE_NAMES = frozenset({"AUTHORS", "COPYING", "LICENSE", "LICENSE.txt", "NOTICE", "py.typed"})


@dataclass(frozen=True, kw_only=True)
class FilePair:
    """A file that is not the same on both sides, or on one side only."""

    file: str
    """For people, with slashes."""
    base: Path
    head: Path
    """Where it is, or would be."""
    in_base: bool
    in_head: bool

    @property
    def is_python(self) -> bool:
        """Whether it can be looked into."""
        return self.file.endswith(".py")


def folder_files(folder: Path, leave_out: Collection[str] = ()) -> dict[str, Path]:
    """List the files of a folder that are code or data of its: those that git keeps, or would keep.

    Where it is in no repository, all of them, without caches and virtual environments.

    Args:
        folder: a work tree, or any folder.
        leave_out: names at its top that are not looked at.

    Returns:
        Paths by name, relative to the folder and with slashes.
    """
    listed = _listed_by_git(folder)
    names = _walked(folder) if listed is None else listed
    return {
        name: folder / name
        for name in names
        if name.partition("/")[0] not in leave_out and not is_idle(name)
    }


def is_idle(name: str) -> bool:
    """Whether nothing of what is measured can depend on a file: documentation, or a hidden one."""
    if name.startswith(".") or "/." in name:
        return True
    last = name.rpartition("/")[2]
    _, dot, suffix = last.rpartition(".")
    return f"{dot}{suffix}".lower() in _IDLE or last in _IDLE_NAMES


def _listed_by_git(folder: Path) -> list[str] | None:
    """List what git tracks, and what it would if it were told; None where it is no work tree.

    A folder within another one's work tree is none: git may ignore it there.
    """
    if not (folder / ".git").exists():
        return None
    try:
        done = subprocess.run(
            [
                *("git", "-c", "core.fsmonitor=false", "-C", str(folder)),
                *("ls-files", "-z", "--cached", "--others", "--exclude-standard"),
            ],
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError:
        return None
    if done.returncode:
        return None
    found = []
    for name in dict.fromkeys(os.fsdecode(name) for name in done.stdout.split(b"\0") if name):
        path = folder / name
        if path.is_dir():  # a submodule
            inside = _listed_by_git(path)
            within = _walked(path) if inside is None else inside
            found += [f"{name.rstrip('/')}/{each}" for each in within]
        elif path.is_file():  # what was removed and not committed is tracked still
            found.append(name)
    return found


def _walked(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = [
            each
            for each in folders
            if each != "__pycache__"
            and not each.startswith(".")
            and not (here / each / "pyvenv.cfg").exists()
        ]
        inside = here.relative_to(folder)
        yield from ((inside / file).as_posix() for file in files)


def differing(
    base: Mapping[str, Path] | Mapping[str, str],
    head: Mapping[str, Path] | Mapping[str, str],
    *,
    base_folder: Path,
    head_folder: Path,
    same: Collection[str] = (),
) -> list[FilePair]:
    """Return the files that the two sides do not have alike.

    Args:
        base: files by name.
        head: likewise.
        base_folder: where a file would lie that only the head has.
        head_folder: the reverse.
        same: names of files that need not be read, for both sides' installers say what they hold.

    Raises:
        InputError: one of them cannot be read.
    """
    found = []
    for name in sorted(base.keys() | head.keys()):
        one, two = base.get(name), head.get(name)
        if one is not None and two is not None and (name in same or _is_same(one, two)):
            continue
        found.append(
            FilePair(
                file=name,
                base=Path(one or base_folder / name),
                head=Path(two or head_folder / name),
                in_base=one is not None,
                in_head=two is not None,
            )
        )
    return found


def _is_same(one: Path | str, two: Path | str) -> bool:
    """Whether two files hold the same.

    Raises:
        InputError: one cannot be read.
    """
    if one == two:
        return True
    try:
        before, after = os.stat(one), os.stat(two)  # noqa: PTH116 - of each of an environment's files
        if os.path.samestat(before, after):
            return True
        if before.st_size != after.st_size:
            return False
        with Path(one).open("rb") as first, Path(two).open("rb") as second:
            while piece := first.read(_PIECE_BYTES):
                if piece != second.read(_PIECE_BYTES):
                    return False
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be read to compare it: {one_line(error.strerror)}"
        ) from error
    return True
