"""The suite that measures both sides: a copy of the head's, or of the one that is running."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whisperbench.asked.checkout import ROOT, require_checkout
from whisperbench.errors import InputError, one_line
from whisperbench.results.environment import CACHE_VARIABLE
from whisperbench.versions.revisions import Tree
from whisperbench.versions.scratch import if_full, scratch

RUNNING = "the suite that is running"

_MARKS = ("benchmarks/suite.toml", "whisperbench/__init__.py")
"""What a folder has that holds the suite."""

_NEEDED = ("benchmarks", "fixtures", "whisperbench", "conftest.py", "pyproject.toml")
_IF_THERE = ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", "setup.cfg")
"""Files in which pytest may be configured instead."""

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.py[co]", ".*_cache", ".benchmarks")


@contextmanager
def running_suite() -> Iterator[Path]:
    """Copy the suite that is running, for as long as it is needed, as `suite_for` does.

    Raises:
        InputError: this whisperbench is installed without a suite, or the copy cannot be written.
    """
    here = Tree(name=RUNNING, folder=ROOT, commit=None, dirty=False)
    with scratch("suite") as place:
        yield suite_for(here, place / "suite")


def suite_for(head: Tree, destination: Path) -> Path:
    """Copy the suite that measures both sides, so that nobody's editing changes it meanwhile.

    That is the head's where its files hold the suite, and else the one that is running. Both sides
    run `python -m pytest` in the copy, with PYTHONPATH as `own_paths` says: Python looks into the
    current folder first, so that the suite is the same on both sides, and then into the side's own
    files.

    Args:
        head: the files of the head.
        destination: a folder for the copy, of the caller's `scratch`: what was copied before a
            failure stays in it. What it has of these items must not be there yet.

    Returns:
        The copy's folder, which is `destination`.

    Raises:
        InputError: the head's suite lacks a part, the copy cannot be written, or this whisperbench
            is installed without a suite.
    """
    source, whose = head.folder, head.name
    if not holds_suite(source):
        require_checkout("ab")
        source, whose = ROOT, RUNNING
    lacking = [name for name in _NEEDED if not (source / name).exists()]
    if lacking:
        raise InputError(f"{whose}: the suite lacks {' and '.join(lacking)}, so it cannot be run")
    try:
        destination.mkdir(parents=True, exist_ok=True)
        for name in (*_NEEDED, *_IF_THERE):
            if (source / name).is_dir():
                shutil.copytree(source / name, destination / name, ignore=_LEFT_OUT)
            elif (source / name).exists():
                shutil.copy2(source / name, destination / name)
    except (OSError, shutil.Error) as error:
        raise InputError(
            f"{whose}: the suite cannot be copied: {_reason(error)}{if_full(destination.parent)}"
        ) from error
    return destination


def holds_suite(folder: Path) -> bool:
    """Whether a folder holds the suite: its questions and the library that they need."""
    return all((folder / name).is_file() for name in _MARKS)


def own_paths(tree: Tree) -> tuple[Path, ...]:
    """Return the folders in which the packages of a tree lie, for PYTHONPATH.

    They are its top and, where there is one, src.

    Raises:
        InputError: PYTHONPATH cannot name them.
    """
    if os.pathsep in str(tree.folder):
        raise InputError(
            f"{tree.folder}: has a {os.pathsep} in its path, where PYTHONPATH parts two folders: "
            f"move it (of a revision, {CACHE_VARIABLE})"
        )
    source = tree.folder / "src"
    return (source, tree.folder) if source.is_dir() else (tree.folder,)


def _reason(error: OSError | shutil.Error) -> str:
    """Say what failed. shutil.Error, which is an OSError, holds a list of them and no text."""
    failures = error.args[0] if isinstance(error, shutil.Error) and error.args else None
    if isinstance(failures, list) and failures:
        return one_line(failures[0][2])
    return one_line(error.strerror or error)
