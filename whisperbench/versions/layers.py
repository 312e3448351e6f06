"""Layers: an interpreter's packages with a difference installed over them, such as one release.

A layer is a virtual environment without packages of its own. A .pth file adds the folders that the
parent interpreter finds its packages in, behind the layer's own, so that only the difference, and
what it needs in other versions, is installed: torch and its libraries are shared.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from whisperbench.errors import InputError, one_line, printable
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder
from whisperbench.versions.environment import Environment
from whisperbench.versions.pip import Pip, pip_for, run_python

KEPT_DAYS = 30
"""How long a layer is kept for which nobody asks."""

COMPLETE = "complete"
"""The file that a layer has once it is whole: written last."""

SHARED = ("torch",)
"""Packages that a layer keeps in the parent's version, unless it is asked for another one: they
take gigabytes, and the kernels are theirs."""

_FACTS = """
import json, os, sys, sysconfig
from importlib.metadata import distributions
standard = {sysconfig.get_path(each) for each in ("stdlib", "platstdlib")}
standard |= {each + "/lib-dynload" for each in standard}
folders = [each for each in sys.path if os.path.isdir(each) and each not in standard]
found = {}
for each in distributions():
    found.setdefault(each.metadata["Name"], each.version)
print(json.dumps([sys.version, sys.platform, os.path.realpath(sys.executable), folders, found]))
"""


class _Parent(NamedTuple):
    """What a layer lies on."""

    python: Path
    facts: list[Any]

    @property
    def folders(self) -> list[str]:
        """Where its packages are, in the order in which it looks."""
        found: list[str] = self.facts[3]
        return found

    @property
    def versions(self) -> dict[str, str]:
        """The distributions that it finds."""
        found: dict[str, str] = self.facts[4]
        return found


def layered(
    python: Path,
    requirements: Sequence[str],
    say: Callable[[str], None],
    *,
    name: str | None = None,
) -> Environment:
    """Return an environment that shares an interpreter's packages but for what is named.

    It is built in the cache folder, once for the same interpreter, packages, requirements and
    settings of pip, and while no folder in which pip finds wheels changes. One whose building was
    interrupted is built again, from its start; one that nobody asked for in `KEPT_DAYS` is removed.

    Args:
        python: the interpreter whose packages are shared.
        requirements: as pip takes them: "transformers==5.17.0", a wheel's path, or a folder of
            source, which is built first.
        say: told of what is built, and how long it took.
        name: what to call it; by default what is named.

    Raises:
        NotInstallableError: pip cannot install this.
        InputError: the interpreter does not run or has no pip, a requirement is none, or the cache
            folder cannot be written.
    """
    parent = _parent(python)
    pip = pip_for(parent.python)
    root = _layers_folder()
    _clear(root)
    with tempfile.TemporaryDirectory(prefix="whisperbench-wheel-") as own:
        scratch = Path(own)
        asked = [_settled(each, parent, pip, scratch) for each in _plain(requirements)]
        name = name or ", ".join(each.name for each in asked)
        digest = _digest(parent, asked, list(pip.sources(parent.python)))
        folder = root / digest
        found = Environment(python=_python_in(folder), name=name)
        with _locked(root / f"{digest}.lock", name):
            if (folder / COMPLETE).is_file() and found.python.exists():
                (folder / COMPLETE).touch()  # asked for today
                return found
            started_s = time.monotonic()
            with _removed_unless_whole(folder):
                _build(folder, parent, asked, pip, name)
            say(f"installed {name}: {time.monotonic() - started_s:.0f} s")
    return found


class _Asked(NamedTuple):
    """A requirement, ready to be installed."""

    name: str
    """For sentences."""
    requirement: str
    key: str
    """What tells it from another one."""


def _plain(requirements: Sequence[str]) -> list[str]:
    """Refuse what pip would take for an option or a file of options."""
    found = [each.strip() for each in requirements]
    if not found or not all(found):
        raise InputError("no requirement is named: give one such as transformers==5.17.0")
    for each in found:
        if each.startswith("-") or printable(each) != each:
            raise InputError(
                f"{printable(each)!r} is no requirement: give one such as transformers==5.17.0, "
                "or the path of a wheel"
            )
    return found


def _settled(requirement: str, parent: _Parent, pip: Pip, scratch: Path) -> _Asked:
    """Make a requirement one that says what is installed: of a folder a wheel is built."""
    path = Path(requirement).expanduser()
    looks_local = requirement.endswith(".whl") or requirement.startswith((".", "/", "~", os.sep))
    if not (looks_local or (path.is_dir() and os.sep in requirement)):
        return _Asked(requirement, requirement, requirement)
    if not path.exists():
        raise InputError(f"{requirement}: there is no such wheel or folder")
    name = path.name
    if path.is_dir():
        name = path.resolve().name
        path = pip.wheel_of(path.resolve(), scratch, parent.python)
    return _Asked(name, str(path.resolve()), _content_of(path))


def _content_of(wheel: Path) -> str:
    """Digest what a wheel holds, which is the same however often it is built."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = sorted(
                (each.filename, each.CRC, each.file_size) for each in archive.infolist()
            )
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel}: is no wheel: {one_line(error)}") from error
    return json.dumps([wheel.name, members])


