"""What a run file holds, read and checked, or refused with one line: pure, bytes in, a run out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

from whisperbench.errors import InputError, one_line
from whisperbench.results.records import Machine, Measurement, Run, RunInfo, name_of
from whisperbench.results.scalars import LINE, Count
from whisperbench.results.schema1 import SCHEMA_1, Measurement1

SCHEMA = 2
"""Version of the format. History, all of whisperbench 0.1.0: 1, the first; 2, a type for what each
pass has found, in place of notes."""

Row = TypeVar("Row")


class _Extra(msgspec.Struct, Generic[Row]):
    whisperbench: Row


class _Benchmark(msgspec.Struct, Generic[Row]):
    extra_info: _Extra[Row]


class _MachineInfo(msgspec.Struct):
    whisperbench: Machine


class _SchemaOnly(msgspec.Struct):
    schema: Count


class _Version(msgspec.Struct):
    whisperbench: _SchemaOnly


class _RunFile(msgspec.Struct, Generic[Row]):
    machine_info: _MachineInfo
    whisperbench: RunInfo
    benchmarks: list[_Benchmark[Row]]


def decode_run(data: bytes, name: str) -> Run:
    """Read what a run file holds.

    Args:
        data: all of it.
        name: what to call it in an error.

    Raises:
        InputError: as `read_run`.
    """
    try:
        return _decode(data, name)
    # Invalid UTF-8 is a ValueError, as are msgspec's own errors.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not a whisperbench run: {why_not(error)}") from error


class _NamedRow(msgspec.Struct):
    fullname: str


class _NamedRows(msgspec.Struct):
    benchmarks: list[_NamedRow]


def ids_in(data: bytes, name: str) -> list[str]:
    """Return the ids of the tests whose measurements a run's file holds, in their order.

    Args:
        data: all of it.
        name: what to call it in an error.

    Raises:
        InputError: a benchmark has none.
    """
    try:
        return [row.fullname for row in msgspec.json.decode(data, type=_NamedRows).benchmarks]
    except ValueError as error:
        raise InputError(f"{name}: a benchmark has no name") from error


def why_not(error: Exception) -> str:
    """Say in a line why something is no result."""
    return one_line(str(error).replace(f"matching regex {LINE!r}", "without control characters"))


def _decode(data: bytes, name: str) -> Run:
    # The version first: a file of another one may differ in everything else.
    schema = msgspec.json.decode(data, type=_Version).whisperbench.schema
    if schema not in (SCHEMA, SCHEMA_1):
        raise InputError(
            f"{name}: is of result schema {schema}; this whisperbench reads {SCHEMA_1} and "
            f"{SCHEMA}: use the version that wrote it, or measure again"
        )
    if schema == SCHEMA_1:
        old = msgspec.json.decode(data, type=_RunFile[Measurement1])
        measurements = tuple(
            _converted(row.extra_info.whisperbench, f"$.benchmarks[{place}]")
            for place, row in enumerate(old.benchmarks)
        )
        machine, info = old.machine_info.whisperbench, old.whisperbench
    else:
        file = msgspec.json.decode(data, type=_RunFile[Measurement])
        measurements = tuple(row.extra_info.whisperbench for row in file.benchmarks)
        machine, info = file.machine_info.whisperbench, file.whisperbench
    # msgspec takes the last of two equal keys and skips bad text in what it does not know. Digits
    # stay text: Python reads no more than 4300 of them.
    json.loads(data.decode(), object_pairs_hook=_require_distinct, parse_int=str)
    require_sense(measurements, info.processes)
    return Run(machine=machine, info=info, measurements=measurements)


def _converted(row: Measurement1, where: str) -> Measurement:
    try:
        return row.converted()
    except ValueError as error:
        raise ValueError(f"{where}, notes of {row.stage} (schema 1): {error}") from error


def _require_distinct(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object that says something twice; of the others keep nothing."""
    if len(dict(pairs)) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice} stands twice in one object")


def require_sense(rows: Iterable[Measurement], processes: int) -> None:
    """Refuse what no type forbids: two answers to one question, and less than nothing.

    Raises:
        ValueError: there is such a thing.
    """
    seen = set()
    for row in rows:
        what = f"{row.benchmark}, {name_of(row.cell, with_clip=True)}"
        if (row.benchmark, row.cell) in seen:
            raise ValueError(f"two measurements of {what}")
        seen.add((row.benchmark, row.cell))
        names = set()
        if all(metric.derived for metric in row.metrics) and not row.verdicts:
            raise ValueError(f"no figure of {what}")
        for metric in row.metrics:
            if metric.name in names:
                raise ValueError(f"two metrics {metric.name} of {what}")
            names.add(metric.name)
            if metric.processes is not None and len(metric.processes) != processes:
                raise ValueError(f"{metric.name} of {what} is not of {processes} processes")
            # Memory is a difference in places: a neighbour that ends makes it negative. So is what
            # one error rate has over another.
            signed = metric.kind == "memory" or metric.derived
            if not signed and min(metric.samples or metric.figures) < 0:
                raise ValueError(f"a negative {metric.name} of {what}")
