"""What a process looks for while it is recorded: files, folders, modules, versions of packages.

Opening and listing are told by Python's audit events (PEP 578), loaded libraries by the system, and
the rest by functions that are entered (`measure.reach`). Not seen is what machine code or another
program reads, and what asks the system directly whether a file is there (os.stat, os.access).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

ASKED = {
    ("importlib/metadata/__init__.py", "Distribution.from_name"): "name",
    ("importlib/util.py", "find_spec"): "name",
    ("<frozen importlib.util>", "find_spec"): "name",
}
"""Functions by file and name, and their argument that names a package whose version or presence is
asked for."""

TRIED = {("<frozen importlib._bootstrap>", "_find_and_load"): "name"}
"""The same, and their argument that names a module that is to be imported."""

LOOKED_FOR = {
    (file, name): argument
    for file in ("<frozen genericpath>", "/genericpath.py")
    for name, argument in {
        "exists": "path",
        "isfile": "path",
        "isdir": "s",
        "getsize": "filename",
        "getmtime": "filename",
    }.items()
} | {
    (file, "Path.stat"): "self"
    for file in ("/pathlib.py", "pathlib/_local.py", "pathlib/__init__.py")
}
"""The same, and their argument that is a file which may be there or not."""

_MAPPED = Path("/proc/self/maps")
"""Where Linux tells which files a process has in its memory."""

_PYTHON = (".py", ".pyc")
"""Suffixes of files whose functions are taken down, which is more."""

_SYSTEM = ("/proc/", "/sys/", "/dev/")


class Lookups:
    """Takes down what this process looks for, until it is stopped."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.tried: set[str] = set()
        self._opened: set[str] = set()
        self._listed: set[str] = set()
        self._on = True
        sys.addaudithook(self._hear)  # for good: it can only be made deaf

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take down what an audit event tells. It is called by C code, and is never to raise."""
        if not self._on:
            return
        if event in ("open", "ctypes.dlopen"):
            self._open(arguments[0])
        elif event in ("os.listdir", "os.scandir"):
            asking = str(sys._getframe(1).f_globals.get("__name__"))  # noqa: SLF001 - who asks
            if not asking.startswith(("importlib", "_frozen_importlib")):
                self._listed.add(_absolute(arguments[0] or "."))

    def _open(self, file: object) -> None:
        if isinstance(file, str | bytes | os.PathLike):
            path = _absolute(file)
            if not path.endswith(_PYTHON):
                self._opened.add(path)

    def look_at(self, kind: str, value: object, frame: FrameType) -> None:
        """Take down the argument of a function of one of the tables above, by the table's name."""
        if kind == "looked for":
            self._open(value)
        elif isinstance(value, str):
            if kind == "tried":
                self.tried.add(value)
            elif not _is_ours(frame):
                self.asked.add(value)

    def stop(self) -> None:
        """Hear no more."""
        self._on = False

    def opened(self) -> tuple[tuple[str, ...], bool]:
        """Return the files without links, and whether all loaded libraries are among them."""
        mapped: set[str] = set()
        with suppress(OSError):
            for line in _MAPPED.read_text(encoding="utf-8", errors="replace").splitlines():
                path = line.partition("/")
                mapped |= {f"/{path[2]}"} if path[1] else set()
        return _without_links(self._opened | mapped), bool(mapped)

    def listed(self) -> tuple[str, ...]:
        """Return the folders whose entries were listed, without links."""
        return _without_links(self._listed)


def _absolute(path: Any) -> str:
    """Return a path that stays right when the process goes elsewhere; empty for what is none."""
    try:
        return os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links are followed later
    except (TypeError, ValueError, OSError):  # a descriptor
        return ""


def _without_links(paths: set[str]) -> tuple[str, ...]:
    kept = (path for path in paths if path and not path.startswith(_SYSTEM))
    return tuple(sorted({os.path.realpath(path) for path in kept}))


def _is_ours(frame: FrameType) -> bool:
    """Whether it is the suite that asks for a version: it writes down all of them."""
    asking: FrameType | None = frame
    while asking is not None and str(asking.f_globals.get("__name__")).startswith("importlib"):
        asking = asking.f_back
    return asking is not None and str(asking.f_globals.get("__name__")).startswith("whisperbench.")
