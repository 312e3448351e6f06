"""The suite in fresh processes, one after the other, for a baseline that knows its own noise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from whisperbench.errors import InputError, InvalidMeasurementError, one_line
from whisperbench.suite import BENCHMARKS

RECORDER = "WHISPERBENCH_RECORDER"
"""Environment variable that a recorded run finds, and that lets it past the lock."""

LAST_WORDS_S = 10.0
"""How long a run may take to end once it was interrupted."""


def record(
    runs: int, arguments: Sequence[str], folder: Path, say: Callable[[str], None]
) -> list[Path]:
    """Run `pytest benchmarks/` so often, and return the result files.

    Args:
        runs: processes.
        arguments: of pytest; `benchmarks/` is added where none of them is a path.
        folder: in which a folder for the result files is made.
        say: told of each run, and what one that failed has written.

    Raises:
        InputError: another recording or run is under way, or the folder cannot be made.
        InvalidMeasurementError: a run failed or was interrupted.
    """
    asked = [] if any(map(_is_benchmark, arguments)) else [str(BENCHMARKS)]
    with alone():
        own = _own_folder(folder)
        paths = [own / f"{number}.json" for number in range(1, runs + 1)]
        for number, path in enumerate(paths, start=1):
            started_s = time.monotonic()
            code, output = _run([*asked, *arguments, "--result", str(path)], number, runs)
            if code:
                say(output)
                raise InvalidMeasurementError(
                    f"run {number} of {runs} exited with {code}: no baseline is made of it"
                )
            if not path.exists():
                raise InputError("pytest measured nothing: name benchmarks, such as benchmarks/")
            say(f"run {number} of {runs}: {time.monotonic() - started_s:.0f} s")
    return paths


def _own_folder(folder: Path) -> Path:
    """Make a folder that nobody had: a clock that was put back gives a time a second time."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{stamp}-recorded-", dir=folder))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {one_line(error.strerror)}") from error


def _run(arguments: Sequence[str], number: int, runs: int) -> tuple[int, str]:
    """Run pytest, and return its exit status and what it wrote."""
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        env=os.environ | {RECORDER: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            output, _ = process.communicate()
        except KeyboardInterrupt:
            _end(process)
            raise InvalidMeasurementError(
                f"run {number} of {runs} was interrupted: no baseline is made"
            ) from None
    return process.returncode, output


def _end(process: subprocess.Popen[str]) -> None:
    """End a run so that it can clear up. A terminal has interrupted it already; a kill has not."""
    for _ in range(2):
        try:
            process.communicate(timeout=LAST_WORDS_S / 2)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        else:
            return
    process.kill()


def _is_benchmark(argument: str) -> bool:
    """Whether an argument of pytest is a path in the benchmarks, and not an option's value."""
    path = Path(argument.partition("::")[0]).resolve()
    return not argument.startswith("-") and path.is_relative_to(BENCHMARKS)


@contextmanager
def alone() -> Iterator[None]:
    """Record: while nobody else of this user records or measures, who would spoil each other.

    Raises:
        InputError: somebody does.
    """
    with _recorders_lock():
        for path in _locks().glob("run-*.lock"):
            # What nobody holds was left by a run that was killed.
            with _held(path, "the suite is running on this machine: wait until it is done"):
                path.unlink(missing_ok=True)
        yield


@contextmanager
def measuring() -> Iterator[None]:
    """Measure: beside other runs, which may have a card of their own, but beside no recording.

    Raises:
        InputError: one is under way on this machine, and this process is not part of it.
    """
    path = _locks() / f"run-{os.getpid()}.lock"
    with ExitStack() as stack:
        # First this lock and then the recorder's, and `alone` the other way round: of two that
        # start together, one at least sees the other.
        stack.enter_context(_held(path, f"{path}: is held by another process"))
        stack.callback(path.unlink, missing_ok=True)
        if RECORDER not in os.environ:
            with _recorders_lock():
                pass
        yield


def _recorders_lock() -> AbstractContextManager[None]:
    return _held(
        _locks() / "recorder.lock",
        "a baseline is being recorded on this machine: wait until it is done",
    )


def _locks() -> Path:
    """Return the folder of this user's locks."""
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"whisperbench-{owner}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {one_line(error.strerror)}") from error
    return folder


@contextmanager
def _held(path: Path, refusal: str) -> Iterator[None]:
    """Hold a lock that others hold for a moment only, or for as long as the refusal says."""
    lock = FileLock(path, timeout=1)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(refusal) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be locked: {one_line(error)}") from error
    try:
        yield
    finally:
        lock.release()
