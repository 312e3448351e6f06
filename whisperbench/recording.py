"""The suite in fresh processes, one after the other, for a baseline that knows its own noise."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from whisperbench.errors import InputError, InvalidMeasurementError, one_line
from whisperbench.suite import BENCHMARKS

RECORDER = "WHISPERBENCH_RECORDER"
"""Environment variable that a recorded run finds, and that lets it past the lock."""


def record(
    runs: int, arguments: Sequence[str], folder: Path, say: Callable[[str], None]
) -> list[Path]:
    """Run `pytest benchmarks/` so often, and return the result files.

    Args:
        runs: processes.
        arguments: of pytest; `benchmarks/` is added where none of them is a path.
        folder: where the result files go.
        say: told of each run, and what one that failed has written.

    Raises:
        InputError: another recording is under way.
        InvalidMeasurementError: a run failed.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    paths = [folder / f"{stamp}-recorded-{number}.json" for number in range(1, runs + 1)]
    asked = [] if any(map(_is_benchmark, arguments)) else [str(BENCHMARKS)]
    with alone():
        for number, path in enumerate(paths, start=1):
            started_s = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *asked, *arguments, "--result", str(path)],
                env=os.environ | {RECORDER: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode:
                say(done.stdout)
                raise InvalidMeasurementError(
                    f"run {number} of {runs} exited with {done.returncode}: no baseline is made "
                    "of it"
                )
            if not path.exists():
                raise InputError("pytest measured nothing: name benchmarks, such as benchmarks/")
            say(f"run {number} of {runs}: {time.monotonic() - started_s:.0f} s")
    return paths


def _is_benchmark(argument: str) -> bool:
    """Whether an argument of pytest is a path in the benchmarks, and not an option's value."""
    path = Path(argument.partition("::")[0]).resolve()
    return not argument.startswith("-") and path.is_relative_to(BENCHMARKS)


def require_none_under_way() -> None:
    """Refuse to measure beside a recording, which the two would spoil for each other.

    Raises:
        InputError: one is under way on this machine, and this process is not part of it.
    """
    if RECORDER not in os.environ:
        with alone():
            pass


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of this user's recordings."""
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    path = Path(tempfile.gettempdir()) / f"whisperbench-{owner}.lock"
    # Another run that starts holds it for a moment, to look.
    lock = FileLock(path, timeout=1)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            "a baseline is being recorded on this machine: wait until it is done"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be locked: {one_line(error)}") from error
    try:
        yield
    finally:
        lock.release()
