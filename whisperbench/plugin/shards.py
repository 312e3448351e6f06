"""`--shard I/N`: of all benchmarks that are asked for, those of one shard."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from whisperbench.asked.checkout import SUITE_FILE
from whisperbench.asked.plan import device_kind
from whisperbench.asked.precisions import precision_named
from whisperbench.asked.shards import (
    WORK_VARIABLE,
    Member,
    Times,
    Work,
    owners,
    read_shard,
    split,
    tied,
)
from whisperbench.asked.suite import matches
from whisperbench.devices.choosing import key_of, open_device
from whisperbench.errors import DeviceError, InputError, printable
from whisperbench.plugin.collecting import checkpoint_of, params_of
from whisperbench.plugin.needs import (
    FRESH_PROCESS,
    IDLE_DEVICE,
    OTHER_PRECISION,
    OTHERS_BESIDE,
    WORDS,
    needs_of,
)
from whisperbench.plugin.options import path_from, usage_errors, value_of
from whisperbench.plugin.session import Session, is_benchmark, session_of
from whisperbench.record import baselines
from whisperbench.record.runs import recorded
from whisperbench.results.records import Shard
from whisperbench.results.run_file import read_run, write_whole

if TYPE_CHECKING:
    from whisperbench.asked.plan import Plan

ELSEWHERE = "belongs to shard {}"

_PLACE = ("audio", "batch_size")
"""Parameters that benchmarks of one place have in common, beside model and attention."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    """Leave out what belongs to other shards, once -k and -m have taken theirs away.

    Raises:
        pytest.UsageError: the options do not go together, or the times cannot be read.
    """
    yield
    session = session_of(config)
    asked, times_path = value_of(config, "shard"), value_of(config, "shard-times")
    work_path = os.environ.get(WORK_VARIABLE) if config.option.collectonly else None
    if session is None:
        if asked is not None:
            raise pytest.UsageError("--shard splits benchmarks: pytest benchmarks/ --shard 1/4")
        return
    if asked is None and work_path is None:
        if times_path is not None:
            raise pytest.UsageError("--shard-times balances shards: give it with --shard 1/4")
        return
    _refuse_contradictions(config, asked)
    with usage_errors():
        times, source = _read_times(config, session, times_path)
        work = work_of(session, [item for item in items if is_benchmark(item)], times)
        work = msgspec.structs.replace(work, source=source)
        if work_path is not None:
            write_whole(path_from(config, work_path), msgspec.json.encode(work))
        if asked is not None:
            _leave_out(config, session, items, work, times, asked)


def _refuse_contradictions(config: pytest.Config, asked: str | None) -> None:
    """Refuse what needs a whole run.

    Raises:
        pytest.UsageError: an option does.
    """
    if asked is None:
        return
    if value_of(config, "baseline") is not None:
        raise pytest.UsageError(
            "--shard with --baseline: a part of a run is held against no baseline; put the shards "
            "together with whisperbench merge, then whisperbench compare"
        )
    if recorded():
        raise pytest.UsageError(
            "--shard is for runs of their own: whisperbench record, ab and bisect measure whole "
            "runs"
        )


def _read_times(config: pytest.Config, session: Session, path: str | None) -> tuple[Times, str]:
    """Read the times that balance the shards: of a file, or else of the device's own baseline.

    Returns:
        The times, and which baseline they are of where no file was named and there is one.

    Raises:
        InputError: the file cannot be read, or has no times.
    """
    if path is None:
        return _own_times(session.plan.device)
    file = path_from(config, path)
    try:
        return Times(read_run(file)), ""
    except InputError as error:
        text = str(error)
        said = text if printable(file) in text else f"{printable(file)}: {text}"
        raise InputError(f"--shard-times {said}") from error


def _own_times(device: str) -> tuple[Times, str]:
    """Read the times of the baseline of a device of this machine, where it has any.

    What CPUs of an instruction set share is not asked: its times would be of another machine.

    Raises:
        InputError: there is a baseline, and it cannot be read.
    """
    try:
        place = baselines.path_of(key_of(open_device(device).facts()))
    except DeviceError:  # as where a run is planned on a host without the card
        return Times(None), ""
    if not place.exists():
        return Times(None), ""
    run = read_run(place)
    if all(entry.took_s is None for entry in run.info.manifest):
        return Times(None), ""
    return Times(run), "/".join(place.parts[-3:])


def _leave_out(
    config: pytest.Config,
    session: Session,
    items: list[pytest.Item],
    work: Work,
    times: Times,
    asked: str,
) -> None:
    """Keep the items of the shard that is asked for, and take down whose the others are."""
    own = read_shard(asked)
    shards = split(work, own.of)
    owner = owners(shards)
    left_out = [item for item in items if owner.get(item.nodeid, own.number) != own.number]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for name, index in owner.items():
        fate = session.fates[name]
        fate.shard = index
        if index != own.number:
            fate.reason = ELSEWHERE.format(f"{index} of {own.of}")
    session.shard = Shard(
        index=own.number, of=own.of, times=times.digest, settings=settings_of(session.plan)
    )
    session.split = _described(work, [work.seconds(shard) for shard in shards], own.number)


def _described(work: Work, seconds: Sequence[float], index: int) -> str:
    """Say what the shard is of all, for the terminal."""
    if not work.has_times:
        return f"shard {index} of {len(seconds)}; --shard-times RUN.json balances them by times"
    whose = f", by the times of {work.source}" if work.source else ""
    guessed = f"; {work.guessed} of {work.benchmarks()} are guessed" if work.guessed else ""
    return (
        f"shard {index} of {len(seconds)}: about {seconds[index - 1]:.0f} s, the longest "
        f"{max(seconds):.0f} s{whose}{guessed}"
    )


@pytest.hookimpl(trylast=True)
def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    """Say what the shard is of all."""
    session = session_of(config)
    return f"whisperbench: {session.split}" if session is not None and session.split else None


def work_of(session: Session, items: Sequence[pytest.Item], times: Times) -> Work:
    """Return what can be split: benchmarks that limits compare with each other stay together."""
    named = {item.nodeid: item for item in items}

    def member(name: str) -> Member:
        item = named[name]
        if FRESH_PROCESS in needs_of(item):
            return Member(name, "", times.took_s(name))
        return Member(name, checkpoint_of(item), times.took_s(name), _reference(session, item))

    parts = tied(list(named), _ties(session, items), member)
    loading: dict[str, list[str]] = {}
    for part in parts:
        for each in part.members:
            if each.checkpoint:
                loading.setdefault(each.checkpoint, []).append(each.name)
            if each.reference:
                loading.setdefault(each.reference, [])
    return Work(
        parts=parts,
        loads_s={checkpoint: times.load_s(names) for checkpoint, names in loading.items()},
        process_s=times.process_s,
        guessed=sum(not times.knows(name) for name in named),
    )


def _reference(session: Session, item: pytest.Item) -> str:
    """Return the id of the checkpoint in 32-bit floats that a benchmark is held against."""
    key = session.plan.checkpoints.get(checkpoint_of(item))
    if key is None or OTHER_PRECISION not in needs_of(item):
        return ""
    return replace(key, precision=precision_named("fp32")).id


def _ties(session: Session, items: Sequence[pytest.Item]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of benchmarks that must be measured by one process."""
    places: dict[tuple[object, ...], dict[str, pytest.Item]] = {}
    for item in items:
        if OTHERS_BESIDE in needs_of(item) and checkpoint_of(item) in session.plan.checkpoints:
            key = session.plan.checkpoints[checkpoint_of(item)]
            place = (item.nodeid.partition("[")[0], key.model.name, key.attention)
            params = params_of(item)
            where = tuple(params.get(name) for name in _PLACE)
            places.setdefault((*place, *where), {})[key.precision.name] = item
    # A start-up is a process, of which one benchmark takes the load and another the first call.
    shared: dict[tuple[object, ...], str] = {}
    for item in items:
        needs = needs_of(item)
        if FRESH_PROCESS in needs and IDLE_DEVICE not in needs:
            cell = (item.path, *sorted((name, str(one)) for name, one in params_of(item).items()))
            if (first := shared.setdefault(cell, item.nodeid)) != item.nodeid:
                yield first, item.nodeid
    for (_, model, *_others), found in places.items():
        for precision, item in found.items():
            for base in _bases(session, str(model), precision, WORDS in needs_of(item)):
                if base in found and base != precision:
                    yield item.nodeid, found[base].nodeid


