"""The result types: what may be in them."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperbench.results.figure import Metric


@given(figure=st.sampled_from([math.nan, math.inf, -math.inf]), at=st.integers(0, 2))
def test_a_metric_is_finite(figure: float, at: int) -> None:
    """NaN and infinity are refused, as a value and anywhere among the samples."""
    samples = [1.0, 2.0, 3.0]
    samples[at] = figure
    for figures in ({"value": figure}, {"samples": tuple(samples)}):
        with pytest.raises(ValueError, match="not finite"):
            Metric(name="latency_s", unit="s", kind="wall", better="lower", **figures)


@pytest.mark.parametrize("figures", [{}, {"samples": ()}, {"value": 1.0, "samples": (1.0,)}])
def test_a_metric_says_something_once(figures: dict[str, Any]) -> None:
    """A metric has a value or samples: not neither, not both, not an empty list."""
    with pytest.raises(ValueError, match="needs a value or samples"):
        Metric(name="latency_s", unit="s", kind="wall", better="lower", **figures)


def test_the_format_is_plain_json() -> None:
    """What is recorded goes through JSON without loss."""
    metric = Metric(name="latency_s", unit="s", kind="wall", better="lower", samples=(0.1, 0.25))
    assert msgspec.json.decode(msgspec.json.encode(metric), type=Metric) == metric
