"""Programs that are run and waited for: git, pip, uv. None outlives an interruption."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGINT
from subprocess import CompletedProcess

LAST_WORDS_S = 10.0
"""How long a program may take to clear up once it was interrupted."""


def run(
    command: Sequence[str | Path], *, environment: Mapping[str, str], folder: Path | None = None
) -> CompletedProcess[str]:
    """Run a program to its end, without input; its output is kept apart.

    Args:
        command: the program and its arguments.
        environment: the variables that it is to see, and no others.
        folder: where it is run; here by default.

    Returns:
        Its exit status and what it wrote. What is not UTF-8 is kept as os.fsdecode keeps it.

    Raises:
        OSError: it cannot be started.
        KeyboardInterrupt: it was interrupted, and has ended.
    """
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
    ) as process:
        try:
            output, errors = process.communicate()
        except BaseException:
            _end(process)
            raise
    return CompletedProcess(process.args, process.returncode, output, errors)


def _end(process: subprocess.Popen[str]) -> None:
    """End a program as Ctrl-C does, so that it ends what it has started itself."""
    with suppress(subprocess.TimeoutExpired):
        process.send_signal(SIGINT)
        process.communicate(timeout=LAST_WORDS_S)
        return
    process.kill()
    process.communicate()


def last_line(text: str, *starts: str) -> str:
    """Return the last line that is not empty, of those that start so where there are any.

    Args:
        text: what a program wrote.
        *starts: beginnings, such as "ERROR:", which are taken off. The first of them that a line
            has counts.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for start in starts:
        found = [line for line in lines if line.startswith(start)]
        if found:
            return found[-1].removeprefix(start).strip()
    return lines[-1] if lines else "it said nothing"
