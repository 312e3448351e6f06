"""What installs packages into an environment: uv where it is there, venv and pip elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess

from whisperbench.errors import InputError, one_line
from whisperbench.versions.children import last_line, run
from whisperbench.versions.locks import REQUIREMENTS, Lock
from whisperbench.versions.pip import bare_environment, last_error, pip_for, run_python

_INDEXES = re.compile(
    r"(?:PIP|UV)_(?:CONFIG_FILE|CONSTRAINT|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|INDEX|INDEX_URL|"
    r"NO_BINARY|NO_INDEX|ONLY_BINARY|PRE|PRERELEASE|TORCH_BACKEND)"
)
"""Variables that say where packages come from, and which of them."""

_ELSEWHERE = {"UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV"}
"""Variables that would have uv install into another place."""

_OF_OUR_FILE = re.compile(r"(?:-r )?\S*lock-requirements\.txt(?: \(line \d+\))?")

_VERSIONS = """
from importlib.metadata import distributions
for found in distributions():
    print(f"{found.metadata['Name']}=={found.version}")
"""


def python_in(folder: Path) -> Path:
    """Return where an environment has its interpreter."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def installer() -> Installer:
    """Return uv where it is on PATH, or else venv and pip."""
    found = shutil.which("uv")
    return VenvAndPip() if found is None else Uv(found)


class Installer(ABC):
    """Makes an environment and installs into it."""

    name: str
    """What sentences call it."""

    def indexes(self) -> Iterator[str]:
        """Yield the variables that say where packages come from, without passwords."""
        for name in sorted(os.environ):
            if _INDEXES.fullmatch(name):
                yield f"{name}={re.sub(r'//[^/@ ]*@', '//', os.environ[name])}"

    def install(self, folder: Path, lock: Lock, needs: Sequence[str], whose: str) -> None:
        """Make an environment in an empty folder.

        Args:
            folder: of the environment.
            lock: the versions that hold.
            needs: requirements to be installed under the lock, besides those in it.
            whose: whose environment it is, for refusals.

        Raises:
            InputError: it cannot be made, or something cannot be installed.
            OSError: a file cannot be written, or the installer not be started.
        """
        self._check(self._make(folder), f"{whose}: no environment can be made")
        constraints = folder / "lock-constraints.txt"
        constraints.write_text(_text(lock.constraints), encoding="utf-8")
        wanted = ["-c", str(constraints)]
        if lock.name == REQUIREMENTS:
            requirements = folder / "lock-requirements.txt"
            requirements.write_text(_text(lock.requirements), encoding="utf-8")
            wanted += ["-r", str(requirements)]
        else:
            wanted += [part for line in lock.requirements for part in shlex.split(line)]
        failed = f"{whose}: its {lock.name} cannot be installed with what the suite needs"
        if lock.hashed and lock.name == REQUIREMENTS:
            # What the suite needs has no hashes there, and the installer wants all or none.
            self._check(self._add(folder, wanted), failed)
            constraints.write_text(run_python(python_in(folder), "-c", _VERSIONS), encoding="utf-8")
            wanted = ["-c", str(constraints)]
        self._check(self._add(folder, [*wanted, *needs]), failed)

    @abstractmethod
    def _make(self, folder: Path) -> CompletedProcess[str]:
        """Make an environment without packages in an empty folder."""

    @abstractmethod
    def _add(self, folder: Path, arguments: Sequence[str]) -> CompletedProcess[str]:
        """Install into it: what pip and uv both call requirements, -r and -c."""

    @abstractmethod
    def _error(self, done: CompletedProcess[str]) -> str:
        """Return what it says of a failure."""

    def _check(self, done: CompletedProcess[str], failed: str) -> None:
        if done.returncode:
            # The lock's lines lie in a file of ours, whose place says nothing.
            said = _OF_OUR_FILE.sub("the lock", self._error(done))
            raise InputError(f"{failed}: {self.name} says: {one_line(said)}")


class VenvAndPip(Installer):
    """Python's own venv, which needs no pip in it, and a pip beside it."""

    name = "pip"

    def _make(self, folder: Path) -> CompletedProcess[str]:
        command: list[str | Path] = [sys.executable, "-I", "-m", "venv", "--without-pip", folder]
        return run(command, environment=_variables())

    def _add(self, folder: Path, arguments: Sequence[str]) -> CompletedProcess[str]:
        pip = pip_for(Path(sys.executable))
        return pip.run(python_in(folder), ["install", "--progress-bar=off", *arguments])

    def _error(self, done: CompletedProcess[str]) -> str:
        return last_error(f"{done.stdout}\n{done.stderr}")


class Uv(Installer):
    """uv, which has settings of its own: it reads none of pip's."""

    name = "uv"

    def __init__(self, program: str) -> None:
        self._program = program

    def _make(self, folder: Path) -> CompletedProcess[str]:
        own = ("--no-project", "--python", sys.executable)
        command: list[str | Path] = [self._program, "venv", *own, folder]
        return run(command, environment=_variables(), folder=folder)

    def _add(self, folder: Path, arguments: Sequence[str]) -> CompletedProcess[str]:
        # As pip does: else the first process that imports a module takes longer than all others.
        options = ("--no-progress", "--compile-bytecode", "--python", python_in(folder))
        command: list[str | Path] = [self._program, "pip", "install", *options, *arguments]
        return run(command, environment=_variables(), folder=folder)

    def _error(self, done: CompletedProcess[str]) -> str:
        """Return all from its error on: the lines after it have the causes, some drawn as trees."""
        lines = [re.sub(r"^[\s×│├└╰─▶]+", "", line) for line in done.stderr.splitlines()]
        begins = [
            at
            for at, line in enumerate(done.stderr.splitlines())
            if line.lstrip().startswith(("error:", "×"))
        ]
        told = " ".join(filter(None, lines[begins[0] :])) if begins else last_line(done.stderr)
        return told.removeprefix("error:").strip()


def _variables() -> dict[str, str]:
    return {name: text for name, text in bare_environment().items() if name not in _ELSEWHERE}


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
