"""Shards of one run put together: pure, what their files hold in, what the run's holds out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from whisperbench.errors import ExitCode, InputError, one_line, printable
from whisperbench.judge.baselines import RecordedRun
from whisperbench.results.records import ManifestEntry, Measurement, Run, Shard
from whisperbench.results.sameness import ONE_KIND, STACK, differing
from whisperbench.results.schema import SCHEMA, decode_run
from whisperbench.units import counted


class _Commit(msgspec.Struct):
    id: str | None = None
    dirty: bool | None = None

    def __str__(self) -> str:
        """Name it for a message."""
        name = printable(self.id) if self.id else "an unknown commit"
        return f"{name} with changes that are not committed" if self.dirty else name


class _Commits(msgspec.Struct):
    commit_info: _Commit = msgspec.field(default_factory=_Commit)


def join_shards(files: Sequence[RecordedRun]) -> bytes:
    """Put the shards of a run together.

    Args:
        files: the shards, in any order.

    Returns:
        What the run's file is to hold: the benchmarks of all in the order of the manifest, which
        is that of a run that was not split, but for the times that benchmarks took.

    Raises:
        InputError: a file is no shard, a shard is absent or stands twice, or they are not of one
            run on machines of one kind.
    """
    ordered = _in_order(files)
    first = ordered[0]
    for file in ordered[1:]:
        _require_one_run(first, file)
        _require_one_machine(first, file)
    rows: dict[str, dict[str, Any]] = {}
    for file in ordered:
        rows |= _own_rows(file)
    _require_one_thing(ordered)
    entries = [
        _entry([file.run.info.manifest[place] for file in ordered], ordered)
        for place in range(len(first.run.info.manifest))
    ]
    made: dict[str, Any] = msgspec.json.decode(first.data)
    made["benchmarks"] = [rows[row.benchmark] for row in entries if row.benchmark in rows]
    made["machine_info"]["whisperbench"]["gpu_uuid"] = _cards(ordered)
    info = msgspec.structs.replace(
        first.run.info,
        schema=SCHEMA,
        manifest=tuple(entries),
        shard=None,
        process_s=_process_s(ordered),
        remarks=tuple(
            dict.fromkeys(
                (*(each for file in ordered for each in file.run.info.remarks), *_doubts(ordered))
            )
        ),
    )
    made["whisperbench"] = msgspec.to_builtins(info)
    data = msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"
    try:
        decode_run(data, "the merged run")
    except InputError as error:  # such as one cell, measured by two benchmarks
        raise InputError(f"the shards do not make one run: {one_line(error)}") from error
    return data


def _shard_of(file: RecordedRun) -> Shard:
    """Return which shard a file is.

    Raises:
        InputError: it is none.
    """
    if file.run.info.shard is None:
        raise InputError(
            f"{file.name}: is a whole run and no shard; pytest benchmarks/ --shard 1/4 makes one"
        )
    return file.run.info.shard


def _in_order(files: Sequence[RecordedRun]) -> list[RecordedRun]:
    """Put shards in order; refuse gaps and duplicates.

    Raises:
        InputError: there is one of these.
    """
    ordered = sorted(files, key=lambda file: (_shard_of(file).index, file.name))
    if not ordered:
        raise InputError("no shard is named; name the files of all")
    of = _shard_of(ordered[0]).of
    for file in ordered:
        shard = _shard_of(file)
        if shard.of != of or shard.index > shard.of:
            raise InputError(
                f"{file.name}: is {shard}, and {ordered[0].name} is {_shard_of(ordered[0])}: "
                "merge the shards of one split"
            )
    for one, other in pairwise(ordered):
        if _shard_of(one).index == _shard_of(other).index:
            raise InputError(
                f"{_shard_of(one)} stands twice among them, {one.name} and {other.name}: name one"
            )
    absent = sorted(set(range(1, of + 1)) - {_shard_of(file).index for file in ordered})
    if absent:
        those = "shard" if len(absent) == 1 else "shards"
        raise InputError(
            f"{those} {', '.join(map(str, absent))} of {of} {'is' if len(absent) == 1 else 'are'} "
            f"absent: measure with --shard {absent[0]}/{of} and name all {of} files"
        )
    return ordered


def _require_one_run(first: RecordedRun, file: RecordedRun) -> None:
    """Refuse a shard that was asked for something else, or was split otherwise.

    Raises:
        InputError: it was.
    """
    one, other = _shard_of(first), _shard_of(file)
    for name in sorted(one.settings.keys() | other.settings.keys()):
        was, now = one.settings.get(name, "absent"), other.settings.get(name, "absent")
        if was != now:
            raise InputError(
                f"{file.name}: was measured with other arguments than {first.name}: {name} was "
                f"{one_line(was)} and is {one_line(now)}"
            )
    if one.times != other.times:
        raise InputError(
            f"{file.name}: was split by other times than {first.name}: give all shards the same "
            "--shard-times"
        )
    commits = [_commit_of(each) for each in (first, file)]
    if len({(each.id or "", bool(each.dirty)) for each in commits}) > 1:
        raise InputError(
            f"{file.name}: is of {commits[1]}, and {first.name} is of {commits[0]}: measure all "
            "shards of one commit"
        )
    asked = [[_identity(entry) for entry in each.run.info.manifest] for each in (first, file)]
    if asked[0] != asked[1]:
        known = set(asked[0])
        strange = next((row for row in asked[1] if row not in known), None)
        which = f", such as {strange[0]}" if strange is not None else ""
        raise InputError(
            f"{file.name}: was asked for other benchmarks than {first.name}, or split otherwise"
            f"{which}: measure all shards with the same arguments"
        )


def _commit_of(file: RecordedRun) -> _Commit:
    try:
        return msgspec.json.decode(file.data, type=_Commits).commit_info
    except msgspec.ValidationError as error:
        raise InputError(f"{file.name}: not of pytest-benchmark: {one_line(error)}") from error


def _doubts(files: Sequence[RecordedRun]) -> list[str]:
    """Say what keeps anybody from knowing that all shards are of the same code."""
    commit = _commit_of(files[0])
    if len(files) == 1 or (commit.id and not commit.dirty):
        return []
    return [f"the shards are of {commit}: nothing says that all of them are of the same code"]


def _identity(entry: ManifestEntry) -> tuple[str, str, int | None, bool]:
    return entry.benchmark, entry.cell, entry.shard, entry.deselected


def _require_one_machine(first: RecordedRun, file: RecordedRun) -> None:
    """Refuse a shard of another kind of machine, or of another stack: a file describes one.

    Which of several equal GPUs it was may differ.

    Raises:
        InputError: it is.
    """
    one, other = first.run.machine, file.run.machine
    for what, fields in (("on the same kind of machine", ONE_KIND), ("with the same stack", STACK)):
        if found := differing(one, other, fields):
            raise InputError(f"{file.name}: was not measured {what} as {first.name}: {found}")


def _own_rows(file: RecordedRun) -> dict[str, dict[str, Any]]:
    """Return pytest-benchmark's rows of a shard by the names that its manifest has.

    Raises:
        InputError: a row is not of the shard, or one that it has measured is absent.
    """
    shard = _shard_of(file)
    own = {
        entry.benchmark for entry in file.run.info.manifest if entry.shard in (None, shard.index)
    }
    rows = {printable(name): row for name, row in file.rows.items()}
    strange = sorted(rows.keys() - own)
    if strange:
        raise InputError(
            f"{file.name}: has figures of {strange[0]}, which does not belong to {shard}"
        )
    measured = counted(
        sum(entry.outcome == "measured" for entry in file.run.info.manifest), "benchmark"
    )
    for entry in file.run.info.manifest:
        if entry.outcome == "measured" and entry.benchmark not in rows:
            raise InputError(
                f"{file.name}: {measured} measured by its manifest, but no figures of "
                f"{entry.benchmark}"
            )
    return rows


def _require_one_thing(files: Sequence[RecordedRun]) -> None:
    """Refuse shards that call different checkpoints, clips or benchmarks by one name.

    Raises:
        InputError: they do.
    """
    facts: dict[tuple[str, str], tuple[str, str]] = {}
    for file in files:
        for row in file.run.measurements:
            for what, name, fact in _facts(row):
                was, whose = facts.setdefault((what, name), (fact, file.name))
                if was != fact:
                    raise InputError(
                        f"{file.name}: the {what} {name} is not that of {whose}: it was {was} and "
                        f"is {fact}"
                    )


def _facts(row: Measurement) -> Iterator[tuple[str, str, str]]:
    yield "checkpoint", row.cell.model, row.cell.checkpoint
    yield "clip", row.cell.clip, row.cell.clip_sha256
    yield "code of the benchmark", row.benchmark, row.body


def _entry(entries: Sequence[ManifestEntry], files: Sequence[RecordedRun]) -> ManifestEntry:
    """Return what the shard that a benchmark belongs to says of it."""
    owner = entries[0].shard
    own = next(
        (
            entry
            for entry, file in zip(entries, files, strict=True)
            if _shard_of(file).index == owner
        ),
        entries[0],  # it was deselected in all
    )
    return msgspec.structs.replace(own, shard=None)


def _cards(files: Sequence[RecordedRun]) -> str | None:
    """Name the GPUs of all shards, in their order."""
    found = dict.fromkeys(file.run.machine.gpu_uuid for file in files)
    return ",".join(each for each in found if each is not None) or None


def _process_s(files: Sequence[RecordedRun]) -> float | None:
    """Return what one process would have taken: all benchmarks, and once what each takes beside."""

    def beside(run: Run) -> float | None:
        if run.info.process_s is None:
            return None
        return max(0.0, run.info.process_s - _benchmarks_s(run.info.manifest))

    known = [each for file in files if (each := beside(file.run)) is not None]
    if len(known) < len(files):
        return None
    return round(sum(_benchmarks_s(file.run.info.manifest) for file in files) + max(known), 3)


def _benchmarks_s(entries: Sequence[ManifestEntry]) -> float:
    return sum((entry.setup_s or 0.0) + (entry.took_s or 0.0) for entry in entries)


def exit_code_of(run: Run) -> ExitCode:
    """Return what a run comes to by itself; one that did not measure all is no pass."""
    outcomes = {entry.outcome for entry in run.info.manifest}
    if outcomes & {"over-limit", "regressed"}:
        return ExitCode.REGRESSED
    return ExitCode.INVALID if run.unmeasured() else ExitCode.OK
