"""A run that records which Python functions it enters, where `WHISPERBENCH_REACH` asks for it.

Recording slows Python down, so such a run keeps no figure: it writes what it entered, and neither
a result nor a verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whisperbench.errors import ExitCode, WhisperbenchError, printable
from whisperbench.measure.reach import VARIABLE, record_from_here, write_entered

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

record_from_here()

_KEEPING = ("--baseline", "--benchmark-json", "--benchmark-save", "--benchmark-autosave")
"""Options that keep or judge figures."""

_SAID = pytest.StashKey[str]()


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


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was entered. A run that did not measure all that it was asked for has not passed.

    It would be said to reach less than it does.
    """
    from whisperbench.plugin.session import session_of

    try:
        entered = write_entered()
    except WhisperbenchError as error:
        session.config.stash[_SAID] = f"ERROR: {printable(error)}"
        session.exitstatus = int(ExitCode.USAGE)
        return
    if entered is None:
        return
    session.config.stash[_SAID] = (
        f"reach: {entered.count()} functions of {len(entered.functions)} files were entered; no "
        "result is written, for recording them slows a run down"
    )
    ours = session_of(session.config)
    if session.exitstatus == pytest.ExitCode.OK and ours is not None and ours.unmeasured():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Say that it was written."""
    if _SAID in config.stash:
        terminalreporter.section("whisperbench")
        terminalreporter.write_line(config.stash[_SAID])
