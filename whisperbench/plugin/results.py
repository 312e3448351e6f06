"""The run's JSON file, its manifest of what became of each benchmark, and the summary."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from whisperbench.asked.checkout import RESULTS
from whisperbench.devices import usable
from whisperbench.errors import (
    DeviceError,
    IncomparableError,
    InputError,
    InvalidMeasurementError,
    OutOfMemoryError,
    OverLimitError,
    RegressedError,
    WhisperbenchError,
    one_line,
    printable,
)
from whisperbench.output import legible
from whisperbench.plugin.session import (
    HEARD,
    PLAN,
    PREPARED,
    Prepared,
    is_benchmark,
    path_from,
    usage_errors,
    value_of,
)
from whisperbench.report.summary import summarise
from whisperbench.results.environment import operating_system, versions
from whisperbench.results.records import (
    DESELECTED,
    Cell,
    Machine,
    ManifestEntry,
    Measurement,
    Outcome,
    Run,
    RunInfo,
)
from whisperbench.results.run_file import (
    SCHEMA,
    clips_beside,
    decode_run,
    require_own_name,
    require_sense,
    require_writable,
    why_not,
    write_whole,
)

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


@dataclass
class _Fate:
    """What became of a benchmark so far."""

    cell: str
    outcome: Outcome = "skipped"
    reason: str = "did not run: the session ended before it"


@dataclass
class _Account:
    """What this session was asked for, and what it made."""

    fates: dict[str, _Fate] = field(default_factory=dict)
    path: Path | None = None
    """Where the run is to be written; None until all is ready for the first benchmark."""
    run: Run | None = None
    outcome: list[str] = field(default_factory=list)
    """Where the run was written, and what of it could not be."""

    def unmeasured(self) -> bool:
        """Whether something was neither measured nor deselected."""
        return any(
            fate.outcome != "measured" and fate.reason != DESELECTED for fate in self.fates.values()
        )


_ACCOUNT = pytest.StashKey[_Account]()


def _account(config: pytest.Config) -> _Account | None:
    """Return the session's account, or None where no benchmarks are asked for."""
    if config.stash.get(PLAN, None) is None:
        return None
    return config.stash.setdefault(_ACCOUNT, _Account())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take down what is asked for, before -k and -m take some of it away."""
    if (account := _account(config)) is not None:
        account.fates = {
            item.nodeid: _Fate(cell=item.name.partition("[")[2].removesuffix("]"))
            for item in items
            if is_benchmark(item)
        }


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Take down what -k and -m took away."""
    for item in items:
        account = _account(item.config)
        if account is not None and item.nodeid in account.fates:
            account.fates[item.nodeid].reason = DESELECTED


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let go of what a benchmark has timed that is now run again, as by pytest-rerunfailures."""
    plugin = item.config.pluginmanager.get_plugin("pytest-benchmark")
    if _account(item.config) is not None and plugin is not None:
        plugin.benchmarks[:] = [row for row in plugin.benchmarks if row.fullname != item.nodeid]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show our errors as their one line, and take down what became of a benchmark."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    failure = call.excinfo.value if call.excinfo is not None else None
    if isinstance(failure, WhisperbenchError):
        report.longrepr = str(failure)
    account = _account(item.config)
    if account is not None and item.nodeid in account.fates:
        fate = account.fates[item.nodeid]
        if report.failed:
            fate.outcome, fate.reason = _failed_as(failure), _reason(failure)
        elif report.skipped:
            fate.outcome, fate.reason = "skipped", _reason(failure)
        elif report.when == "call":
            fate.outcome, fate.reason = "measured", ""
    return report  # type: ignore[return-value]


def _failed_as(failure: BaseException | None) -> Outcome:
    """Tell a limit and a measurement that cannot be believed from other failures."""
    if isinstance(failure, OverLimitError | OutOfMemoryError):
        return "over-limit"
    if isinstance(failure, RegressedError | IncomparableError):
        return "regressed"
    return "invalid" if isinstance(failure, InvalidMeasurementError | DeviceError) else "failed"


def _reason(failure: BaseException | None) -> str:
    """Write a failure for the result file, which holds nobody's home folder.

    The suite's own sentences stay whole: what to do stands at their end.
    """
    if isinstance(failure, WhisperbenchError):
        return without_home(printable(" ".join(str(failure).split())))
    return without_home(one_line(_text_of(failure)) or type(failure).__name__)


def without_home(text: str) -> str:
    """Write ~ for the home folder, in every path that leads through it."""
    try:
        home = Path.home()
    except RuntimeError:  # nobody knows the user, as in a container
        return text
    if not home.is_absolute() or home == Path(home.anchor):
        return text
    return re.sub(rf"(?<![\w.~-]){re.escape(str(home))}(?![\w-]|\.\w)", "~", text)


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_compare_machine_info(
    machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
) -> None:
    """Leave our part out of --benchmark-compare, which looks before the device is known.

    Otherwise pytest-benchmark warns of a difference on the very same machine.
    """
    for info in (machine_info, compared_benchmark["machine_info"]):
        info.pop("whisperbench", None)


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Add the facts of the device and the stack; take out the host's name."""
    machine_info["node"] = ""
    prepared = config.stash.get(PREPARED, None)
    if prepared is None:
        return
    machine = msgspec.to_builtins(_machine(prepared, machine_info))
    machine_info["whisperbench"] = {
        name: printable(fact) if isinstance(fact, str) else fact for name, fact in machine.items()
    }


