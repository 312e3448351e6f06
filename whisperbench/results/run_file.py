"""The file of a run: read back and checked, or refused with one line, and written whole."""

from __future__ import annotations

import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from whisperbench.errors import InputError, one_line, printable
from whisperbench.results.records import Machine, Measurement, Run, RunInfo, name_of
from whisperbench.results.scalars import LINE, Count
from whisperbench.results.schema1 import SCHEMA_1, Measurement1

SCHEMA = 2
"""Version of the format. History, all of whisperbench 0.1.0: 1, the first; 2, a type for what each
pass has found, in place of notes."""

MAX_BYTES = 100 * 2**20
"""Of a run file that is read. A hundred cells with their costs take a few MiB."""


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


def read_run(path: Path) -> Run:
    """Read a run file.

    Raises:
        InputError: it cannot be read, is not a whisperbench run, or has an unknown schema.
    """
    name = printable(path)
    name = name if len(name) <= 300 else f"...{name[-297:]}"
    try:
        data = _content(path, name)
    except OSError as error:
        raise InputError(f"{name}: {one_line(error.strerror)}") from error
    return decode_run(data, name)


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


def why_not(error: Exception) -> str:
    """Say in a line why something is no result."""
    return one_line(str(error).replace(f"matching regex {LINE!r}", "without control characters"))


def _content(path: Path, name: str) -> bytes:
    """Read a file, but no pipe or device: those may never end."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"{name}: is not a regular file; name a run's JSON file")
    if facts.st_size > MAX_BYTES:
        raise InputError(
            f"{name}: takes {facts.st_size / 2**20:.0f} MiB; a run file takes at most "
            f"{MAX_BYTES // 2**20}"
        )
    return path.read_bytes()


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
        measurements = tuple(row.extra_info.whisperbench.converted() for row in old.benchmarks)
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


_RESULT = ".json"
_BESIDE = (".clips.jsonl", "-clips.jsonl")
"""How a file that says clip by clip what was heard ends: of a result that ends in .json, and of one
that does not. Two results never share one."""


def clips_beside(result: Path) -> Path:
    """Return the place of the file that says clip by clip what was heard, beside a run's file."""
    name = result.name
    if name.endswith(_RESULT):
        return result.with_name(name.removesuffix(_RESULT) + _BESIDE[0])
    return result.with_name(name + _BESIDE[1])


def require_own_name(result: Path) -> None:
    """Refuse to write a run where the clip-by-clip file of another may be.

    Raises:
        InputError: its name ends as those do.
    """
    if result.name.endswith(_BESIDE):
        raise InputError(f"{result}: is a name for what was heard, clip by clip; name a .json file")


def require_writable(path: Path) -> None:
    """Check that a file can be made where it is to be, and make its folder.

    Raises:
        InputError: it cannot, or there is a folder or a device in its place.
    """
    try:
        if path.exists() and not path.is_file():
            what = "is a folder" if path.is_dir() else "is not a regular file"
            raise InputError(f"{path}: {what}; name a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(path)
        part.touch()
        part.unlink()
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error.strerror)}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all.

    What a writer that was killed has left of the same file goes first.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    part = _part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # of another user, who can take it away
            for left in _left_behind(path):
                left.unlink(missing_ok=True)
        try:
            with part.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error.strerror)}") from error


def _part_of(path: Path) -> Path:
    """Return where this process writes a file before it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _left_behind(path: Path) -> Iterator[Path]:
    """Find the parts of a file whose writers, which they are named after, are no more."""
    import psutil

    part = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.part")
    for file in path.parent.iterdir():
        named = part.fullmatch(file.name)
        if named is not None and not psutil.pid_exists(int(named[1])):
            yield file
