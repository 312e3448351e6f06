"""Baselines: runs merged into one file, kept by device key, and replaced for a reason only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from whisperbench.asked.suite import ROOT
from whisperbench.errors import (
    InputError,
    InvalidMeasurementError,
    RegressedError,
    one_line,
)
from whisperbench.judge.compare import Gate, differ, spread_of
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import KINDS
from whisperbench.results.records import Machine, Measurement, Run
from whisperbench.results.run_file import decode_run, read_run

FOLDER = ROOT / "baselines"
DEFAULT = "default"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ONE_MACHINE = ("device_key", "gpu_uuid", "driver", "cuda", "python", "threads", "versions")


def path_of(device_key: str, name: str = DEFAULT) -> Path:
    """Return where the baseline of a device is kept.

    Raises:
        InputError: key or name is no plain file name.
    """
    for what, text in (("device key", device_key), ("name", name)):
        if not _NAME.fullmatch(text):
            raise InputError(
                f"the baseline's {what} {text!r} is no file name: use letters, digits, '.', '_' "
                "and '-'"
            )
    return FOLDER / device_key / f"{name}.json"


def known() -> list[Path]:
    """Return the baselines that there are."""
    return sorted(FOLDER.glob("*/*.json"))


@contextmanager
def replacing() -> Iterator[None]:
    """Keep others of this user from replacing a baseline between its judgement and its end.

    Raises:
        InputError: somebody is at it, or the lock cannot be made.
    """
    path = cache_folder() / "baselines.lock"
    lock = FileLock(path, timeout=10)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError("another process is replacing a baseline: try again") from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be locked: {one_line(error.strerror)}; set {CACHE_VARIABLE} to a "
            "folder that can be written"
        ) from error
    try:
        yield
    finally:
        lock.release()


def merge(paths: Sequence[Path]) -> bytes:
    """Make a baseline of runs: pytest-benchmark's JSON, with the figure of each process.

    pytest-benchmark's own statistics of a benchmark are those of the process whose median is in
    the middle.

    Raises:
        InputError: a file is not a run, or the runs are not of the same cells on one machine.
        InvalidMeasurementError: a run is incomplete or failed, or what must be equal is not.
    """
    files = [_Recorded(path) for path in paths]
    first = files[0]
    for place, file in enumerate(files[1:], start=1):
        if baselines := [each.path for each in files if each.run.info.processes > 1]:
            raise InputError(f"{baselines[0]}: is a baseline already; merge the runs that it is of")
        _require_same_machine(first.run.machine, file.run.machine, file.path)
        if any(file.is_same_run(other) for other in files[:place]):
            raise InputError(f"{file.path}: stands twice among them; name each run once")
        if file.rows.keys() != first.rows.keys():
            raise InputError(
                f"{file.path}: has other benchmarks than {first.path}; record them together"
            )
    made: dict[str, Any] = msgspec.json.decode(first.data)
    made["benchmarks"] = [_merged([file.rows[name] for file in files]) for name in first.rows]
    made["whisperbench"]["processes"] = sum(file.run.info.processes for file in files)
    made["whisperbench"]["manifest"] = [
        entry for entry in made["whisperbench"]["manifest"] if entry["outcome"] == "measured"
    ]
    data = msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"
    Gate(decode_run(data, "the new baseline"), first.run.machine)  # no cell twice
    return data


class _Stats(msgspec.Struct):
    median: float


class _Row(msgspec.Struct):
    fullname: str
    stats: _Stats


class _Rows(msgspec.Struct):
    benchmarks: list[_Row]


class _Recorded:
    """A complete run: our reading of it, and pytest-benchmark's rows by their names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = _complete_run(path)
        self.data = path.read_bytes()
        try:
            named = msgspec.json.decode(self.data, type=_Rows).benchmarks
        except msgspec.ValidationError as error:
            raise InputError(f"{path}: not of pytest-benchmark: {one_line(error)}") from error
        rows = msgspec.json.decode(self.data)["benchmarks"]
        self.rows: dict[str, dict[str, Any]] = {
            row.fullname: whole for row, whole in zip(named, rows, strict=True)
        }
        if len(self.rows) < len(rows):
            raise InputError(f"{path}: has two benchmarks of one name")

    def is_same_run(self, other: _Recorded) -> bool:
        """Whether two files are of one run, though one was written anew."""
        when = [msgspec.json.decode(file.data).get("datetime") for file in (self, other)]
        return when[0] == when[1] and self.run.measurements == other.run.measurements


def _complete_run(path: Path) -> Run:
    run = read_run(path)
    if regressed := _regressed(run):
        raise RegressedError(f"{path}: no baseline of a run that is worse: {regressed[0]}")
    if unmeasured := run.unmeasured():
        raise InvalidMeasurementError(
            f"{path}: no baseline of a run that is not complete: {unmeasured[0]}"
        )
    if not run.measurements:
        raise InvalidMeasurementError(f"{path}: no baseline of a run without measurements")
    return run


def _regressed(run: Run) -> list[str]:
    return [
        f"{entry.outcome}: {entry.benchmark}: {entry.reason}"
        for entry in run.info.manifest
        if entry.outcome == "regressed"
    ]


def _require_same_machine(first: Machine, other: Machine, path: Path) -> None:
    for name in _ONE_MACHINE:
        if getattr(first, name) != getattr(other, name):
            raise InputError(
                f"{path}: not of the same machine as the first run: {name.replace('_', ' ')} was "
                f"{getattr(first, name)} and is {getattr(other, name)}"
            )


def _merged(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge one benchmark of several runs."""
    found = [msgspec.convert(row["extra_info"]["whisperbench"], Measurement) for row in rows]
    order = sorted(range(len(rows)), key=lambda index: float(rows[index]["stats"]["median"]))
    middle = order[len(order) // 2]
    first = found[middle]
    for other in found:
        same = (other.cell, other.benchmark, other.body) == (
            first.cell,
            first.benchmark,
            first.body,
        )
        if not same or [one.name for one in other.metrics] != [one.name for one in first.metrics]:
            raise InputError(
                f"{rows[0]['fullname']}: the runs did not measure the same; record them together"
            )
    metrics = tuple(
        _merged_metric([row.metrics[place] for row in found], rows[0]["fullname"])
        for place in range(len(first.metrics))
    )
    made = rows[middle]
    made["extra_info"]["whisperbench"] = msgspec.to_builtins(
        msgspec.structs.replace(first, metrics=metrics)
    )
    return made


def _merged_metric(metrics: list[Metric], benchmark: str) -> Metric:
    figures = tuple(figure for metric in metrics for figure in metric.figures)
    if any(_bare(metric) != _bare(metrics[0]) for metric in metrics):
        raise InputError(f"{benchmark}: {metrics[0].name} is not the same figure in all runs")
    rule = KINDS[metrics[0].kind]
    for metric in metrics:
        if rule.own_spread is not None and spread_of(metric) > rule.own_spread:
            raise InvalidMeasurementError(
                f"{benchmark}: {metric.name} differs by {100 * spread_of(metric):.1f} % between "
                "executions of one run: record it again"
            )
    if rule.agree is not None and differ(figures, rule.agree):
        raise InvalidMeasurementError(
            f"{benchmark}: {metrics[0].name} is not the same in all processes: "
            f"{', '.join(f'{figure:.10g}' for figure in figures)}; it should be, so find out why"
        )
    return msgspec.structs.replace(metrics[0], value=None, samples=None, processes=figures)


def _bare(metric: Metric) -> Metric:
    """Return what a metric is, without its figures."""
    return msgspec.structs.replace(metric, value=0.0, samples=None, processes=None)