def machine_info_of(config: pytest.Config) -> dict[str, Any]:
    """Ask pytest-benchmark and its plugins for the machine's description, ours among it."""
    hook = config.hook
    machine_info: dict[str, Any] = hook.pytest_benchmark_generate_machine_info(config=config)
    hook.pytest_benchmark_update_machine_info(config=config, machine_info=machine_info)
    return machine_info


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add the manifest, and take out the figures of benchmarks that are not to be believed.

    pytest-benchmark saves a benchmark that failed after it was timed. What was over a limit
    or has regressed stays: it was measured, and its figures say by how much.
    """
    account = _account(config)
    prepared = config.stash.get(PREPARED, None)
    if account is None or prepared is None:
        return
    kept = []
    cells = set()
    for row in output_json["benchmarks"]:
        fate = account.fates.get(row["fullname"])
        if fate is None or fate.outcome not in ("measured", "over-limit", "regressed"):
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
    output_json["benchmarks"] = kept
    timed = {row["fullname"] for row in kept}
    for name, fate in account.fates.items():
        if fate.outcome == "measured" and name not in timed:
            fate.outcome, fate.reason = "failed", "timed nothing"
    info = RunInfo(
        schema=SCHEMA,
        reference=prepared.plan.profile.reference,
        remarks=tuple(map(printable, prepared.remarks)),
        manifest=tuple(
            ManifestEntry(
                benchmark=printable(name),
                cell=printable(fate.cell),
                outcome=fate.outcome,
                reason=fate.reason,
            )
            for name, fate in account.fates.items()
        ),
    )
    output_json["whisperbench"] = msgspec.to_builtins(info)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Write the run's file, whatever other plugins make of the end."""
    try:
        return (yield)
    finally:
        _finish(session)


