"""pip, run in a process of its own for another interpreter; what goes wrong becomes one line."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from whisperbench.errors import InputError, NotInstallableError, one_line
from whisperbench.versions.children import run

_QUIETLY = ("--disable-pip-version-check", "--no-input", "--no-color")

_WHEREABOUTS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP")
"""What would make an interpreter find other packages than its own."""

_ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_DRY_RUN")
"""What would make pip install into another place. What says where packages come from is kept."""

_NO_SPACE = ("No space left on device", "Disk quota exceeded")

_BOUND = re.compile(r"<|==|!=|~=")

_BUILD_ENDS = "[end of output]"
"""What pip writes under the output of a build that failed."""

_HAS_PIP = "import importlib.util; print(importlib.util.find_spec('pip') is not None)"

_BUNDLED = """
import ensurepip, pathlib
print(max(pathlib.Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")))
"""


def bare_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment variables but those that lead to other packages."""
    left_out = {*_WHEREABOUTS, *_ELSEWHERE}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return kept | {"PYTHONIOENCODING": "utf-8"} | dict(more or {})


def run_python(python: Path, *arguments: str) -> str:
    """Run a little program in another interpreter, and return what it printed.

    Raises:
        InputError: it does not run, or fails, or the disk is full.
    """
    try:
        done = run([python, *arguments], environment=bare_environment())
    except OSError as error:
        raise InputError(f"{python}: is no Python: {one_line(error.strerror)}") from error
    if done.returncode:
        _require_space(done.stderr, str(python))
        raise InputError(f"{python}: does not run {arguments[0]}: {last_error(done.stderr)}")
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Pip:
    """A pip, which installs into whichever interpreter it is told to."""

    host: Path | None
    """The interpreter that has it."""
    wheel: Path | None = None
    """Where none has, the one that comes with Python's own ensurepip."""

    def install(self, python: Path, arguments: Sequence[str], name: str) -> None:
        """Install into an environment.

        Args:
            python: its interpreter.
            arguments: of `pip install`.
            name: what is installed, for sentences.

        Raises:
            NotInstallableError: pip refuses or fails, with the last error that it wrote.
            InputError: the disk is full.
        """
        self._call(python, ["install", "--no-compile", "--prefer-binary", *arguments], name)

    def wheel_of(self, source: Path, folder: Path, python: Path) -> Path:
        """Build the wheel of a folder of source into another folder, and return its path.

        Raises:
            NotInstallableError: it cannot be built.
            InputError: the disk is full.
        """
        arguments = ["wheel", "--no-deps", "--wheel-dir", str(folder), str(source)]
        self._call(python, arguments, str(source))
        return max(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)

    def versions(self, package: str, python: Path) -> str:
        """Return what `pip index versions` prints: the releases that could be installed.

        Raises:
            InputError: there is no such package, or no index answers.
        """
        try:
            return self._call(python, ["index", "versions", package], package)
        except NotInstallableError as error:
            raise InputError(str(error)) from error

    def sources(self, python: Path) -> Iterator[str]:
        """Yield all that decides which files pip takes, and changes if one of them does.

        That is pip's settings, from its variables and its files, without passwords, and the size
        and time of each file in a folder that is named in one of them: a wheel built again under
        the same version is another one. What an index holds is taken to stay as it is.

        Raises:
            InputError: pip does not run.
        """
        try:
            listed = self._call(python, ["config", "list"], "pip's settings")
        except NotInstallableError as error:
            raise InputError(str(error)) from error
        for line in sorted(listed.splitlines()):
            yield re.sub(r"//[^/@ ]*@", "//", line)
            with suppress(ValueError, SyntaxError):
                yield from _files_in(str(ast.literal_eval(line.partition("=")[2])))

    def run(self, python: Path, arguments: Sequence[str]) -> CompletedProcess[str]:
        """Run pip for an environment to its end, whatever that is.

        Args:
            python: the environment's interpreter.
            arguments: of pip.

        Raises:
            OSError: pip cannot be started.
        """
        more: dict[str, str] = {}
        if self.host is not None:
            command = [str(self.host), "-I", "-m", "pip", "--python", str(python)]
        else:
            command, more = [str(python), "-m", "pip"], {"PYTHONPATH": str(self.wheel)}
        return run([*command, *_QUIETLY, *arguments], environment=bare_environment(more))

    def _call(self, python: Path, arguments: Sequence[str], name: str) -> str:
        done = self.run(python, arguments)
        if done.returncode == 0:
            return done.stdout
        text = f"{done.stdout}\n{done.stderr}"
        _require_space(text, name)
        raise NotInstallableError(f"{name}: pip cannot install it: {last_error(text)}")


def _files_in(setting: str) -> Iterator[str]:
    """Yield what tells the files apart that a setting names, by their folders or themselves."""
    for word in setting.split():
        path = Path(word.removeprefix("file://")).expanduser()
        with suppress(OSError):
            for each in sorted(path.iterdir()) if path.is_dir() else [path]:
                found = each.stat()
                yield f"{each} {found.st_size} {found.st_mtime_ns}"


def pip_for(python: Path) -> Pip:
    """Find a pip: the interpreter's own, ours, or the one that Python brings along.

    Raises:
        InputError: there is none.
    """
    for host in (python, Path(sys.executable)):
        if run_python(host, "-c", _HAS_PIP).strip() == "True":
            return Pip(host=host)
    try:
        return Pip(host=None, wheel=Path(run_python(python, "-c", _BUNDLED).strip()))
    except InputError:
        raise InputError(
            f"{python}: has no pip, and neither has the Python that runs this; install pip into "
            "one of them"
        ) from None


def _require_space(text: str, name: str) -> None:
    if any(each in text for each in _NO_SPACE):
        raise InputError(f"{name}: cannot be installed: the disk is full, or the quota is used up")


def last_error(text: str) -> str:
    r"""Find the line that says what went wrong.

    What a build that failed wrote last, or else pip's last error, or else the last line.

    >>> last_error("Collecting x\nERROR: No matching distribution found for x")
    'No matching distribution found for x'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if _BUILD_ENDS in lines[1:]:
        return one_line(lines[lines.index(_BUILD_ENDS) - 1])
    errors = [
        line.partition(":")[2].strip()
        for line in lines
        if line.lower().startswith("error:") and "ResolutionImpossible" not in line
    ]
    said = (errors or lines or ["it said nothing"])[-1]
    bounds = list(filter(_BOUND.search, _at_odds(text)))
    return one_line(f"{'; '.join(bounds)}: {said}" if bounds else said)


def _at_odds(text: str) -> list[str]:
    """Return the requirements that pip says cannot be met together."""
    _, _, listed = text.partition("The conflict is caused by:")
    return [line.strip() for line in listed.strip().partition("\n\n")[0].splitlines()]
