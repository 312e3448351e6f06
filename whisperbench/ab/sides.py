"""The two sides of a comparison, and their processes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from whisperbench.errors import InvalidMeasurementError, one_line
from whisperbench.measure.turns.messages import PART_VARIABLE, TURNS_VARIABLE, Part
from whisperbench.record.elsewhere import last_words, rebased, suite_environment
from whisperbench.record.processes import LAST_WORDS_S
from whisperbench.results.records import ManifestEntry, Run
from whisperbench.results.run_file import read_run

TOLD = (0, 1)
"""pytest's exit codes of a run that went to its end: all passed, or something failed."""

NOTHING_COLLECTED = 5
"""pytest's exit code where no test was selected."""


class SideError(InvalidMeasurementError):
    """A side's process has failed; the message says which, and how."""


class NothingSelectedError(Exception):
    """The arguments of pytest select nothing of this part of the suite."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """Base or head: where its packages are, and the suite that measures it."""

    name: str
    """base or head."""
    python: Path
    """The interpreter of its environment."""
    suite: Path
    """The folder that holds the suite: the same one for both sides, unless each has its own."""
    own: tuple[Path, ...] = ()
    """Folders with code of its own."""
    what: str = ""
    """What it is, for people: a revision, an interpreter."""


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
        variables: dict[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            side: whose it is.
            part: what it runs of the suite.
            arguments: of pytest, besides those that this adds.
            result: where the run's file is to be; what it prints goes beside it.
            descriptors: of a channel, which it reads and writes, where it takes turns.
            lock: a descriptor that it inherits, and so holds for as long as it lives.
            variables: further ones of its environment.

        Raises:
            SideError: it cannot be started.
        """
        self.side = side
        self.result = result.resolve()
        self.log = self.result.with_suffix(".log")
        # A side's own code lies where its owner works: nothing is written there.
        own: dict[str, str] = {PART_VARIABLE: part, "PYTHONDONTWRITEBYTECODE": "1"}
        if descriptors is not None:
            own[TURNS_VARIABLE] = ",".join(map(str, descriptors))
        inherited = [*(descriptors or ()), *([] if lock is None else [lock])]
        asked = rebased(arguments, side.suite)
        try:
            self.result.unlink(missing_ok=True)
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    [
                        *(str(side.python), "-m", "pytest", "-p", "no:cacheprovider"),
                        *(*asked, "--result", str(self.result)),
                    ],
                    cwd=side.suite,
                    env=suite_environment(side.own) | own | (variables or {}),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=inherited,
                )
        except OSError as error:
            raise SideError(
                f"the {side.name}'s process cannot be started with {side.python}: "
                f"{one_line(error.strerror)}"
            ) from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def finish(self) -> Run:
        """Wait for its end, and return what it has measured, failed benchmarks included.

        Raises:
            NothingSelectedError: it was to measure nothing.
            SideError: it wrote no result, or failed otherwise than by its benchmarks.
        """
        code = self._process.wait()
        if code == NOTHING_COLLECTED:
            raise NothingSelectedError
        if code not in TOLD or not self.result.exists():
            raise SideError(f"the {self.side.name}'s process {self.how_it_ended()}")
        run = read_run(self.result)
        if code and all(each.outcome == "measured" or each.not_offered for each in _asked(run)):
            raise SideError(
                f"the {self.side.name}'s process {self.how_it_ended()}; no benchmark of it failed"
            )
        return run

    def require_end(self) -> None:
        """Wait for its end, where it keeps no result.

        Raises:
            SideError: it failed.
        """
        if self._process.wait():
            raise SideError(f"the {self.side.name}'s process {self.how_it_ended()}")

    def how_it_ended(self) -> str:
        """Wait for its end, and say how it was, as "exited with 4: no such option"."""
        code = self._process.wait()
        if code < 0:
            why = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
            return f"was ended by {_name_of(-code)}{why}"
        said = last_words(self.log.read_text("utf-8", "replace")).removeprefix("ERROR: ")
        how = f"exited with {code}" if code else "measured nothing"
        return f"{how}: {said} (all of its output: {self.log})"

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Wait for the end of what was interrupted; ask once more, then kill it."""
        for _ in range(2):
            try:
                self._process.wait(timeout=LAST_WORDS_S / 2)
            except subprocess.TimeoutExpired:
                self.interrupt()
            else:
                return
        self.kill()

    def kill(self) -> None:
        """End it at once, and what it has started, which it cannot end any more itself."""
        started: list[psutil.Process] = []
        with suppress(psutil.Error):
            started = psutil.Process(self.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        for child in started:
            with suppress(psutil.Error):
                child.kill()


def _asked(run: Run) -> list[ManifestEntry]:
    return [entry for entry in run.info.manifest if not entry.deselected]


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one that the system has no name for
        return f"signal {number}"


@contextmanager
def ended_at_exit(processes: Sequence[SideProcess]) -> Iterator[None]:
    """End processes that are still there when the block is left, however it is."""
    try:
        yield
    finally:
        impatient = False
        for process in processes:  # all of them first, so that they end side by side
            process.interrupt()
        for process in processes:
            try:
                (process.kill if impatient else process.end)()
            except KeyboardInterrupt:  # a second Ctrl-C waits for nobody
                impatient = True
                process.kill()
        if impatient:
            raise KeyboardInterrupt


class _Row(msgspec.Struct):
    fullname: str


class _Rows(msgspec.Struct):
    benchmarks: list[_Row]


def ids_of(result: Path) -> list[str]:
    """Return the ids of the tests whose measurements a run's file holds, in their order."""
    rows = msgspec.json.decode(result.read_bytes(), type=_Rows).benchmarks
    return [row.fullname for row in rows]
