"""What a pyproject.toml says that its project depends on."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whisperbench.errors import InputError, one_line

FILE = "pyproject.toml"
_ITSELF = "whisperbench"


def dependencies(folder: Path, whose: str, extras: Sequence[str] = ()) -> list[str]:
    """Return what the project in a folder depends on, but for whisperbench itself.

    Args:
        folder: with a pyproject.toml, or without one.
        whose: what to call the folder in a refusal.
        extras: those of its optional dependencies that are wanted too.

    Returns:
        Requirements as pip reads them; none where there is no file, or it names none.

    Raises:
        InputError: it cannot be read, or an extra is not in it.
    """
    project = _project(folder, whose)
    groups = project.get("optional-dependencies", {})
    optional = {_plain(name): rows for name, rows in groups.items()}
    found = list(project.get("dependencies", []))
    for extra in extras:
        if _plain(extra) not in optional:
            raise InputError(f"{whose}: its lock asks for the extra {extra}, which {FILE} lacks")
        found += optional[_plain(extra)]
    if not all(isinstance(row, str) for row in found):
        raise InputError(f"{whose}: {FILE} has dependencies that are no texts")
    name = _plain(str(project.get("name", "")))
    return [row for row in found if name_of(row) not in (_ITSELF, name)]


def is_whisperbench(folder: Path, whose: str) -> bool:
    """Whether the project in a folder is whisperbench.

    Raises:
        InputError: its pyproject.toml cannot be read.
    """
    return _plain(str(_project(folder, whose).get("name", ""))) == _ITSELF


def name_of(requirement: str) -> str:
    """Return the package that a requirement names, spelled as indexes spell it.

    >>> name_of("Whisper_Normalizer[all]>=0.1")
    'whisper-normalizer'
    """
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return _plain(found[1]) if found else ""


def _project(folder: Path, whose: str) -> dict[str, Any]:
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError) as error:
        raise InputError(f"{whose}: {FILE} cannot be read: {one_line(error)}") from error
    return project if isinstance(project, dict) else {}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