def _finish(session: pytest.Session) -> None:
    """Write the run's file, complete with what failed and what did not run.

    What cannot be written as it is never takes the rest with it: it is left out, or stands there as
    text, and the run fails.
    """
    config = session.config
    account = _account(config)
    if account is None or account.path is None:
        return  # it was refused, and nothing was measured
    path = account.path
    shown = printable(os.path.relpath(path))
    faults = []
    try:
        content = _content(config)
    except Exception as error:  # noqa: BLE001 - of whichever plugin
        faults.append(
            f"{shown}: what other plugins add is left out, for one of them failed: "
            f"{type(error).__name__}: {one_line(error)}"
        )
        content = _content(config, without=_strangers(config))
    encoded = msgspec.json.encode(_encodable(content), enc_hook=str)
    data = msgspec.json.format(encoded, indent=1) + b"\n"
    try:
        account.run = decode_run(data, shown)
    except WhisperbenchError as error:
        faults.append(str(error))
    try:
        write_whole(path, data)
        account.outcome.append(f"result: {shown}")
        heard = clips_beside(path)
        heard.unlink(missing_ok=True)
        if lines := [line for lines in config.stash.get(HEARD, {}).values() for line in lines]:
            write_whole(heard, b"\n".join([*lines, b""]))
            account.outcome.append(f"clip by clip: {printable(os.path.relpath(heard))}")
    except (WhisperbenchError, OSError) as error:
        faults.append(str(error))
    account.outcome += [f"ERROR: {printable(fault)}" for fault in faults]
    # Whatever pytest thinks of it: what was asked for and not measured is not a pass.
    if session.exitstatus == pytest.ExitCode.OK and (faults or account.unmeasured()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _content(config: pytest.Config, without: Sequence[object] = ()) -> dict[str, Any]:
    """Build the file by the hooks that pytest-benchmark calls for its own, so that all are alike.

    Args:
        config: pytest's.
        without: plugins that are not asked.
    """

    def hook(name: str) -> Callable[..., Any]:
        return config.pluginmanager.subset_hook_caller(f"pytest_benchmark_{name}", without)

    plugin: Any = config.pluginmanager.get_plugin("pytest-benchmark")
    # One that was interrupted before its first round is there without a sample, and breaks it.
    benchmarks = [row for row in plugin.benchmarks if row.stats.data]
    machine_info = hook("generate_machine_info")(config=config)
    hook("update_machine_info")(config=config, machine_info=machine_info)
    commit_info = hook("generate_commit_info")(config=config)
    hook("update_commit_info")(config=config, commit_info=commit_info)
    content: dict[str, Any] = hook("generate_json")(
        config=config,
        benchmarks=benchmarks,
        include_data=True,
        machine_info=machine_info,
        commit_info=commit_info,
    )
    hook("update_json")(config=config, benchmarks=benchmarks, output_json=content)
    return content


def _strangers(config: pytest.Config) -> list[object]:
    """Return the plugins that are neither ours nor pytest-benchmark's."""
    ours = (__name__.partition(".")[0], "fixtures", "pytest_benchmark")
    return [
        plugin
        for plugin in config.pluginmanager.get_plugins()
        if str(getattr(plugin, "__name__", "")).partition(".")[0] not in ours
    ]


_DEEPEST = 50
"""Levels of a file, of which ours have ten."""


def _encodable(thing: object, within: tuple[int, ...] = ()) -> object:
    """Return something as JSON can hold it, whatever other plugins have put into it.

    Args:
        thing: anything.
        within: ids of what it is part of. What holds itself ends there.
    """
    if thing is None or isinstance(thing, bool | int | float):
        return thing
    inside = (*within, id(thing))
    if id(thing) in within or len(inside) > _DEEPEST:
        thing = "..."
    if isinstance(thing, dict):
        return {
            str(_encodable(key, inside)): _encodable(value, inside) for key, value in thing.items()
        }
    if isinstance(thing, list | tuple | set | frozenset):
        return [_encodable(value, inside) for value in thing]
    # Not all that Python takes for text is UTF-8.
    return _text_of(thing).encode("utf-8", "backslashreplace").decode()


def _text_of(thing: object) -> str:
    """Return a text as it is, and of another thing what it says of itself, if it can."""
    try:
        return thing if isinstance(thing, str) else str(thing)
    except Exception:  # noqa: BLE001 - of whoever wrote it
        return type(thing).__name__


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print the summary after pytest-benchmark's table."""
    account = _account(config)
    if account is None or not account.outcome:
        return
    terminalreporter.section("whisperbench")
    # Where an encoding lacks a sign, pytest escapes all of a text, ends of lines among it.
    if account.run is not None:
        terminalreporter.write_line(legible(summarise(account.run)))
    for line in account.outcome:
        terminalreporter.write_line(legible(line))


def pytest_runtestloop(session: pytest.Session) -> None:
    """Find out that the result cannot be written before measuring, not after."""
    config = session.config
    account = _account(config)
    prepared = config.stash.get(PREPARED, None)
    if account is None or prepared is None:
        return
    with usage_errors():
        result = _result_path(config, prepared.device_key)
        clips = clips_beside(result)
        require_own_name(result)
        require_writable(result)
        require_writable(clips)
        if clips.exists() and not _is_of_ours(clips):
            raise InputError(
                f"{clips}: is where what was heard would be written, and is of something else: "
                "move it away, or name another --result"
            )
        if written := config.getoption("--benchmark-json", None):
            require_writable(path_from(config, str(written)))
        _require_recordable(prepared)
    account.path = result


class _ClipLine(msgspec.Struct):
    """What our lines of a clip-by-clip file have, and those of other tools have not."""

    pred_text: str
    model: str
    precision: str
    attention: str


def _is_of_ours(clips: Path) -> bool:
    """Whether a file says clip by clip what an earlier run has heard, and so may be replaced."""
    try:
        with clips.open("rb") as lines:
            msgspec.json.decode(next(lines, b""), type=_ClipLine)
    except (OSError, ValueError, RecursionError):
        return False
    return True


def _require_recordable(prepared: Prepared) -> None:
    """Refuse a cell that no result file can hold, before it is measured."""
    from whisperbench.plugin.timing import Recorder

    cell_of = Recorder(None, prepared, "", lambda _: None).cell
    for key in prepared.plan.checkpoints.values():
        for audio in (*prepared.audio.values(), prepared.data):
            if audio is None or key.model.name not in prepared.checkpoints:
                continue
            cell = msgspec.to_builtins(cell_of(key, audio, batch_size=1, tokens=None))
            try:
                msgspec.convert(cell, Cell)
            except ValueError as error:
                raise InputError(
                    f"{key.id} and {audio.name}: no result can hold this: {why_not(error)}"
                ) from error


def _result_path(config: pytest.Config, key: str) -> Path:
    chosen = value_of(config, "result")
    if chosen is not None:
        return path_from(config, chosen)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return RESULTS / f"{stamp}-{key}.json"


def _machine(prepared: Prepared, machine_info: dict[str, Any]) -> Machine:
    facts = prepared.facts
    capability = facts.compute_capability
    return Machine(
        device_key=prepared.device_key,
        device=facts.name,
        device_kind=facts.kind,
        memory_mib=facts.memory_mib,
        cpu=str((machine_info.get("cpu") or {}).get("brand_raw") or "unknown CPU"),
        cpu_cores=usable.cores(),
        os=operating_system(),
        python=platform.python_version(),
        versions=versions(),
        threads=prepared.accelerator.threads(),
        gpu_uuid=facts.uuid,
        compute_capability=".".join(map(str, capability)) if capability else None,
        driver=facts.driver,
        cuda=facts.cuda,
        power_limit_w=facts.power_limit_w,
        compute_mode=facts.compute_mode,
        mig=facts.mig,
    )
