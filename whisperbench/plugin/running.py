"""The course of a run in pytest: planned, made ready, finished and told, each in one place."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from whisperbench.errors import ExitCode, printable
from whisperbench.output import legible
from whisperbench.plugin.collecting import put_in_order, require_cells_once
from whisperbench.plugin.gate import read_baseline, refuse_idle_baseline
from whisperbench.plugin.options import value_of
from whisperbench.plugin.parts import wait_for_pair
from whisperbench.plugin.preparing import prepare
from whisperbench.plugin.progress import keep_times
from whisperbench.plugin.reach import result_beside
from whisperbench.plugin.result_file import writable_result, write_result
from whisperbench.plugin.session import begin, is_benchmark, session_of
from whisperbench.plugin.terminal import hush_tables, look_of
from whisperbench.report.summary import summarise
from whisperbench.report.verdicts import as_text

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


NOTHING_OFFERED = (
    "ERROR: nothing was measured: the transcribers of this run offer nothing that its benchmarks "
    "need; name other benchmarks, or other precisions"
)
ONE_PROCESS = "exclusive process"
"""The compute mode in which a GPU lets one process alone have a context."""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Plan the run, then refuse a baseline that nothing would be held against."""
    refuse_idle_baseline(session.config, begin(session.config))


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what the run will measure."""
    ours = session_of(config)
    if ours is None:
        return None
    plan = ours.plan
    timed = ", ".join(key_id for key_id in plan.checkpoints if key_id in plan.timed)
    line = f"whisperbench: on {plan.device}: {timed}; clips {', '.join(plan.clips)}"
    if plan.listening == plan.timed:
        return line
    heard = plan.listening if config.getoption("--all") else plan.listening - plan.on_request
    listening = ", ".join(key_id for key_id in plan.checkpoints if key_id in heard)
    return f"{line}; for words {listening}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Make everything ready before the first benchmark, so that a fault costs no measuring time.

    First what benchmarks need; then the baseline, which is the device's; and the result's place
    last: a run that is refused writes no file.
    """
    config, ours = session.config, session_of(session.config)
    wanted = any(is_benchmark(item) for item in session.items)
    if ours is None or not wanted or config.option.collectonly or session.testsfailed:
        return
    require_cells_once(session.items)
    ours.channel = wait_for_pair(session)
    ours.prepared = prepare(config, ours, session.items)
    if ours.prepared.facts.compute_mode == ONE_PROCESS:
        put_in_order(ours.plan, session.items, one_process=True)
    ours.judging = read_baseline(config, ours, ours.prepared.device_key)
    result = writable_result(config, ours.prepared)
    ours.result = result_beside() or result


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Judge what is missing and write the run's file, whatever other plugins make of the end."""
    try:
        return (yield)
    finally:
        _finish(session)


def _finish(session: pytest.Session) -> None:
    """Let only what passes be a pass, whatever pytest thinks of it."""
    ours = session_of(session.config)
    if ours is not None and ours.judging is not None:
        ours.judging.judged += ours.judging.gate.missing()
        code = ours.judging.found.exit_code
        # What else has failed is pytest's to say; what only we have failed has our exit code.
        if session.testsfailed == ours.judging.failed and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.TESTS_FAILED,
        ):
            session.exitstatus = int(code) or session.exitstatus
    elif value_of(session.config, "baseline") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = int(ExitCode.INVALID)
    if ours is None or ours.result is None:
        return  # it was refused, and nothing was measured
    hush_tables(session.config, ours.fates)
    whole = write_result(session.config, ours, ours.result)
    keep_times(ours)
    if ours.saw_nothing():
        ours.outcome.append(NOTHING_OFFERED)
    # What was asked for and not measured is not a pass, nor is a run that saw nothing.
    unseen = not whole or ours.unmeasured() or ours.saw_nothing()
    if session.exitstatus == pytest.ExitCode.OK and unseen:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print the run's summary, then what the baseline makes of it.

    Of the verdicts every one is listed that is no pass, and how many there are of each.
    """
    ours = session_of(config)
    if ours is not None and ours.outcome:
        terminalreporter.section("whisperbench")
        # Where an encoding lacks a sign, pytest escapes all of a text, ends of lines among it.
        if ours.run is not None:
            terminalreporter.write_line(legible(summarise(ours.run, look_of(terminalreporter))))
        for line in ours.outcome:
            terminalreporter.write_line(legible(line))
    if ours is not None and ours.judging is not None:
        terminalreporter.section(printable(f"baseline {ours.judging.path}"))
        terminalreporter.write_line(legible(as_text(ours.judging.found)))
    elif value_of(config, "baseline"):
        terminalreporter.section("baseline")
        terminalreporter.write_line("no benchmark ran, so nothing was held against the baseline")
