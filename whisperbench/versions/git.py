"""Asking git about a repository without changing it: no hook runs, nothing is fetched or locked."""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import CompletedProcess

from whisperbench.errors import InputError, one_line
from whisperbench.versions.children import last_line, run

_SETTINGS = {
    "advice.detachedHead": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.sparseCheckout": "false",
    "core.splitIndex": "false",
    "core.warnAmbiguousRefs": "true",
    "index.sparse": "false",
    # Large files that are here are taken, and others are not downloaded.
    "lfs.fetchexclude": "*",
}

_OF_A_CALLER = {
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
}
"""What git sets for a hook that calls us: they would speak of another repository."""

_NEVER = {
    "GIT_ALLOW_PROTOCOL": "none",  # no transport of that name: a partial clone fetches by itself
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}


def git(folder: Path, *arguments: str | Path, index: Path | None = None) -> CompletedProcess[str]:
    """Run git in a folder.

    Args:
        folder: in a repository, or a repository that has no work tree.
        *arguments: of git.
        index: a file to use instead of the repository's index.

    Raises:
        InputError: git is not installed, or the folder cannot be entered.
    """
    settings = [part for name, text in _SETTINGS.items() for part in ("-c", f"{name}={text}")]
    variables = {name: text for name, text in os.environ.items() if name not in _OF_A_CALLER}
    variables |= _NEVER | {"LC_ALL": "C", "LANGUAGE": ""}
    if index is not None:
        variables["GIT_INDEX_FILE"] = str(index)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; name a git repository")
    try:
        return run(["git", *settings, *arguments], environment=variables, folder=folder)
    except FileNotFoundError as error:
        raise InputError(
            "git is not installed, or not on PATH: install it, or name interpreters with "
            "--base-python and --head-python"
        ) from error
    except OSError as error:
        raise InputError(f"{folder}: git cannot be run: {one_line(error.strerror)}") from error


def asked(folder: Path, *arguments: str | Path, what: str) -> str:
    """Return what git answers.

    Args:
        folder: as of `git`.
        *arguments: of git.
        what: of what the refusal speaks, such as a path.

    Raises:
        InputError: git refuses.
    """
    done = git(folder, *arguments)
    if done.returncode:
        raise InputError(f"{what}: git says: {complaint(done)}")
    return done.stdout


def complaint(done: CompletedProcess[str]) -> str:
    """Return in a line why git refused."""
    return one_line(last_line(done.stderr, "fatal:", "error:"))
