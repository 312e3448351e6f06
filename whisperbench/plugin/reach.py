"""A run that records which Python functions it enters, where `WHISPERBENCH_REACH` asks for it.

Recording slows Python down, so such a run keeps no figure: it writes what it entered, and neither
a result nor a verdict.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from whisperbench.errors import ExitCode, WhisperbenchError, printable
from whisperbench.measure.reach import VARIABLE, record_from_here, recording, write_entered
from whisperbench.results.run_file import clips_beside

record_from_here()

_KEEPING = ("--baseline", "--benchmark-json", "--benchmark-save", "--benchmark-autosave")
"""Options that keep or judge figures."""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse what would keep or judge figures of a run that is slowed down.

    Raises:
        pytest.UsageError: an option asks for that.
    """
    if not record_from_here():
        return
    for option in _KEEPING:
        if session.config.getoption(option, None):
            raise pytest.UsageError(
                f"{option} with {VARIABLE}: recording what is entered slows a run down, so no "
                "figure of it is kept or judged; drop one of the two"
            )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Build the smallest dummy anew where one is asked for: the cache keeps that from running."""
    from whisperbench.plugin.options import usage_errors
    from whisperbench.plugin.session import session_of
    from whisperbench.whisper.dummy import ensure_dummy

    ours = session_of(session.config)
    if ours is None or not recording() or session.config.option.collectonly:
        return
    if any(key.model.kind == "dummy" for key in ours.plan.checkpoints.values()):
        with tempfile.TemporaryDirectory() as folder, usage_errors():
            ensure_dummy("tiny:1", Path(folder))


def result_beside() -> Path | None:
    """Return where a run that is recorded writes its result, which it removes; None elsewhere.

    It is written, for what writes it is to be seen as well.
    """
    return Path(f"{os.environ[VARIABLE]}.result") if recording() else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Write what was entered, when everything else of the run is done, and remove its result."""
    try:
        return (yield)
    finally:
        _finish(session)


def _finish(session: pytest.Session) -> None:
    """Write what was entered, and say so."""
    result = result_beside()
    if result is None:
        return
    try:
        entered = write_entered()
    except WhisperbenchError as error:
        said = f"ERROR: {printable(error)}"
        session.exitstatus = int(ExitCode.USAGE)
    else:
        assert entered is not None  # noqa: S101 - it was recorded
        said = (
            f"reach: {entered.count()} functions of {len(entered.functions)} files were entered; "
            "no result is kept, for recording them slows a run down"
        )
    finally:
        for file in (result, clips_beside(result)):
            file.unlink(missing_ok=True)
    if (terminal := session.config.pluginmanager.get_plugin("terminalreporter")) is not None:
        terminal.write_line(said)
