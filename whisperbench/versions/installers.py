"""What installs packages into an environment: uv where it is there, venv and pip elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

from whisperbench.errors import InputError, one_line
from whisperbench.versions.children import last_line, run
from whisperbench.versions.locks import REQUIREMENTS, Lock

_INDEXES = re.compile(
    r"(?:PIP|UV)_(?:CONFIG_FILE|CONSTRAINT|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|INDEX|INDEX_URL|"
    r"NO_BINARY|NO_INDEX|ONLY_BINARY|PRE|PRERELEASE|TORCH_BACKEND)"
)
"""Variables that say where packages come from, and which of them."""

_ELSEWHERE = {
    *("PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_ROOT", "PIP_TARGET", "PIP_USER"),
    *("PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV"),
}
"""Variables that would have packages installed into another place, or found in one."""

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
    return Pip() if found is None else Uv(found)


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
        self._check(self._run(self._venv(folder), folder), f"{whose}: no environment can be made")
        constraints = folder / "lock-constraints.txt"
        constraints.write_text(_text(lock.constraints), encoding="utf-8")
        wanted: list[str | Path] = ["-c", constraints]
        if lock.name == REQUIREMENTS:
            requirements = folder / "lock-requirements.txt"
            requirements.write_text(_text(lock.requirements), encoding="utf-8")
            wanted += ["-r", requirements]
        elif lock.requirements:
            wanted += [part for line in lock.requirements for part in shlex.split(line)]
        failed = f"{whose}: its {lock.name} cannot be installed with what the suite needs"
        if lock.hashed and lock.name == REQUIREMENTS:
            # What the suite needs has no hashes there, and the installer wants all or none.
            self._check(self._run(self._add(folder, wanted), folder), failed)
            versions = run([python_in(folder), "-I", "-c", _VERSIONS], environment=_variables())
            constraints.write_text(versions.stdout, encoding="utf-8")
            wanted = ["-c", constraints]
        self._check(self._run(self._add(folder, [*wanted, *needs]), folder), failed)

    @abstractmethod
    def _venv(self, folder: Path) -> list[str | Path]:
        """Return the command that makes an empty environment."""

    @abstractmethod
    def _add(self, folder: Path, arguments: Sequence[str | Path]) -> list[str | Path]:
        """Return the command that installs into it."""

    @abstractmethod
    def _error(self, done: CompletedProcess[str]) -> str:
        """Return what it says of a failure."""

    def _run(self, command: Sequence[str | Path], folder: Path) -> CompletedProcess[str]:
        return run(command, environment=_variables(), folder=folder)

    def _check(self, done: CompletedProcess[str], failed: str) -> None:
        if done.returncode:
            # The lock's lines lie in a file of ours, whose place says nothing.
            said = _OF_OUR_FILE.sub("the lock", self._error(done))
            raise InputError(f"{failed}: {self.name} says: {one_line(said)}")


class Pip(Installer):
    """Python's own venv, and pip: the one that is here, or else a copy in each environment."""

    name = "pip"

    def __init__(self) -> None:
        self._here = find_spec("pip") is not None

    def _venv(self, folder: Path) -> list[str | Path]:
        bare = ("--without-pip",) if self._here else ()
        return [sys.executable, "-I", "-m", "venv", *bare, folder]

    def _add(self, folder: Path, arguments: Sequence[str | Path]) -> list[str | Path]:
        python = python_in(folder)
        pip: list[str | Path] = [python, "-I", "-m", "pip"]
        if self._here:
            pip = [sys.executable, "-I", "-m", "pip", "--python", python]
        options = ("--no-input", "--disable-pip-version-check", "--progress-bar=off")
        return [*pip, "install", *options, *arguments]

    def _error(self, done: CompletedProcess[str]) -> str:
        """Return its last line of an error, after whose requirements are at odds if it says so."""
        # Its very last line of a conflict is no more than a link to its manual.
        told = done.stderr.partition("ERROR: ResolutionImpossible")[0]
        said = last_line(told or done.stdout, "ERROR:", "Error:", "error:")
        _, _, conflict = done.stdout.partition("The conflict is caused by:")
        between = [line.strip() for line in conflict.strip().partition("\n\n")[0].splitlines()]
        # Most of those that it lists allow what the few with an upper bound forbid.
        bounds = [line for line in between if re.search(r"<|==|!=|~=", line)]
        return f"{'; '.join(bounds)}: {said}" if bounds else said


class Uv(Installer):
    """uv, which has settings of its own: it reads none of pip's."""

    name = "uv"

    def __init__(self, program: str) -> None:
        self._program = program

    def _venv(self, folder: Path) -> list[str | Path]:
        return [self._program, "venv", "--no-project", "--python", sys.executable, folder]

    def _add(self, folder: Path, arguments: Sequence[str | Path]) -> list[str | Path]:
        # As pip does: else the first process that imports a module takes longer than all others.
        options = ("--no-progress", "--compile-bytecode", "--python", python_in(folder))
        return [self._program, "pip", "install", *options, *arguments]

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
    return {name: text for name, text in os.environ.items() if name not in _ELSEWHERE}


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
