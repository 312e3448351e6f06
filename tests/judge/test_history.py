"""Recordings in their order, and what changed between them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from tests.judge.compared import a_cost, part
from tests.runs import CPU_MACHINE, MACHINE, make_cell, make_memory, make_run
from whisperbench.asked.suite import Tolerance
from whisperbench.judge.history import Change, history_of
from whisperbench.results.dated import DatedRun
from whisperbench.results.figure import Metric
from whisperbench.results.records import Machine, Measurement

FIRST = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
OTHER = msgspec.structs.replace(MACHINE, device_key="nvidia-l4-sm89-23gib", device="NVIDIA L4")


def dated(day: int, *rows: Measurement, machine: Machine = MACHINE) -> DatedRun:
    """Make up a recording of a day."""
    run = make_run(*rows, machine=machine)
    return DatedRun(FIRST + timedelta(days=day), f"{day:040x}", f"{day}.json", run)


def wall(seconds: float, precision: str = "int8") -> Measurement:
    """Make up what one benchmark took in five processes."""
    latency = Metric(
        name="latency_s",
        unit="s",
        kind="wall",
        better="lower",
        processes=tuple(seconds * factor for factor in (0.99, 1.0, 1.0, 1.01, 1.0)),
    )
    row = make_memory(make_cell(precision), {})
    return msgspec.structs.replace(row, benchmark="token", metrics=(latency,))


def slower(count: int = 12, at: int = 7) -> list[float]:
    """Return recordings that are slower by 30 % from one on."""
    noise = np.random.default_rng(2).normal(0, 0.01, count)
    return [float(np.exp(n)) * (1.3 if place >= at else 1.0) for place, n in enumerate(noise)]


def told(changes: Sequence[Change]) -> list[tuple[str, int, int]]:
    """Return figures that changed, and between which recordings."""
    return [(each.series.metric, each.before, each.after) for each in changes]


def test_each_change_of_a_count_is_one() -> None:
    """Also of the newest recording alone, with its causes; what stays the same is none."""
    recordings = [
        dated(day, a_cost(ops, (part("aten::to", ops),)))
        for day, ops in enumerate((100, 100, 132, 132, 100))
    ]
    found = history_of(recordings)
    ops = [each for each in found.changes if each.series.metric == "decode_aten_ops"]
    assert told(ops) == [("decode_aten_ops", 1, 2), ("decode_aten_ops", 3, 4)]
    assert [each.worse for each in ops] == [True, False]
    assert ops[0].causes == ("+8 aten::to a token, from Linear8bitLt",)
    assert ops[0].share == pytest.approx(0.32)
    assert ops[0].p is None


def test_no_count_creeps_within_its_tolerance() -> None:
    """Steps that are each within a tolerance are a change once they are over it together."""
    tolerance = Tolerance(
        metrics=("*aten_ops",),
        models=("*",),
        precisions=("*",),
        devices=("*",),
        share=0.05,
        absolute=0.0,
        reason="a test",
    )
    recordings = [dated(day, a_cost(100 + 2 * day)) for day in range(5)]
    found = history_of(recordings, [tolerance])
    assert {each.after for each in found.changes} == {3}
    assert {each.after for each in history_of(recordings).changes} == {1, 2, 3, 4}


def test_times_change_where_several_recordings_say_so() -> None:
    """A slower level is found between the recordings where it began."""
    rows = [dated(day, wall(seconds)) for day, seconds in enumerate(slower())]
    (change,) = history_of(rows).changes
    assert told([change]) == [("latency_s", 6, 7)]
    assert change.worse
    assert change.share == pytest.approx(0.3, abs=0.02)
    assert change.p is not None
    assert change.p < 0.05


def test_recordings_are_put_in_their_order() -> None:
    """Files come in any order, and one that is there twice counts once."""
    rows = [dated(day, wall(seconds)) for day, seconds in enumerate(slower())]
    found = history_of([*rows[::-1], rows[3]])
    assert found.recordings == tuple(rows)
    assert told(found.changes) == [("latency_s", 6, 7)]


def test_of_another_device_counts_alone_are_followed() -> None:
    """Times of another card are left out, and that is said; counts go on."""
    rows = [
        dated(day, wall(9.0 if day < 4 else 1.0), a_cost(100 if day < 6 else 101), machine=machine)
        for day, machine in enumerate([OTHER] * 4 + [MACHINE] * 6)
    ]
    found = history_of(rows)
    walls = [each for each in found.series if each.kind == "wall"]
    assert [len(each.points) for each in walls] == [6]
    assert told(found.changes)[0] == ("encoder_aten_ops", 5, 6)
    assert found.remarks == (
        "4 of 10 recordings are of another device than nvidia-h200-sm90-140gib: counts alone are "
        "followed there",
    )


def test_what_is_measured_otherwise_is_another_figure() -> None:
    """Where the benchmark's code or its tokens differ, a series ends and another begins."""
    old = msgspec.structs.replace(a_cost(100), body="old")
    new = msgspec.structs.replace(a_cost(200), body="new")
    found = history_of([dated(0, old), dated(1, old), dated(2, new)])
    assert not found.changes
    ops = [each for each in found.series if each.metric == "decode_aten_ops"]
    assert [[point.recording for point in each.points] for each in ops] == [[0, 1], [2]]


def test_what_differs_between_two_recordings() -> None:
    """Versions, drivers and other circumstances are suspects; what is equal is not named."""
    newer = msgspec.structs.replace(
        MACHINE, driver="581.0", versions=MACHINE.versions | {"transformers": "5.18.0"}
    )
    found = history_of([dated(0, a_cost(100)), dated(1, a_cost(101), machine=newer)])
    assert found.between(0, 1) == ["transformers 5.17.0 to 5.18.0", "driver 580.1 to 581.0"]


def test_another_checkpoint_is_named() -> None:
    """A change that came with other weights says so."""
    row = a_cost(101)
    other = msgspec.structs.replace(row, cell=msgspec.structs.replace(row.cell, checkpoint="xyz"))
    found = history_of([dated(0, a_cost(100)), dated(1, other)])
    assert found.changes[0].causes[0] == "the checkpoint was abc and is xyz"


def test_counts_of_other_conditions_are_other_figures() -> None:
    """Counts of two instruction sets are two series."""

    def of(instruction_set: str, ops: int) -> Measurement:
        row = a_cost(ops)
        metrics = tuple(
            msgspec.structs.replace(each, conditions={"instruction set": instruction_set})
            for each in row.metrics
            if each.kind == "exact"
        )
        return msgspec.structs.replace(row, metrics=metrics)

    rows = [
        dated(day, of(name, ops), machine=CPU_MACHINE)
        for day, (name, ops) in enumerate(
            [("x86_64 AVX2", 100), ("x86_64 AVX512", 90), ("x86_64 AVX2", 100)]
        )
    ]
    assert not history_of(rows).changes


def test_without_ruptures_counts_are_still_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a remark says what was not looked for, once."""
    monkeypatch.setitem(sys.modules, "ruptures", None)
    rows = [
        dated(day, wall(seconds), wall(seconds, "fp16"), a_cost(100 + (day > 3)))
        for day, seconds in enumerate(slower())
    ]
    found = history_of(rows)
    assert {each.series.kind for each in found.changes} == {"exact"}
    assert len(found.remarks) == 1
    assert "pip install -e '.[report]'" in found.remarks[0]


def test_nothing_is_a_history_too() -> None:
    """No recordings have no changes."""
    assert history_of([]).changes == ()
    assert history_of([dated(0, wall(1.0))]).changes == ()
