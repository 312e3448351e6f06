"""Recordings in their order: each figure as a series, and where it changed. Pure.

Counts and words are the same in all processes of unchanged code, so each change of theirs is one.
Times and memory wobble: judge/change_points.py says where they change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from whisperbench.asked.suite import Tolerance
from whisperbench.errors import InputError
from whisperbench.judge.causes import causes_of
from whisperbench.judge.change_points import believed, change_points
from whisperbench.judge.compare import Gate
from whisperbench.judge.rules import Allowed, figure_of
from whisperbench.results.dated import DatedRun
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import KINDS, Kind
from whisperbench.results.records import Cell, Machine, Measurement

_RUNTIME = ("driver", "cuda", "python", "os", "power_limit_w", "threads")
"""Fields of a `Machine` that may differ between two recordings of a device, and are suspects."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A figure in one recording."""

    recording: int
    """Its place in the history, from 0."""
    figures: tuple[float, ...]
    """Of each process."""
    figure: float
    """What stands for all of them."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One figure through all recordings that measured it alike."""

    benchmark: str
    cell: Cell
    metric: str
    unit: str
    kind: Kind
    better: str
    points: tuple[Point, ...]
    """In the order of the recordings; some of these may not have it."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A figure whose level is another one from a recording on."""

    series: Series
    before: int
    """Place in the history of the last recording of the old level;"""
    after: int
    """and of the first one of the new level."""
    old: float
    """Of what wobbles the mean of the recordings since the change before it."""
    new: float
    causes: tuple[str, ...] = ()
    """What the change of a count is made of, and that the checkpoint is another one."""
    p: float | None = None
    """Of what wobbles: how often chance divides the recordings as well; None of a count."""

    @property
    def share(self) -> float | None:
        """By how much it has grown, as a share of the old level; None where that is 0."""
        return self.new / self.old - 1 if self.old else None

    @property
    def worse(self) -> bool:
        """Whether the new level is the worse one."""
        return (self.new > self.old) == (self.series.better == "lower")


@dataclass(frozen=True, kw_only=True)
class History:
    """The recordings of a device, the oldest first."""

    recordings: tuple[DatedRun, ...]
    series: tuple[Series, ...]
    changes: tuple[Change, ...]
    """In the order of the recordings; of one recording the largest shares first, worse ones
    before others."""
    remarks: tuple[str, ...] = ()
    """What was left out, and what could not be looked for."""

    def between(self, before: int, after: int) -> list[str]:
        """Name the versions and circumstances that differ between two recordings."""
        return list(
            _differences(self.recordings[before].run.machine, self.recordings[after].run.machine)
        )


def history_of(
    recordings: Sequence[DatedRun],
    tolerances: Sequence[Tolerance] = (),
    machine: Machine | None = None,
) -> History:
    """Put recordings in their order, and find what has changed between them.

    Times, memory and words are followed on one device alone. Counts are followed wherever their
    conditions are the same.

    Args:
        recordings: in any order; one that is there twice counts once.
        tolerances: suite.toml's.
        machine: on whose device times are followed; by default that of the newest recording.
    """
    ordered = _ordered(recordings)
    if not ordered:
        return History(recordings=(), series=(), changes=())
    device = machine if machine is not None else ordered[-1].run.machine
    followed = _series(ordered, device)
    found: list[Change] = []
    remarks = _left_out(ordered, device)
    wobbling = []
    for series, rows in followed:
        room = _Room(ordered, tolerances, series)
        if KINDS[series.kind].agree is not None:
            found += _changes_of_count(series, rows, room)
            continue
        try:
            points = change_points(
                [point.figure for point in series.points],
                room=room,
                ratio=series.kind != "memory",
            )
        except InputError as error:
            remarks += [str(error)] * (str(error) not in remarks)
            continue
        wobbling.append((series, rows, points))
    kept = believed([points for *_, points in wobbling])
    for (series, rows, _), points in zip(wobbling, kept, strict=True):
        found += [
            Change(
                series=series,
                before=series.points[point.at - 1].recording,
                after=series.points[point.at].recording,
                old=point.old,
                new=point.new,
                causes=tuple(_checkpoint(rows[point.at - 1], rows[point.at])),
                p=point.p,
            )
            for point in points
        ]
    return History(
        recordings=tuple(ordered),
        series=tuple(series for series, _ in followed),
        changes=tuple(sorted(found, key=_rank)),
        remarks=tuple(remarks),
    )


def _rank(change: Change) -> tuple[int, bool, float]:
    share = change.share
    return change.after, not change.worse, -abs(share) if share is not None else float("-inf")


