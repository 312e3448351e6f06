"""`--baseline`: each measurement held against a baseline, in the run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from whisperbench.errors import ExitCode, IncomparableError, RegressedError, printable
from whisperbench.judge.compare import Gate
from whisperbench.judge.comparison import PASSES, Comparison
from whisperbench.output import legible
from whisperbench.plugin.results import machine_info_of
from whisperbench.plugin.session import (
    PLAN,
    PREPARED,
    TOLERANCES,
    path_from,
    usage_errors,
    value_of,
)
from whisperbench.record import baselines as baseline
from whisperbench.record.runs import measuring, recorded
from whisperbench.report.verdicts import as_lines, as_text
from whisperbench.results.records import Judged, Machine, Measurement
from whisperbench.results.run_file import read_run

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from whisperbench.results.records import Run

DEFAULT = "the device's own"
"""What `--baseline` without a path stands for."""


@dataclass
class _Session:
    """A baseline, and what was found so far."""

    path: Path
    base: Run
    gate: Gate
    judged: list[Judged] = field(default_factory=list)
    failed: int = 0
    """Tests that failed for what was judged."""

    @property
    def found(self) -> Comparison:
        """All that was found."""
        return Comparison(
            judged=self.judged,
            unmeasured=[f"base, {line}" for line in self.base.unmeasured()],
            circumstances=self.gate.circumstances(),
        )


_SESSION = pytest.StashKey[_Session]()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a baseline that nothing would be held against, or that is not there."""
    config = session.config
    asked = value_of(config, "baseline")
    planned = PLAN in config.stash
    with usage_errors():
        if recorded() and not planned:
            raise pytest.UsageError(
                "whisperbench record: names no benchmarks; give options their values with =, as in "
                "--deselect=..."
            )
        if planned and not config.option.collectonly:
            held = ExitStack()
            config.add_cleanup(held.close)
            held.enter_context(measuring())
        if asked is not None and config.option.collectonly:
            raise pytest.UsageError("--baseline with --collect-only judges nothing: drop one")
        if asked is not None and config.getoption("reruns", None):
            raise pytest.UsageError(
                "--baseline with --reruns passes what regresses now and then: drop one"
            )
        for option, written in (
            ("--result", value_of(config, "result")),
            ("--benchmark-json", config.getoption("--benchmark-json", None)),
        ):
            if written:
                _require_no_baseline(option, path_from(config, str(written)).resolve(), config)
        if asked is not None and not planned:
            raise pytest.UsageError("--baseline judges benchmarks: pytest benchmarks/ --baseline")
        if asked not in (None, DEFAULT):
            read_run(path_from(config, asked))


def _require_no_baseline(option: str, result: Path, config: pytest.Config) -> None:
    """Refuse to write a run where a baseline is: that is for `record` and `promote` to do."""
    asked = value_of(config, "baseline")
    judged_by = path_from(config, asked).resolve() if asked else None
    if result == judged_by or result.is_relative_to(baseline.FOLDER.resolve()):
        raise pytest.UsageError(
            f"{option} {result}: is a baseline's place: whisperbench baseline promote"
        )


def pytest_runtestloop(session: pytest.Session) -> None:
    """Read the baseline before the first benchmark."""
    config = session.config
    prepared = config.stash.get(PREPARED, None)
    asked = value_of(config, "baseline")
    if asked is None or prepared is None:
        return
    with usage_errors():
        own = asked == DEFAULT
        path = baseline.path_of(prepared.device_key) if own else path_from(config, asked)
        if own and not path.exists():
            raise pytest.UsageError(
                f"--baseline: there is none of this device, {path}: whisperbench record"
            )
        base = read_run(path)
        machine = msgspec.convert(machine_info_of(config)["whisperbench"], Machine)
        gate = Gate(base, machine, config.stash[TOLERANCES])
    config.stash[_SESSION] = _Session(path, base, gate)


@pytest.fixture(scope="session")
def require_kept(pytestconfig: pytest.Config) -> Callable[[Measurement], None]:
    """Hold a measurement against the baseline, where there is one.

    It raises RegressedError with all that does not pass. What is inconclusive fails the run at
    its end, and no test. What is over a ceiling is the memory benchmark's to say.
    """
    session = pytestconfig.stash.get(_SESSION, None)

    def judge(measurement: Measurement) -> None:
        if session is None:
            return
        found = session.gate.judge(measurement)
        session.judged += found
        told = (*PASSES, "inconclusive", "over-limit")
        verdicts = {each.verdict.verdict for each in found}
        if verdicts.issubset(told):
            return
        session.failed += 1
        failing = [each for each in found if each.verdict.verdict not in PASSES]
        lines = [*as_lines(failing), *session.gate.circumstances()]
        text = "\n".join([f"against {session.path.name}:", *lines])
        raise RegressedError(text) if "regressed" in verdicts else IncomparableError(text)

    return judge


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Whatever pytest thinks of it: only what passes is a pass."""
    ours = session.config.stash.get(_SESSION, None)
    if ours is None:
        if value_of(session.config, "baseline") and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = int(ExitCode.INVALID)
        return
    ours.judged += ours.gate.missing()
    code = ours.found.exit_code
    # What else has failed is pytest's to say; what only we have failed has our exit code.
    if session.testsfailed == ours.failed and session.exitstatus in (
        pytest.ExitCode.OK,
        pytest.ExitCode.TESTS_FAILED,
    ):
        session.exitstatus = int(code) or session.exitstatus


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """List every verdict that is no pass, and how many there are of each."""
    ours = config.stash.get(_SESSION, None)
    if ours is not None:
        terminalreporter.section(printable(f"baseline {ours.path}"))
        terminalreporter.write_line(legible(as_text(ours.found)))
    elif value_of(config, "baseline"):
        terminalreporter.section("baseline")
        terminalreporter.write_line("no benchmark ran, so nothing was held against the baseline")
