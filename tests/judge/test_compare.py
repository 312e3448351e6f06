"""Two runs held against each other: what is compared, and by which rule."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.judge.compared import (
    STEADY,
    a_cost,
    a_wall,
    compared,
    outcomes,
    verdicts,
)
from tests.runs import MACHINE, make_measurement, make_run
from whisperbench.errors import InputError
from whisperbench.judge.compare import Gate, compare
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import Kind
from whisperbench.results.records import Measurement


def test_the_same_is_ok() -> None:
    """Equal figures are ok, each of them; of wall time one process a side tells nothing."""
    found = outcomes(a_cost(), a_cost())
    assert set(found.values()) == {"ok"}
    assert sorted(found) == [
        *("decode_aten_ops", "decode_gpu_time_ms"),
        *("encoder_aten_ops", "encoder_gpu_time_ms"),
    ]
    assert outcomes(make_measurement(), make_measurement())["latency_s"] == "inconclusive"


@pytest.mark.parametrize(("ops", "outcome"), [(101, "regressed"), (99, "improved")])
def test_one_op_more_is_a_regression(ops: int, outcome: str) -> None:
    """An exact count has no tolerance."""
    assert outcomes(a_cost(100), a_cost(ops))["decode_aten_ops"] == outcome


@pytest.mark.parametrize(
    ("factor", "outcome"),
    [(1.0059, "ok"), (1.0061, "regressed"), (0.9941, "ok"), (0.9939, "improved")],
)
def test_a_hundredth_more_gpu_time_is_seen(factor: float, outcome: str) -> None:
    """The medians may differ by 1 % less the 0.4 % that noise may hide of it, either way."""
    head = a_cost()
    slower = tuple(
        msgspec.structs.replace(metric, samples=(10.05 * factor, 10.0 * factor, 9.96 * factor))
        if metric.name == "decode_gpu_time_ms"
        else metric
        for metric in head.metrics
    )
    found = outcomes(a_cost(), msgspec.structs.replace(head, metrics=slower))
    assert found["decode_gpu_time_ms"] == outcome


def test_another_machine_is_not_comparable() -> None:
    """A figure whose conditions differ is not judged, with what differs; one without any is."""
    base = a_cost()
    metrics = tuple(
        msgspec.structs.replace(metric, conditions={"python": "3.14", "device": "x"})
        if metric.name.startswith("decode_aten")
        else metric
        for metric in a_cost(999).metrics
    )
    head = msgspec.structs.replace(a_cost(999), metrics=metrics)
    changes = verdicts(base, head)
    found = changes["decode_aten_ops"]
    assert found.verdict == "not-comparable"
    assert found.sentence == "device was unknown and is x; python was unknown and is 3.14"
    assert changes["encoder_aten_ops"].verdict == "regressed"


def test_a_gpu_time_that_wobbles_is_inconclusive(tmp_path: Path) -> None:
    """Executions that differ by more than the tolerance decide nothing, and exit with 3."""
    wobbly = msgspec.structs.replace(
        a_cost(),
        metrics=tuple(
            msgspec.structs.replace(metric, samples=(10.0, 10.0, 10.11))
            if metric.samples
            else metric
            for metric in a_cost().metrics
        ),
    )
    assert outcomes(a_cost(), wobbly)["decode_gpu_time_ms"] == "inconclusive"
    assert outcomes(wobbly, a_cost())["decode_gpu_time_ms"] == "inconclusive"
    done = compared(tmp_path, make_run(a_cost()), make_run(wobbly))
    assert done.exit_code == 3
    assert "the head's own executions differ by 1.1 %; measure it again" in done.stdout


def test_a_figure_of_another_unit_is_not_comparable() -> None:
    """Unit, kind and direction must be the same, or the numbers mean different things."""
    for change in ({"unit": "MiB"}, {"kind": "memory"}, {"better": "higher"}):
        metrics = tuple(msgspec.structs.replace(metric, **change) for metric in a_cost().metrics)
        head = msgspec.structs.replace(a_cost(), metrics=metrics)
        assert "ok" not in outcomes(a_cost(), head).values()


def test_a_cell_that_is_there_twice_is_refused() -> None:
    """Of two measurements of one cell one would go unjudged."""
    with pytest.raises(InputError, match="the head has two measurements of cost"):
        compare(make_run(a_cost()), make_run(a_cost(), a_cost(999)))


def test_a_derived_figure_is_not_judged() -> None:
    """A rate that is latency, divided, would only be judged twice."""
    row = a_wall(*STEADY)
    rate = Metric(name="rtfx", unit="1", kind="wall", better="higher", value=9.0, derived=True)
    more = msgspec.structs.replace(row, metrics=(*row.metrics, rate))
    assert list(outcomes(more, row)) == ["latency_s"]


@pytest.mark.parametrize(
    ("kind", "before", "most"),
    [("memory", 1000.0, 1028.0), ("quality", 0.1, 0.1), ("exact", 5.0, 5.0)],
)
def test_each_kind_has_its_rule(kind: Kind, before: float, most: float) -> None:
    """Memory may grow by 2 % and 8 MiB; error rates and counts not at all."""

    def row(value: float) -> Measurement:
        metric = Metric(name="x", unit="1", kind=kind, better="lower", value=value)
        return msgspec.structs.replace(make_measurement(), metrics=(metric,))

    found = verdicts(row(before), row(most))["x"]
    assert (found.verdict, found.limit) == ("ok", most)
    assert outcomes(row(before), row(most * 1.001))["x"] == "regressed"


def test_what_must_match_for_a_comparison() -> None:
    """Other tokens, another clip's bytes, another benchmark body or device: not comparable."""
    base = a_wall(*STEADY)
    for change, said in (
        ({"tokens": 32}, "tokens was 64 and is 32"),
        ({"clip_sha256": "fff"}, "clip sha256 was def and is fff"),
    ):
        cell = msgspec.structs.replace(base.cell, **change)
        found = verdicts(base, msgspec.structs.replace(base, cell=cell))["latency_s"]
        assert (found.verdict, found.sentence) == ("not-comparable", said)
    body = msgspec.structs.replace(base, body="another")
    assert "benchmark's code has changed" in verdicts(base, body)["latency_s"].sentence
    elsewhere = msgspec.structs.replace(MACHINE, device_key="nvidia-t4")
    (each,) = compare(make_run(base), make_run(base, machine=elsewhere))
    assert each.verdict.verdict == "not-comparable"
    assert each.verdict.sentence.startswith("device key was")