def _ordered(recordings: Sequence[DatedRun]) -> list[DatedRun]:
    """Order recordings by when they were measured, each one once."""
    ordered: list[DatedRun] = []
    for each in sorted(recordings, key=lambda each: (each.when, each.name)):
        if not any(each.when == other.when and each.run == other.run for other in ordered[-3:]):
            ordered.append(each)
    return ordered


class _Room:
    """What a figure may change by and be within its tolerance."""

    def __init__(
        self, recordings: Sequence[DatedRun], tolerances: Sequence[Tolerance], series: Series
    ) -> None:
        first, last = (recordings[series.points[place].recording].run for place in (0, -1))
        empty = msgspec.structs.replace(first, measurements=())
        gate = Gate(empty, last.machine, tolerances)
        self._allowed: Allowed = gate.allowed(series.cell, series.metric, KINDS[series.kind])

    def __call__(self, level: float) -> float:
        return self._allowed.share * abs(level) + self._allowed.absolute


def _series(ordered: Sequence[DatedRun], device: Machine) -> list[tuple[Series, list[Measurement]]]:
    """Follow each figure through the recordings, with the measurements that it is of."""
    found: dict[tuple[object, ...], list[tuple[int, Measurement, Metric]]] = {}
    for place, recording in enumerate(ordered):
        machine = recording.run.machine
        for row in recording.run.measurements:
            for metric in row.metrics:
                if metric.derived or (
                    KINDS[metric.kind].same_device and not _is_same(machine, device)
                ):
                    continue
                found.setdefault(_identity(row, metric), []).append((place, row, metric))
    followed = []
    for each in found.values():
        _, row, metric = each[-1]
        points = tuple(
            Point(recording=place, figures=one.figures, figure=figure_of(one))
            for place, _, one in each
        )
        series = Series(
            benchmark=row.benchmark,
            cell=row.cell,
            metric=metric.name,
            unit=metric.unit,
            kind=metric.kind,
            better=metric.better,
            points=points,
        )
        followed.append((series, [row for _, row, _ in each]))
    return followed


def _identity(row: Measurement, metric: Metric) -> tuple[object, ...]:
    """Return all that must be equal before two figures are of one series."""
    cell = msgspec.structs.replace(row.cell, checkpoint="")
    return (
        *(row.benchmark, row.body, msgspec.structs.astuple(cell)),
        *(metric.name, metric.unit, metric.kind, metric.better),
        tuple(sorted(metric.conditions.items())),
    )


def _is_same(one: Machine, other: Machine) -> bool:
    return one.device_key == other.device_key and (one.gpu_uuid is None) == (other.gpu_uuid is None)


def _changes_of_count(series: Series, rows: Sequence[Measurement], room: _Room) -> Iterator[Change]:
    """Yield each change of a figure that is the same in all processes of unchanged code.

    It is held against the level since the last change, so that none creeps within its tolerance.
    """
    agree = KINDS[series.kind].agree or 0.0
    level = series.points[0].figure
    for place in range(1, len(series.points)):
        point = series.points[place]
        if abs(point.figure - level) <= max(room(level), agree * abs(level)):
            continue
        yield Change(
            series=series,
            before=series.points[place - 1].recording,
            after=point.recording,
            old=level,
            new=point.figure,
            causes=(
                *_checkpoint(rows[place - 1], rows[place]),
                *causes_of(rows[place - 1], rows[place], series.metric),
            ),
        )
        level = point.figure


def _checkpoint(was: Measurement, now: Measurement) -> Iterator[str]:
    before, after = was.cell.checkpoint, now.cell.checkpoint
    if before != after:
        yield f"the checkpoint was {before} and is {after}"


def _left_out(ordered: Sequence[DatedRun], device: Machine) -> list[str]:
    """Say which recordings tell of counts alone."""
    others = sum(not _is_same(each.run.machine, device) for each in ordered)
    if not others:
        return []
    said = f"{others} of {len(ordered)} recordings are" if others > 1 else "1 recording is"
    return [f"{said} of another device than {device.device_key}: counts alone are followed there"]


def _differences(was: Machine, now: Machine) -> Iterator[str]:
    for name in sorted(was.versions.keys() | now.versions.keys()):
        before, after = (each.versions.get(name, "absent") for each in (was, now))
        if before != after:
            yield f"{name} {before} to {after}"
    for name in _RUNTIME:
        before, after = getattr(was, name), getattr(now, name)
        if before != after:
            yield f"{name.replace('_', ' ')} {before} to {after}"
    if was.device_key != now.device_key:
        yield f"{was.device} to {now.device}"
    elif was.gpu_uuid != now.gpu_uuid:
        yield "another card of the same model"