def _parent(python: Path) -> _Parent:
    """Ask an interpreter for its packages.

    Raises:
        InputError: it does not run.
    """
    python = python.absolute()  # and not resolved: a virtual environment's is a link
    return _Parent(python, json.loads(run_python(python, "-c", _FACTS)))


def _digest(parent: _Parent, asked: Sequence[_Asked], sources: Sequence[str]) -> str:
    """Digest what a layer depends on."""
    keys = sorted(each.key for each in asked)
    text = json.dumps([str(parent.python), parent.facts, keys, *sources])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def versions_in(python: Path) -> dict[str, str]:
    """Return the versions of all distributions that an interpreter finds, by name.

    Raises:
        InputError: it does not run.
    """
    return _parent(python).versions


def _layers_folder() -> Path:
    folder = cache_folder().resolve() / "layers"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path}: cannot be written: {one_line(error.strerror or error)}; set {CACHE_VARIABLE} to "
        "a folder that can be written"
    )


def _clear(root: Path) -> None:
    """Remove what a process that was killed has left half built, and what nobody asks for."""
    for folder in root.iterdir():
        if not folder.is_dir() or _wanted(folder):
            continue
        with suppress(Timeout, OSError), FileLock(f"{folder}.lock", timeout=0):
            if not _wanted(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _wanted(folder: Path) -> bool:
    """Whether a layer is whole, and was asked for lately."""
    try:
        return time.time() - (folder / COMPLETE).stat().st_mtime < KEPT_DAYS * 86400
    except OSError:
        return False


@contextmanager
def _locked(path: Path, name: str) -> Iterator[None]:
    """Let one process at a time build a layer; the second one waits, and finds it built."""
    lock = FileLock(path, timeout=1800)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"another process has been installing {name} for half an hour") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _removed_unless_whole(folder: Path) -> Iterator[None]:
    """Begin with no folder, and leave none behind that was not finished, however that came."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield
        (folder / COMPLETE).touch()
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _unwritable(folder, error) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _build(folder: Path, parent: _Parent, asked: Sequence[_Asked], pip: Pip, name: str) -> None:
    """Make the layer: an empty environment that shares the parent's packages, then what differs.

    What is named is installed first and whatever the parent has, since pip would take a wheel of
    the same version for installed. What it needs then comes where the parent's does not do.
    """
    run_python(parent.python, "-m", "venv", "--without-pip", str(folder))
    python = _python_in(folder)
    own = Path(run_python(python, "-c", _OWN_FOLDER).strip())
    lines = [f"import site; site.addsitedir({each!r})" for each in parent.folders]
    (own / "_whisperbench_shared.pth").write_text("\n".join([*lines, ""]), encoding="utf-8")
    named = [each.requirement for each in asked]
    pip.install(python, ["--no-deps", "--force-reinstall", "--no-warn-conflicts", *named], name)
    shared = folder / "shared.txt"
    shared.write_text(
        "".join(
            f"{each}=={parent.versions[each]}\n"
            for each in SHARED
            if each in parent.versions and not any(_is_of(one, each) for one in named)
        ),
        encoding="utf-8",
    )
    pip.install(python, ["--no-warn-conflicts", "--constraint", str(shared), *named], name)


_OWN_FOLDER = "import sysconfig; print(sysconfig.get_path('purelib'))"


def _is_of(requirement: str, package: str) -> bool:
    """Whether a requirement is one of a package."""
    return (
        re.fullmatch(rf"{package}\b(?![-_.\w]).*", requirement.strip(), re.IGNORECASE | re.DOTALL)
        is not None
    )