def test_changed_libraries_are_suspects() -> None:
    """A library that changed is no reason not to compare; it is named."""
    other = msgspec.structs.replace(MACHINE, versions=MACHINE.versions | {"torch": "9.9"})
    (said,) = Gate(make_run(), other).circumstances()
    assert said == f"suspect: torch was {MACHINE.versions['torch']} and is 9.9"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("wall", "latency_s"),
        ("device_time", "decode_gpu_time_ms"),
        ("memory", "peak_process_mib"),
        ("exact", "weight_mib"),
        ("exact", "decode_aten_ops"),
    ],
)
def test_what_cannot_be_zero_is_no_improvement(kind: Kind, name: str) -> None:
    """A time, a memory or a count of nothing was not looked at: invalid, on either side."""

    def row(value: float) -> Measurement:
        metric = Metric(name=name, unit="1", kind=kind, better="lower", value=value)
        return msgspec.structs.replace(make_measurement(), metrics=(metric,))

    for before, after in ((5.0, 0.0), (0.0, 5.0), (0.0, 0.0)):
        assert outcomes(row(before), row(after))[name] == "invalid"


def test_another_checkpoint_is_a_suspect() -> None:
    """Other weights under the same name are named."""
    row = a_wall(*STEADY)
    other = msgspec.structs.replace(row, cell=msgspec.structs.replace(row.cell, checkpoint="new"))
    gate = Gate(make_run(row), MACHINE)
    gate.judge(other)
    assert gate.circumstances() == ["suspect: the checkpoint owner/whisper was abc and is new"]
