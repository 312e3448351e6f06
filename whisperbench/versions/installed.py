"""What an interpreter imports from: its packages, their versions, and their files."""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from whisperbench.errors import InputError, one_line
from whisperbench.versions.files import is_idle

_ASK = """
import json, os, sys, sysconfig
own = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
own |= {os.path.join(each, "lib-dynload") for each in own}
path = [os.path.realpath(each) for each in sys.path if each]
path = [each for each in dict.fromkeys(path) if os.path.isdir(each) and each not in own]
print(json.dumps({"path": path, "python": sys.version, "stdlib": sorted(own)}))
"""

OWN = "whisperbench"
"""The suite, which is the head's on both sides, however an environment has it too."""

_STRANGERS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")
"""What would let an interpreter import from elsewhere."""

_TIMEOUT_S = 120

_ADDING = "import site; site.addsitedir("
"""Begins a line of a .pth file that adds a folder, and the .pth files in it."""

_BIG_BYTES = 2**22
"""From here on an installer's hash is taken for what a file holds, and the file is not read."""

_SEVEN_DIGITS = re.compile(r"\d{7}\s*$")
"""Ends the line of each file of `_BIG_BYTES` or more in a RECORD; others need not be parsed."""


class _Told(msgspec.Struct, frozen=True):
    path: list[str]
    python: str
    stdlib: list[str]


class _Origin(msgspec.Struct, frozen=True):
    """direct_url.json (PEP 610), as far as it says where an editable package is."""

    url: str = ""
    dir_info: dict[str, bool] = {}


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What an interpreter imports from, beside its own library."""

    python: str
    """Version and build."""
    folders: tuple[Path, ...]
    """In the order of importing."""
    files: dict[str, str] = field(default_factory=dict)
    """Paths by name below the first of the folders that has their package; dist-info left out."""
    hashes: dict[str, str] = field(default_factory=dict)
    """Of large files, as their installer has written them down, by name."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of packages, by normalised name (PEP 503)."""
    editable: dict[str, Path] = field(default_factory=dict)
    """Folders of packages that are imported from where they are developed, by name."""


def normalised(name: str) -> str:
    """Normalise a package's name (PEP 503).

    >>> normalised("Huggingface_Hub")
    'huggingface-hub'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Listed:
    """What was read of folders that several interpreters import from, so that it is read once."""

    files: dict[Path, dict[str, str]] = field(default_factory=dict)
    """Of a package's folder, by name below the folder in which it lies."""
    hashes: dict[Path, dict[str, str]] = field(default_factory=dict)
    """Of large files, by the package's RECORD."""


def installed_in(python: Path, listed: Listed | None = None) -> Installed:
    """Find out what an interpreter imports from.

    Args:
        python: the executable.
        listed: what was read for another interpreter a moment ago; it grows by what is read here.

    Raises:
        InputError: it does not run.
    """
    environment = {name: text for name, text in os.environ.items() if name not in _STRANGERS}
    try:
        done = subprocess.run(
            [str(python), "-c", _ASK],
            capture_output=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
        )
        told = msgspec.json.decode(done.stdout, type=_Told)
    except OSError as error:
        raise InputError(f"{python}: cannot be started: {one_line(error.strerror)}") from error
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{python}: did not answer within {_TIMEOUT_S} s") from error
    except msgspec.DecodeError as error:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise InputError(
            f"{python}: did not tell what it imports from: {one_line(last or 'it said nothing')}"
        ) from error
    found = Installed(python=told.python, folders=tuple(map(Path, told.path)))
    for folder in found.folders:
        if folder.name in ("site-packages", "dist-packages"):
            _add(folder, found, listed or Listed())
    return found


def _add(folder: Path, found: Installed, listed: Listed) -> None:
    """Add the packages of a folder that no folder before it has."""
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.name.endswith((".dist-info", ".egg-info")):
            _add_distribution(entry, found, listed)
    here: dict[str, str] = {}
    for entry in folder.iterdir():
        if entry.name.endswith((".dist-info", ".egg-info")) or entry.name == "__pycache__":
            continue
        if entry.name.endswith(".pth") and not _runs_code(entry):
            continue
        if entry.is_file():
            if not is_idle(entry.name):
                here[entry.name] = str(entry)
        elif entry.is_dir() and not _is_shadowed(entry, found):
            if entry not in listed.files:
                listed.files[entry] = dict(_below(entry))
            here |= listed.files[entry]
    for name, path in here.items():
        found.files.setdefault(name, path)


def _is_shadowed(package: Path, found: Installed) -> bool:
    """Whether a folder before has a package of that name; what has no `__init__` is merged."""
    return f"{package.name}/__init__.py" in found.files


def _runs_code(pth: Path) -> bool:
    """Whether a .pth file does more than to add folders, which are looked at by themselves."""
    lines = pth.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(
        line.startswith(("import ", "import\t")) and not line.startswith(_ADDING) for line in lines
    )


def _below(folder: Path) -> Iterator[tuple[str, str]]:
    """Walk a package's folder: tens of thousands of files, so that paths are plain texts."""
    start = len(str(folder.parent)) + 1
    for place, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if each != "__pycache__"]
        inside = place[start:].replace(os.sep, "/")
        for file in files:
            name = f"{inside}/{file}"
            if not is_idle(name):
                yield name, os.path.join(place, file)  # noqa: PTH118 - takes a fifth of a Path's time


def _add_distribution(info: Path, found: Installed, listed: Listed) -> None:
    """Add a package's version, where it is developed, and the hashes of its large files."""
    name, _, version = info.name.rpartition(".")[0].partition("-")
    name = normalised(name)
    if name in found.versions or name == OWN:
        return
    found.versions[name] = version
    if (info / "entry_points.txt").is_file():
        found.files[f"entry points of {name}"] = str(info / "entry_points.txt")
    try:
        origin = msgspec.json.decode((info / "direct_url.json").read_bytes(), type=_Origin)
    except (OSError, ValueError):
        origin = _Origin()
    if origin.dir_info.get("editable") and origin.url.startswith("file:"):
        found.editable[name] = Path(unquote(urlsplit(origin.url).path))
    record = info / "RECORD"
    if record not in listed.hashes:
        listed.hashes[record] = dict(_large(record))
    found.hashes.update(listed.hashes[record] | found.hashes)


def _large(record: Path) -> Iterator[tuple[str, str]]:
    """Read the hashes and sizes of large files that an installer has written down."""
    try:
        lines = record.read_text(encoding="utf-8").splitlines()
        rows = list(csv.reader(each for each in lines if _SEVEN_DIGITS.search(each)))
    except (OSError, ValueError, csv.Error):
        return
    for row in rows:
        if len(row) == 3 and row[1] and row[2].isdigit() and int(row[2]) >= _BIG_BYTES:
            yield row[0], f"{row[1]} {row[2]}"
