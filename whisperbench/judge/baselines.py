"""Runs merged into a baseline: pure, what run files hold in, what the baseline's holds out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from whisperbench.errors import (
    IncomparableError,
    InputError,
    InvalidMeasurementError,
    RegressedError,
    one_line,
)
from whisperbench.judge.compare import Gate
from whisperbench.judge.rules import differ, spread_of
from whisperbench.judge.what_ran import changes
from whisperbench.results.environment import instruction_set_key
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import KINDS
from whisperbench.results.ran import Ran
from whisperbench.results.records import Machine, Measurement, Run
from whisperbench.results.sameness import ONE_MACHINE, STACK, differing
from whisperbench.results.schema import SCHEMA, decode_run


@dataclass(frozen=True)
class RecordedRun:
    """A run: our reading of its file, and what the file holds."""

    name: str
    """What to call the file in an error."""
    run: Run
    data: bytes

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """pytest-benchmark's rows, by their names.

        Raises:
            InputError: the file is not pytest-benchmark's, or has two rows of one name.
        """
        try:
            named = msgspec.json.decode(self.data, type=_Rows).benchmarks
        except msgspec.ValidationError as error:
            raise InputError(f"{self.name}: not of pytest-benchmark: {one_line(error)}") from error
        rows = msgspec.json.decode(self.data)["benchmarks"]
        for whole, measurement in zip(rows, self.run.measurements, strict=True):
            # As we have read it: an older schema's is written in today's.
            whole["extra_info"]["whisperbench"] = msgspec.to_builtins(measurement)
        found = {row.fullname: whole for row, whole in zip(named, rows, strict=True)}
        if len(found) < len(rows):
            raise InputError(f"{self.name}: has two benchmarks of one name")
        return found

    def is_same_run(self, other: RecordedRun) -> bool:
        """Whether two files are of one run, though one was written anew."""
        when = [msgspec.json.decode(file.data).get("datetime") for file in (self, other)]
        return when[0] == when[1] and self.run.measurements == other.run.measurements


class _Stats(msgspec.Struct):
    median: float


class _Row(msgspec.Struct):
    fullname: str
    stats: _Stats


class _Rows(msgspec.Struct):
    benchmarks: list[_Row]


def merge_runs(files: Sequence[RecordedRun]) -> bytes:
    """Make a baseline of runs: pytest-benchmark's JSON, with the figure of each process.

    pytest-benchmark's own statistics of a benchmark are those of the process whose median is in
    the middle.

    Returns:
        What the baseline's file is to hold.

    Raises:
        InputError: a file is not pytest-benchmark's, or the runs are not of the same cells on one
            machine.
        RegressedError: a run has regressed.
        InvalidMeasurementError: a run is incomplete or failed, or what must be equal is not.
    """
    for file in files:
        _require_complete(file)
    first = files[0]
    for place, file in enumerate(files[1:], start=1):
        if baselines := [each.name for each in files if each.run.info.processes > 1]:
            raise InputError(
                f"{baselines[0]}: is a baseline already; merge the runs that it was made of"
            )
        _require_same_machine(first.run.machine, file.run.machine, file.name)
        if any(file.is_same_run(other) for other in files[:place]):
            raise InputError(
                f"{file.name}: is a run that another of the files holds too; name each run once"
            )
        if file.rows.keys() != first.rows.keys():
            raise InputError(
                f"{file.name}: has other benchmarks than {first.name}; record them together"
            )
    made: dict[str, Any] = msgspec.json.decode(first.data)
    made["benchmarks"] = [_merged([file.rows[name] for file in files]) for name in first.rows]
    made["whisperbench"]["schema"] = SCHEMA
    made["whisperbench"]["processes"] = sum(file.run.info.processes for file in files)
    made["whisperbench"]["manifest"] = [
        entry for entry in made["whisperbench"]["manifest"] if entry["outcome"] == "measured"
    ]
    data = _in_lines(made)
    Gate(decode_run(data, "the new baseline"), first.run.machine)  # no cell twice
    return data


def shared_key(run: Run, name: str) -> str:
    """Return the key of the baselines that all CPUs of a run's instruction set share.

    Only counts can be shared. What needs the machine itself, as times, memory and words do, would
    be judged on no other one.

    Args:
        run: whose figures they are to be.
        name: what to call it in an error.

    Raises:
        InputError: it has other figures, or counts of no one instruction set.
    """
    found = set()
    for row in run.measurements:
        for metric in (each for each in row.metrics if not each.derived):
            if KINDS[metric.kind].same_device:
                raise InputError(
                    f"{name}: {metric.name} of {row.benchmark} needs the machine that it was "
                    "measured on; CPUs share counts alone: record benchmarks/test_cost.py"
                )
            if "instruction set" in metric.conditions:
                found.add(instruction_set_key(metric.conditions["instruction set"]))
    if len(found) != 1:
        raise InputError(
            f"{name}: its counts are of {', '.join(sorted(found)) or 'no instruction set'}; CPUs "
            "share counts of one: record benchmarks/test_cost.py --device cpu"
        )
    return found.pop()


def _in_lines(made: Mapping[str, Any]) -> bytes:
    """Write a baseline as JSON, a line a benchmark: parts of a cost are thousands of items."""
    rows = b",\n".join(map(msgspec.json.encode, made["benchmarks"]))
    others = [
        msgspec.json.encode(name) + b": " + msgspec.json.encode(value)
        for name, value in made.items()
        if name != "benchmarks"
    ]
    return b"{\n" + b",\n".join([*others, b'"benchmarks": [\n' + rows + b"\n]"]) + b"\n}\n"


def _require_complete(file: RecordedRun) -> None:
    for entry in file.run.info.manifest:
        said = f"{entry.outcome}: {entry.benchmark}: {entry.reason}"
        if entry.outcome == "regressed":
            raise RegressedError(f"{file.name}: a run that is worse becomes no baseline: {said}")
        if entry.outcome == "not-comparable":
            raise IncomparableError(
                f"{file.name}: a run that cannot be compared becomes no baseline: {said}"
            )
    if unmeasured := file.run.unmeasured():
        raise InvalidMeasurementError(
            f"{file.name}: a run that is not complete becomes no baseline: {unmeasured[0]}"
        )
    if not file.run.measurements:
        raise InvalidMeasurementError(
            f"{file.name}: a run without measurements becomes no baseline"
        )


def _require_same_machine(first: Machine, other: Machine, name: str) -> None:
    if found := differing(first, other, (*ONE_MACHINE, *STACK)):
        raise InputError(f"{name}: is of another machine than the first run: {found}")


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
        _require_same_ran(first.found.ran, other.found.ran, rows[0]["fullname"])
    metrics = tuple(
        _merged_metric([row.metrics[place] for row in found], rows[0]["fullname"])
        for place in range(len(first.metrics))
    )
    own = msgspec.to_builtins(msgspec.structs.replace(first, metrics=metrics))
    return rows[middle] | {"extra_info": rows[middle]["extra_info"] | {"whisperbench": own}}


def _require_same_ran(first: Ran | None, other: Ran | None, benchmark: str) -> None:
    """Refuse two processes of one benchmark of which one says what ran and it is not the other's.

    Raises:
        InvalidMeasurementError: with what ran otherwise.
    """
    if first is None or other is None:
        return
    if found := list(changes(first, other, same_device=True)):
        raise InvalidMeasurementError(
            f"{benchmark}: another thing ran in one process than in the other: {found[0].sentence}"
        )


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