def _bases(session: Session, model: str, precision: str, heard: bool) -> Iterator[str]:
    """Yield the precisions that a precision of a model is compared with."""
    if heard:
        yield session.plan.profile.reference
    for limit in session.suite.limit:
        if (
            limit.of is not None
            and matches(model, limit.models)
            and matches(precision, limit.precisions)
        ):
            yield limit.of


def settings_of(plan: Plan) -> dict[str, str]:
    """Return what a run was asked for, without a path: names, numbers and digests."""
    named: Mapping[str, Any] = msgspec.to_builtins(plan.profile)
    # Of these the plan has the names, where the profile may have paths.
    replaced = ("reason", "models", "clips", "quality_clips", "quality_models")
    found = {name: value for name, value in named.items() if name not in replaced}
    found |= {
        "device": device_kind(plan.device),
        "checkpoints": [key_id for key_id in plan.checkpoints if key_id in plan.timed],
        "heard checkpoints": [key_id for key_id in plan.checkpoints if key_id in plan.listening],
        "clips": list(plan.clips),
        "heard clips": f"{plan.heard_name}, {len(plan.heard)}",
        "suite.toml": hashlib.sha256(SUITE_FILE.read_bytes()).hexdigest()[:16],
    }
    return {name: printable(_text(value)) for name, value in found.items()}


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
