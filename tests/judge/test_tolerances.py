"""Tolerances: where they hold, which are refused, and what widens them."""

from __future__ import annotations

import msgspec
import pytest

from tests.judge.compared import (
    a_cost,
)
from tests.runs import MACHINE, make_run
from whisperbench.asked.suite import Tolerance
from whisperbench.judge.compare import Gate, compare


def test_a_tolerance_holds_where_it_matches() -> None:
    """A row of suite.toml widens one figure of one precision; of two rows the last one holds."""
    row = Tolerance(
        metrics=("*_aten_ops",),
        models=("*",),
        precisions=("int8",),
        devices=("*",),
        share=0.02,
        reason="bitsandbytes 0.51 casts once more",
    )
    other = msgspec.structs.replace(row, precisions=("nf4",), share=1.0)
    base, head = make_run(a_cost(100)), make_run(a_cost(102))
    assert {each.verdict.verdict for each in compare(base, head, [row, other])} == {"ok"}
    finer = msgspec.structs.replace(row, share=0.01)
    assert "regressed" in {each.verdict.verdict for each in compare(base, head, [row, finer])}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metrics": ("decode_aten_opps",)}, "no metric is called 'decode_aten_opps'"),
        ({"precisions": ("int9",)}, "no precision is called 'int9'"),
        ({"models": ("dummy:larger*",)}, "no dummy is called 'dummy:larger.'"),
        ({"models": ("dummy:tiny:5",)}, "no dummy is called 'dummy:tiny:5'"),
        ({"metrics": ("rtfx*",)}, "it is another figure, divided by something"),
        ({"devices": ("NVIDIA*",)}, "no device key is like 'NVIDIA.'"),
        (
            {"metrics": ("latency_s",), "share": 0.001},
            "finer than unchanged code wobbles: set share to 0.02",
        ),
    ],
)
def test_a_tolerance_that_cannot_hold_is_an_error(fields: dict[str, object], message: str) -> None:
    """A misspelt name, or a tolerance finer than the noise, is refused when suite.toml is read."""
    row = {
        "metrics": ["decode_aten_ops"],
        "models": ["*"],
        "precisions": ["*"],
        "devices": ["*"],
        "share": 0.1,
        "reason": "x",
    }
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(row | fields, Tolerance)


def test_another_card_of_the_model_widens_the_tolerances() -> None:
    """2 % of GPU time is a regression on one card, and allowed on another of its model."""
    here = msgspec.structs.replace(MACHINE, gpu_uuid="GPU-one")
    head = a_cost()
    metrics = tuple(
        msgspec.structs.replace(metric, samples=(10.2,)) if metric.samples else metric
        for metric in head.metrics
    )
    base = make_run(a_cost(), machine=here)
    head = msgspec.structs.replace(head, metrics=metrics)
    other = msgspec.structs.replace(MACHINE, gpu_uuid="GPU-other", driver="1.2")
    again = make_run(head, machine=here)
    assert "regressed" in {each.verdict.verdict for each in compare(base, again)}
    unknown = compare(base, make_run(head, machine=msgspec.structs.replace(here, gpu_uuid=None)))
    assert "not-comparable" in {each.verdict.verdict for each in unknown}
    there = make_run(head, machine=other)
    assert {each.verdict.verdict for each in compare(base, there)} == {"ok"}
    said = Gate(base, other).circumstances()
    assert said[0].startswith(
        "the card is another one of the same model, so tolerances are wider: device time by"
    )
    assert said[1].startswith("driver was")


def test_a_tolerance_that_matched_nothing_is_said() -> None:
    """A row for this device whose names fit no figure is named: perhaps one is misspelt."""
    row = Tolerance(
        metrics=("*_aten_ops",),
        models=("openai/whisper-larg-v3",),
        precisions=("int8",),
        devices=("*",),
        reason="x",
    )
    elsewhere = msgspec.structs.replace(row, devices=("cpu-*",))
    gate = Gate(make_run(a_cost()), MACHINE, [row, elsewhere])
    gate.judge_all([a_cost()])
    (said,) = gate.circumstances()
    assert "openai/whisper-larg-v3 int8 matched no figure here" in said
