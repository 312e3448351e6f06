"""The suite in fresh processes, one after the other, for a baseline that knows its own noise."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from whisperbench.errors import InputError, InvalidMeasurementError
from whisperbench.suite import ROOT

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
    paths = [folder / f"run-{number}.json" for number in range(1, runs + 1)]
    asked = [] if any((ROOT / argument).exists() for argument in arguments) else ["benchmarks/"]
    with alone():
        for number, path in enumerate(paths, start=1):
            started_s = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *asked, *arguments, "--result", str(path)],
                cwd=ROOT,
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
            say(f"run {number} of {runs}: {time.monotonic() - started_s:.0f} s")
    return paths


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
    path = Path(tempfile.gettempdir()) / f"whisperbench-{getpass.getuser()}.lock"
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            "a baseline is being recorded on this machine: wait until it is done"
        ) from None
    try:
        yield
    finally:
        lock.release()
