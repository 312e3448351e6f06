"""The suite in fresh processes, one after the other, for a baseline that knows its own noise."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whisperbench.asked.checkout import BENCHMARKS
from whisperbench.errors import InputError, InvalidMeasurementError, one_line
from whisperbench.record.processes import run_child
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder

RECORDER = "WHISPERBENCH_RECORDER"
"""Environment variable that a recorded run finds: the process id of what records it."""

_held: list[int | None] = []
"""What holds the lock of recordings in this process, while it does."""


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
    with alone() as lock:
        own = _own_folder(folder)
        paths = [own / f"{number}.json" for number in range(1, runs + 1)]
        for number, path in enumerate(paths, start=1):
            started_s = time.monotonic()
            try:
                _run([*asked, *arguments, "--result", str(path)], lock, number, runs, say)
            except InvalidMeasurementError:
                if number > 1:
                    say(kept(paths[: number - 1]))
                raise
            if not path.exists():
                raise InputError("pytest measured nothing: name benchmarks, such as benchmarks/")
            say(f"run {number} of {runs}: {time.monotonic() - started_s:.0f} s")
    return paths


def kept(paths: Sequence[Path]) -> str:
    """Say which runs there are of a recording that made no baseline, and what they are good for."""
    names = " ".join(os.path.relpath(path) for path in paths)
    return (
        f"the runs are kept: {names}; whisperbench baseline promote makes a baseline of them and "
        "of others of this machine"
    )


def _own_folder(folder: Path) -> Path:
    """Make a folder that nobody had: a clock that was put back gives a time a second time."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{stamp}-recorded-", dir=folder))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {one_line(error.strerror)}") from error


def _run(
    arguments: Sequence[str], lock: int | None, number: int, runs: int, say: Callable[[str], None]
) -> None:
    """Run pytest once, as run `number` of `runs`."""
    try:
        code, output = run_child(
            [sys.executable, "-m", "pytest", *arguments],
            environment=os.environ | {RECORDER: str(os.getpid()), "PYTHONIOENCODING": "utf-8"},
            lock=lock,
        )
    except KeyboardInterrupt:
        raise InvalidMeasurementError(
            f"run {number} of {runs} was interrupted: no baseline is made"
        ) from None
    if code:
        say(output)
        raise InvalidMeasurementError(
            f"run {number} of {runs} exited with {code}: no baseline is made of it"
        )


def _is_benchmark(argument: str) -> bool:
    """Whether an argument of pytest is a path in the benchmarks, and not an option's value."""
    path = Path(argument.partition("::")[0]).resolve()
    return not argument.startswith("-") and path.is_relative_to(BENCHMARKS)


def recorded() -> bool:
    """Whether this process is a run that is being recorded."""
    return os.environ.get(RECORDER) == str(os.getppid())


@contextmanager
def alone() -> Iterator[int | None]:
    """Record: while nobody else of this user records or measures, who would spoil each other.

    Yields:
        What holds the lock, for a child to inherit; None where the system has no such locks.

    Raises:
        InputError: somebody does.
    """
    with _lock(
        exclusive=True,
        refusal="the suite is running on this machine, or being recorded: wait until it is done",
    ) as lock:
        _held.append(lock)
        try:
            yield lock
        finally:
            _held.pop()


@contextmanager
def alone_or_part() -> Iterator[int | None]:
    """Record, as part of what holds the lock in this process where something does.

    A comparison holds it over all of its runs, each of which asks for it.

    Yields:
        As `alone`.

    Raises:
        InputError: another process records or measures.
    """
    if _held:
        yield _held[-1]
        return
    with alone() as lock:
        yield lock


@contextmanager
def measuring() -> Iterator[None]:
    """Measure: beside other runs, which may have a card of their own, but beside no recording.

    Raises:
        InputError: one is under way on this machine, and this process is not part of it.
    """
    if recorded():
        yield
        return
    with _lock(
        exclusive=False,
        refusal="a baseline is being recorded on this machine: wait until it is done",
    ):
        yield


@contextmanager
def _lock(*, exclusive: bool, refusal: str) -> Iterator[int | None]:
    """Hold the lock of this user's runs: recorders exclusively, other runs with each other.

    The system gives it back when the last process that holds it has ended, however it did. It lies
    in the cache folder, which jobs with temporary folders of their own share.

    It is flock's and not filelock's, which keeps others from replacing baselines: that one is
    exclusive, so that two runs could not hold it together, and its file is not inherited by
    children, so that a run whose recorder was killed would measure on without it.
    """
    fcntl = _fcntl()
    if fcntl is None:
        yield None
        return
    path = cache_folder() / "runs.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be locked: {one_line(error.strerror)}; set {CACHE_VARIABLE} to a "
            "folder that can be written"
        ) from error
    try:
        try:
            fcntl.flock(lock, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(refusal) from None
        except OSError as error:
            raise InputError(f"{path}: cannot be locked: {one_line(error.strerror)}") from error
        yield lock
    finally:
        os.close(lock)


def _fcntl() -> Any:
    """Return the module, or None on Windows."""
    try:
        import fcntl
    except ImportError:
        return None
    return fcntl
