"""Figures of several processes: what they decide, and what they do not."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from tests.judge.compared import (
    STEADY,
    a_wall,
    outcomes,
    times,
    verdicts,
)
from tests.runs import make_measurement
from whisperbench.results.figure import Metric
from whisperbench.results.kinds import Kind
from whisperbench.results.records import Measurement


@pytest.mark.parametrize(
    ("head", "verdict", "said"),
    [
        (times(1.0), "ok", ""),
        (times(1.04), "ok", "(5 processes against 5)"),
        (times(1.1), "regressed", "1 to 1.1 s (+10.00 %), between +"),
        (times(0.9), "improved", ""),
        (times(1.1, processes=1), "inconclusive", "some are slow as a whole; record at least 3"),
        (
            times(1.0, processes=1),
            "ok",
            "(5 processes against 1: where one more process would lie)",
        ),
        ((1.0, 1.5, 0.7, 1.2, 0.9), "inconclusive", "may stay unseen, and 8.0 % is the tolerance"),
    ],
)
def test_wall_time_is_judged_by_processes(head: tuple[float, ...], verdict: str, said: str) -> None:
    """Slower, faster, the same within the tolerance, or not to be told: by what processes show."""
    found = verdicts(a_wall(*STEADY), a_wall(*head))["latency_s"]
    assert found.verdict == verdict
    assert said in found.sentence
    assert found.interval is not None


def test_processes_that_do_not_agree_are_not_believed() -> None:
    """GPU times that one process has five times over decide nothing; error rates must agree."""

    def row(kind: Kind, *figures: float) -> Measurement:
        metric = Metric(name="x", unit="1", kind=kind, better="lower", processes=figures)
        return msgspec.structs.replace(make_measurement(), metrics=(metric,))

    steady, wild = (10.0, 10.0, 10.0), (10.0, 10.0, 50.0)
    assert outcomes(row("device_time", *steady), row("device_time", *wild)) == {"x": "inconclusive"}
    assert outcomes(row("quality", *steady), row("quality", *wild)) == {"x": "invalid"}


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_smallest_times_do_not_overflow(better: Literal["lower", "higher"]) -> None:
    """A file may hold any finite figure: the farthest apart are judged, and printed, as well."""

    def row(*figures: float) -> Measurement:
        metric = Metric(name="x", unit="s", kind="wall", better=better, processes=figures)
        return msgspec.structs.replace(make_measurement(), metrics=(metric,))

    tiny = row(1e-310, 2e-310, 1.5e-310)
    found = verdicts(tiny, row(1.0, 1.1, 1.2))["x"]
    assert found.verdict == ("regressed" if better == "lower" else "improved")
    assert "nan" not in found.sentence
    slower = verdicts(row(1.0, 1.01, 1.02), row(0.5, 0.51, 0.52))["x"]
    assert slower.verdict == ("improved" if better == "lower" else "regressed")


def test_a_base_of_few_processes_decides_nothing() -> None:
    """One process of the base may be the slow one: neither better nor as good is said by it."""
    for count in (1, 2):
        assert outcomes(a_wall(*times(1.3, count)), a_wall(*STEADY))["latency_s"] == "inconclusive"
    assert outcomes(a_wall(*times(1.3, 3)), a_wall(*STEADY))["latency_s"] == "improved"


def test_the_growth_that_may_be_hidden_is_a_figure() -> None:
    """What is not decided has it as a share, none where it is any; what is decided has none."""
    wild = verdicts(a_wall(*STEADY), a_wall(1.0, 1.5, 0.7, 1.2, 0.9))["latency_s"]
    assert wild.kind == "wall"
    assert wild.unseen is not None
    assert f"a growth under {100 * wild.unseen:.1f} % may stay unseen" in wild.sentence
    single = verdicts(a_wall(*STEADY), a_wall(*times(1.1, 1)))["latency_s"]
    assert 0.0 < (single.unseen or 0.0) < 0.1
    few = verdicts(a_wall(1.0), a_wall(1.0))["latency_s"]
    assert (few.unseen, few.sentence.partition(" tells too little")[0]) == (
        None,
        "1 process against 1",
    )
    wildest = verdicts(a_wall(1.0, 9.0, 90.0), a_wall(5.0, 1.0, 70.0))["latency_s"]
    assert wildest.unseen is None
    assert ": any growth may stay unseen" in wildest.sentence
    assert verdicts(a_wall(*STEADY), a_wall(*STEADY))["latency_s"].unseen is None
