"""`--baseline`: each measurement held against a baseline, in the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from whisperbench.devices.cpu import instruction_set
from whisperbench.errors import IncomparableError, RegressedError
from whisperbench.judge.compare import Gate
from whisperbench.judge.comparison import PASSES, Comparison
from whisperbench.judge.in_turns import remedy
from whisperbench.plugin.machine import machine_of
from whisperbench.plugin.options import OWN, path_from, usage_errors, value_of
from whisperbench.plugin.session import session_of
from whisperbench.record import baselines as baseline
from whisperbench.record.runs import measuring, recorded
from whisperbench.report.verdicts import as_lines
from whisperbench.results.environment import instruction_set_key
from whisperbench.results.run_file import read_run

if TYPE_CHECKING:
    from whisperbench.plugin.session import Session
    from whisperbench.results.records import Judged, Measurement, Run


@dataclass
class Judging:
    """A baseline, and what was found so far."""

    path: Path
    base: Run
    gate: Gate
    require: Sequence[str]
    """Kinds whose figures must be decided, by suite.toml's [gate]."""
    remark: str = ""
    """What is to be known of the choice of the baseline, as a line."""
    measured: list[Measurement] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    failed: int = 0
    """Tests that failed for what was judged."""

    @property
    def found(self) -> Comparison:
        """All that was found."""
        return Comparison(
            judged=self.judged,
            unmeasured=[f"base, {line}" for line in self.base.unmeasured()],
            circumstances=self.circumstances(),
            require=self.require,
            remedy=remedy(self.measured, self.base.measurements),
        )

    def circumstances(self) -> list[str]:
        """Say what else has changed, and why this baseline was taken."""
        return [*filter(None, [self.remark]), *self.gate.circumstances()]


def refuse_idle_baseline(config: pytest.Config, session: Session | None) -> None:
    """Refuse a baseline that nothing would be held against, or that is not there.

    Raises:
        pytest.UsageError: it is one of these, or the run would be written in its place.
    """
    asked = value_of(config, "baseline")
    with usage_errors():
        if recorded() and session is None:
            raise pytest.UsageError(
                "whisperbench record: names no benchmarks; give options their values with =, as in "
                "--deselect=..."
            )
        if session is not None and not config.option.collectonly:
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
        if asked is not None and session is None:
            raise pytest.UsageError("--baseline judges benchmarks: pytest benchmarks/ --baseline")
        if asked not in (None, OWN):
            read_run(path_from(config, asked))


def _require_no_baseline(option: str, result: Path, config: pytest.Config) -> None:
    """Refuse to write a run where a baseline is: that is for `record` and `promote` to do."""
    asked = value_of(config, "baseline")
    judged_by = path_from(config, asked).resolve() if asked else None
    if result == judged_by or result.is_relative_to(baseline.FOLDER.resolve()):
        raise pytest.UsageError(
            f"{option} {result}: is a baseline's place: whisperbench baseline promote"
        )


def read_baseline(config: pytest.Config, session: Session, device_key: str) -> Judging | None:
    """Read the baseline of a session that is prepared; None where none is asked for.

    Raises:
        pytest.UsageError: it is not there, or cannot be read.
    """
    asked = value_of(config, "baseline")
    if asked is None:
        return None
    with usage_errors():
        if asked == OWN:
            on_host = session.prepared is not None and session.prepared.facts.on_host
            path, remark = _own_path(device_key, on_host=on_host)
        else:
            path, remark = path_from(config, asked), ""
        base = read_run(path)
        gate = Gate(base, machine_of(config), session.suite.tolerance)
        return Judging(path, base, gate, session.suite.gate.require, remark)


def _own_path(device_key: str, *, on_host: bool) -> tuple[Path, str]:
    """Choose the baseline of a device, or else the one that CPUs of its instruction set share.

    Returns:
        Its place, and in a line why it is not the device's own, where it is not.

    Raises:
        pytest.UsageError: there is neither.
    """
    path = baseline.path_of(device_key)
    if path.exists():
        return path, ""
    missing = f"--baseline: this device has none, {path}"
    if on_host:
        level = instruction_set(with_bf16=False)
        shared = baseline.path_of(instruction_set_key(level))
        if shared.exists():
            return shared, (
                f"{device_key} has no baseline of its own: this is the one that CPUs of {level} "
                "share, which judges counts alone"
            )
        missing += f", and none that CPUs of {level} share, {shared}"
        alike = instruction_set_key(level.split()[0])
        if others := [each.parent.name for each in baseline.known() if each.match(f"{alike}-*/*")]:
            missing += (
                f" (there is {', '.join(others)}; docs/baselines.md says how a CPU takes a lower "
                "level than its own)"
            )
    raise pytest.UsageError(f"{missing}: whisperbench record")


@pytest.fixture(scope="session")
def require_kept(pytestconfig: pytest.Config) -> Callable[[Measurement], None]:
    """Hold a measurement against the baseline, where there is one.

    It raises RegressedError or IncomparableError with all that does not pass. What is inconclusive
    fails no test; it fails the run at its end, where suite.toml's [gate] requires its kind. What is
    over a limit is for the benchmark itself to say.
    """
    session = session_of(pytestconfig)
    judging = session.judging if session is not None else None

    def judge(measurement: Measurement) -> None:
        if judging is None:
            return
        found = judging.gate.judge(measurement)
        judging.measured.append(measurement)
        judging.judged += found
        told = (*PASSES, "inconclusive", "over-limit")
        verdicts = {each.verdict.verdict for each in found}
        if verdicts.issubset(told):
            return
        judging.failed += 1
        failing = Comparison(judged=found, require=judging.require).failing
        lines = [*as_lines(failing), *judging.circumstances()]
        text = "\n".join([f"judged by {judging.path.name}:", *lines])
        raise RegressedError(text) if "regressed" in verdicts else IncomparableError(text)

    return judge
