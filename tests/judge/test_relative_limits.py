"""Limits relative to another precision's figure, and the sentences of both kinds."""

from __future__ import annotations

import msgspec
import pytest

from tests.judge.made_up_limits import (
    GPU_FIGURES,
    a_limit,
    a_ratio,
    only,
)
from whisperbench.asked.suite import Limit
from whisperbench.results.records import Verdict


@pytest.mark.parametrize("weight_mib", [1000.0, 1500.0])
def test_at_most_the_ratio_is_ok(weight_mib: float) -> None:
    """A share up to the limit, and exactly at it, keeps it."""
    verdict = only(
        a_ratio(), {"weight_mib": weight_mib}, {"fp16": {"weight_mib": 3000.0}, "fp32": {}}
    )
    ratio = weight_mib / 3000.0
    assert verdict == Verdict(
        verdict="ok",
        metric="weight_mib",
        head=ratio,
        limit=0.5,
        unit="1",
        sentence=(
            f"weight_mib is {ratio:.3f} of fp16's ({weight_mib:.1f} of 3000.0 MiB), of at most 0.5"
        ),
    )


def test_over_the_ratio_is_told_all() -> None:
    """The sentence holds the cell, both figures, the limit, its reason and the remedy."""
    verdict = only(a_ratio(), {"weight_mib": 1550.0}, {"fp16": {"weight_mib": 3000.0}})
    assert verdict == Verdict(
        verdict="over-limit",
        metric="weight_mib",
        head=1550.0 / 3000.0,
        limit=0.5,
        unit="1",
        sentence=(
            "owner/whisper int8: weight_mib is 0.517 of fp16's (1550.0 of 3000.0 MiB), over its "
            "limit of 0.5 (halving is the point); look at which layers are not quantized, or "
            "raise the limit in benchmarks/suite.toml and say why"
        ),
    )


@pytest.mark.parametrize(
    ("figures", "references", "whose", "absent"),
    [
        ({"weight_mib": 1.0}, {}, "fp16", "fp16"),
        ({"weight_mib": 1.0}, {"fp32": {"weight_mib": 3.0}}, "fp16", "fp16"),
        ({"weight_mib": 1.0}, {"fp16": {"context_mib": 3.0}}, "fp16", None),
        ({"weight_mib": 1.0}, {"fp16": {"weight_mib": 0.0}}, "fp16", None),
        ({"weight_mib": 1.0}, {"fp16": {}}, "fp16", None),
        ({"context_mib": 1.0}, {"fp16": {"weight_mib": 3.0}}, "int8", None),
        ({"context_mib": 1.0}, {}, "int8", None),
    ],
)
def test_a_ratio_without_both_figures_has_not_passed(
    figures: dict[str, float],
    references: dict[str, dict[str, float]],
    whose: str,
    absent: str | None,
) -> None:
    """No reference, a reference of zero, or no figure of its own: `missing`, and whose it is.

    Only a precision that was not measured at all is `absent`: it may not have been asked for.
    """
    verdict = only(a_ratio(), figures, references)
    assert (verdict.verdict, verdict.head, verdict.limit) == ("missing", None, 0.5)
    assert (verdict.unit, verdict.absent) == ("1", absent)
    assert verdict.sentence == (
        "owner/whisper int8: weight_mib at most 0.5 of fp16's could not be judged: no weight_mib "
        f"of {whose} in this run"
    )


def test_a_ratio_compares_like_with_like() -> None:
    """Where the cell's process figure hides, its device figure is held against fp16's device."""
    verdict = only(
        a_ratio("peak_process_mib"),
        {"peak_device_mib": 400.0},
        {"fp16": {"peak_process_mib": 100.0, "peak_device_mib": 1000.0}},
    )
    assert (verdict.verdict, verdict.metric, verdict.head) == ("ok", "peak_device_mib", 0.4)


@pytest.mark.parametrize("limit", [a_limit(max_mib=2000.0), a_ratio("peak_process_mib")])
def test_a_sentence_is_one_line(limit: Limit) -> None:
    """A reason of several lines, as suite.toml's profiles have, does not break the sentence."""
    limit = msgspec.structs.replace(limit, reason="first line\nand second")
    verdict = only(limit, GPU_FIGURES, {"fp16": GPU_FIGURES})
    assert verdict.verdict == "over-limit"
    assert "\n" not in verdict.sentence
    assert "(first line and second)" in verdict.sentence


@pytest.mark.parametrize("over_mib", [0.004, 0.04, 0.4, 4.0])
def test_a_sentence_does_not_deny_itself(over_mib: float) -> None:
    """What is over by little is not said to be 0.0 MiB over."""
    sentence = only(a_limit(), {"peak_process_mib": 1024.0 + over_mib}).sentence
    assert "is 1024.0 MiB, " not in sentence
    assert " 0.0 MiB over" not in sentence
