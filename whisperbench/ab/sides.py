"""The two sides of a comparison, and their processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from whisperbench.errors import InvalidMeasurementError, one_line
from whisperbench.measure.turns.messages import PART_VARIABLE, TURNS_VARIABLE, Part
from whisperbench.record.runs import RECORDER
from whisperbench.results.records import Run
from whisperbench.results.run_file import read_run

LAST_WORDS_S = 10.0
"""How long a process may take to end once it was interrupted."""


class SideError(InvalidMeasurementError):
    """A side's process has failed; the message says which, and how."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """Base or head: where its packages are, and the suite that measures it."""

    name: str
    """base or head."""
    python: Path
    """The interpreter of its environment."""
    suite: Path
    """The folder that holds the suite, the same one for both sides."""
    own: tuple[Path, ...] = ()
    """Folders with code of its own."""


class SideProcess:
    """The suite in a side's interpreter, for one part of a comparison."""

    def __init__(
        self,
        side: Side,
        part: Part,
        arguments: Sequence[str],
        result: Path,
        *,
        descriptors: tuple[int, int] | None = None,
        lock: int | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            side: whose it is.
            part: what it runs of the suite.
            arguments: of pytest, besides those that this adds.
            result: where the run's file is to be; what it prints goes beside it.
            descriptors: of a channel, which it reads and writes, where it takes turns.
            lock: a descriptor that it inherits, and so holds for as long as it lives.
            environment: further variables.

        Raises:
            SideError: it cannot be started.
        """
        self.side = side
        self.result = result
        self._log = result.with_suffix(".log")
        variables = {
            "PYTHONPATH": os.pathsep.join(
                [*map(str, (side.suite, *side.own)), *_inherited_paths()]
            ),
            "PYTHONIOENCODING": "utf-8",
            PART_VARIABLE: part,
            RECORDER: str(os.getpid()),
        }
        if descriptors is not None:
            variables[TURNS_VARIABLE] = ",".join(map(str, descriptors))
        inherited = [*(descriptors or ()), *([] if lock is None else [lock])]
        try:
            with self._log.open("wb") as log:
                # -P: a copy of the suite in the current folder does not come before the side's.
                self._process = subprocess.Popen(
                    [
                        *(str(side.python), "-P", "-m", "pytest", "-p", "no:cacheprovider"),
                        *("--rootdir", str(side.suite), "-c", str(side.suite / "pyproject.toml")),
                        *(*arguments, "--result", str(result)),
                    ],
                    env=os.environ | variables | (environment or {}),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=inherited,
                )
        except OSError as error:
            raise SideError(
                f"the {side.name}'s interpreter {side.python} cannot be started: "
                f"{one_line(error.strerror)}"
            ) from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def finish(self) -> Run:
        """Wait for its end, and return what it has measured, failed benchmarks included.

        Raises:
            SideError: it wrote no result.
        """
        self._process.wait()
        if not self.result.exists():
            raise SideError(f"the {self.side.name} {self.how_it_ended()}")
        return read_run(self.result)

    def how_it_ended(self) -> str:
        """Wait for its end, and say how it was, as "exited with 4: ERROR: no such option"."""
        code = self._process.wait()
        if code < 0:
            why = " (perhaps for want of memory)" if -code == signal.SIGKILL else ""
            return f"was ended by {signal.Signals(-code).name}{why}"
        return f"exited with {code}: {_last_words(self._log)} (all that it said: {self._log})"

    def end(self) -> None:
        """End it so that it can clear up; kill it where it does not."""
        for _ in range(2):
            if self._process.poll() is not None:
                return
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=LAST_WORDS_S / 2)
            except subprocess.TimeoutExpired:
                continue
        self._process.kill()
        self._process.wait()


def _inherited_paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _last_words(log: Path) -> str:
    """Return the line in which a process says what is wrong; of several the last one."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    told = [line for line in lines if line.startswith(("ERROR:", "E  ", "whisperbench:"))]
    errors = [line for line in lines if "Error" in line]
    last = (told or errors or [line for line in lines if line] or ["it said nothing"])[-1]
    return one_line(last.removeprefix("ERROR:").strip())


@contextmanager
def ended_at_exit(processes: Sequence[SideProcess]) -> Iterator[None]:
    """End processes that are still there when the block is left, however it is."""
    try:
        yield
    finally:
        for process in processes:
            process.end()


def for_suite(
    arguments: Sequence[str], suite: Path, is_benchmark: Callable[[str], bool]
) -> list[str]:
    """Turn the arguments of pytest that name benchmarks into those of a suite elsewhere.

    Args:
        arguments: as they were given, from the current folder.
        suite: the folder that holds the suite.
        is_benchmark: whether an argument is a path in benchmarks/.

    Returns:
        The arguments; all of benchmarks/ where none of them is a path.
    """
    made = []
    for argument in arguments:
        path, colons, test = argument.partition("::")
        if is_benchmark(argument):
            parts = Path(path).parts
            inside = Path(*parts[len(parts) - 1 - parts[::-1].index("benchmarks") :])
            argument = f"{suite / inside}{colons}{test}"
        made.append(argument)
    named = any(map(is_benchmark, arguments))
    return made if named else [str(suite / "benchmarks"), *made]
