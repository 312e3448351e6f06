"""A child process that measures: its output, the lock that it inherits, and its end by signals."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

LAST_WORDS_S = 10.0
"""How long a run may take to end once it was interrupted."""

ENDING = tuple(getattr(signal, each) for each in ("SIGTERM", "SIGHUP") if hasattr(signal, each))
"""What ends a recorder as Ctrl-C does: a cancelled job, a closed terminal."""


def run_child(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    lock: int | None,
    folder: Path | None = None,
) -> tuple[int, str]:
    """Run a command to its end, and return its exit status and what it wrote.

    It inherits the lock, and so holds it for as long as it lives, whatever becomes of this process.

    Args:
        command: the program and its arguments.
        environment: its environment variables.
        lock: file descriptor of the lock, as `runs.alone` yields it.
        folder: its working folder; the current one where there is none.

    Raises:
        KeyboardInterrupt: Ctrl-C, or a signal that ends a job; the child has ended by then.
        OSError: it cannot be started.
    """
    with (
        interrupted_by(),
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            pass_fds=() if lock is None else (lock,),
        ) as process,
    ):
        try:
            output, _ = process.communicate()
        except KeyboardInterrupt:
            _end(process)
            raise
    return process.returncode, output


@contextmanager
def interrupted_by(signals: Sequence[int] = ENDING) -> Iterator[None]:
    """Let signals interrupt as Ctrl-C does."""
    # nohup's are let be.
    before = {
        each: signal.signal(each, signal.default_int_handler)
        for each in signals
        if signal.getsignal(each) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


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
