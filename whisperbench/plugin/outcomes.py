"""What becomes of each benchmark that was asked for: taken down for the manifest of the run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import psutil
import pytest

from whisperbench.errors import (
    DeviceError,
    IncomparableError,
    InvalidMeasurementError,
    NotOfferedError,
    OutOfMemoryError,
    OverLimitError,
    RegressedError,
    WhisperbenchError,
    printable,
)
from whisperbench.plugin.on_request import left_out
from whisperbench.plugin.session import Fate, Session, is_benchmark, session_of
from whisperbench.plugin.written import reason_of
from whisperbench.results.records import (
    DESELECTED,
    WITH_FIGURES,
    ManifestEntry,
    Measurement,
    Outcome,
    RunInfo,
)
from whisperbench.results.schema import SCHEMA, require_sense, why_not


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take down what is asked for, before -k and -m take some of it away."""
    if (session := session_of(config)) is not None:
        session.fates = {
            item.nodeid: Fate(cell=item.name.partition("[")[2].removesuffix("]"))
            for item in items
            if is_benchmark(item)
        }


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Take down what -k and -m took away."""
    for item in items:
        session = session_of(item.config)
        if session is not None and item.nodeid in session.fates:
            session.fates[item.nodeid].reason = DESELECTED


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let go of what a benchmark has timed that is now run again, as by pytest-rerunfailures."""
    plugin = item.config.pluginmanager.get_plugin("pytest-benchmark")
    if session_of(item.config) is not None and plugin is not None:
        plugin.benchmarks[:] = [row for row in plugin.benchmarks if row.fullname != item.nodeid]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Turn out of memory inside a benchmark into one line with the remedy."""
    session = session_of(pyfuncitem.config)
    if session is None or not is_benchmark(pyfuncitem):
        return (yield)
    from whisperbench.devices.choosing import open_accelerator
    from whisperbench.whisper.residency import memory_errors

    with memory_errors(pyfuncitem.name, open_accelerator(session.plan.device)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show our errors as their one line, and take down what became of a benchmark."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    failure = call.excinfo.value if call.excinfo is not None else None
    if isinstance(failure, WhisperbenchError):
        report.longrepr = str(failure)
    session = session_of(item.config)
    if session is not None and item.nodeid in session.fates:
        fate = session.fates[item.nodeid]
        if call.when == "setup":  # also of one that is run again
            fate.setup_s, fate.took_s = call.duration, 0.0
        elif fate.took_s is not None:
            fate.took_s += call.duration
        if isinstance(failure, NotOfferedError):
            fate.outcome, fate.reason, fate.not_offered = "skipped", reason_of(failure), True
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, fate.reason)
        elif report.failed:
            fate.outcome, fate.reason = failed_as(failure), reason_of(failure)
            fate.not_offered = False
        elif report.skipped:
            fate.outcome, fate.reason = "skipped", reason_of(failure)
        elif report.when == "call":
            fate.outcome, fate.reason, fate.not_offered = "measured", "", False
    return report  # type: ignore[return-value]


def failed_as(failure: BaseException | None) -> Outcome:
    """Tell apart how a benchmark failed: what was measured, and what can be believed of it."""
    if isinstance(failure, OverLimitError | OutOfMemoryError):
        return "over-limit"
    if isinstance(failure, RegressedError):
        return "regressed"
    if isinstance(failure, IncomparableError):
        return "not-comparable"
    return "invalid" if isinstance(failure, InvalidMeasurementError | DeviceError) else "failed"


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add the manifest, and take out the figures of benchmarks that are not to be believed.

    pytest-benchmark saves a benchmark that failed after it was timed. What was over a limit, has
    regressed or cannot be compared stays: it was measured, and its figures say by how much.
    """
    session = session_of(config)
    if session is None or session.prepared is None:
        return
    kept = _believed(session, output_json["benchmarks"])
    output_json["benchmarks"] = kept
    timed = {row["fullname"] for row in kept}
    for name, fate in session.fates.items():
        if fate.outcome == "measured" and name not in timed:
            fate.outcome, fate.reason = "failed", "timed nothing"
    info = RunInfo(
        schema=SCHEMA,
        reference=session.plan.profile.reference,
        remarks=tuple(map(printable, [*session.prepared.remarks, *left_out(session)])),
        shard=session.shard,
        process_s=_seconds(time.time() - psutil.Process().create_time()),
        manifest=tuple(
            ManifestEntry(
                benchmark=printable(name),
                cell=printable(fate.cell),
                outcome=fate.outcome,
                reason=fate.reason,
                shard=fate.shard,
                not_offered=fate.not_offered,
                setup_s=_seconds(fate.setup_s),
                took_s=_seconds(fate.took_s),
            )
            for name, fate in session.fates.items()
        ),
    )
    output_json["whisperbench"] = msgspec.to_builtins(info)


def _seconds(seconds: float | None) -> float | None:
    """Round to a millisecond. A clock that was put back makes nothing negative."""
    return None if seconds is None else round(max(0.0, seconds), 3)


def _believed(session: Session, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows whose figures the file keeps; what recorded no result has failed."""
    kept = []
    cells = set()
    for row in rows:
        fate = session.fates.get(row["fullname"])
        if fate is None or fate.outcome not in WITH_FIGURES:
            continue
        if "whisperbench" not in row["extra_info"]:
            if fate.outcome == "measured":
                fate.outcome, fate.reason = "failed", "recorded no measurement"
            continue
        try:
            found = msgspec.convert(row["extra_info"]["whisperbench"], Measurement)
            require_sense([found], processes=1)
            if (found.benchmark, found.cell) in cells:
                raise ValueError("another benchmark has measured the same")
        except ValueError as error:
            fate.outcome, fate.reason = "failed", f"recorded what is no result: {why_not(error)}"
            continue
        cells.add((found.benchmark, found.cell))
        kept.append(row)
    return kept
