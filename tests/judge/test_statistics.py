"""Growth between groups of processes. Pure arithmetic."""

from __future__ import annotations

import math
import random
from statistics import fmean, median, stdev

import pytest
from scipy.stats import t, ttest_ind

from whisperbench.judge.statistics import (
    FALSE_ALARMS,
    MISSED,
    error_of_median,
    growth,
    known_within,
)

BASE = (1.0, 1.02, 0.97, 1.01, 0.99)
HEAD = (1.08, 1.11, 1.05, 1.07)


def test_bounds_are_those_of_students_t() -> None:
    """The bounds are scipy's intervals of the same test, on logarithms."""
    found = growth(BASE, HEAD, 4)
    assert found is not None
    test = ttest_ind([math.log(x) for x in HEAD], [math.log(x) for x in BASE])
    everywhere = test.confidence_interval(1 - 2 * FALSE_ALARMS / 4)
    alone = test.confidence_interval(1 - 2 * MISSED)
    assert (found.low, found.high) == pytest.approx([math.expm1(x) for x in everywhere])
    assert found.at_most == pytest.approx(math.expm1(alone.high))
    assert found.low < found.estimate < found.at_most < found.high


def test_one_head_gets_a_prediction_interval() -> None:
    """One process is held against the spread of the base's and its own."""
    found = growth(BASE, (1.05,), 1)
    assert found is not None
    logs = [math.log(x) for x in BASE]
    mean = math.fsum(logs) / 5
    spread = math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / 4 * (1 + 1 / 5))
    expected = math.log(1.05) - mean - t.ppf(1 - FALSE_ALARMS, 4) * spread
    assert found.low == pytest.approx(math.expm1(expected))


def test_more_figures_widen_the_bounds_of_each() -> None:
    """The false-alarm rate is the suite's, so a figure among many needs more."""
    alone, among = growth(BASE, HEAD, 1), growth(BASE, HEAD, 50)
    assert alone is not None
    assert among is not None
    assert among.low < alone.low
    assert among.at_most == alone.at_most


@pytest.mark.parametrize(("base", "head"), [((1.0,), (1.0,)), ((), (1.0, 2.0)), ((1.0, 2.0), ())])
def test_too_few_processes_say_nothing(base: tuple[float, ...], head: tuple[float, ...]) -> None:
    """Without a spread there is no answer."""
    assert growth(base, head, 1) is None


@pytest.mark.parametrize("number", [8, 40])
def test_the_error_of_a_median(number: int) -> None:
    """Over many draws of normal values it is how far their medians lie apart, within a tenth."""
    chance = random.Random(number)
    draws = [[chance.gauss(0.3, 0.05) for _ in range(number)] for _ in range(4000)]
    errors = [error_of_median(values) for values in draws]
    assert fmean(errors) == pytest.approx(stdev(map(median, draws)), rel=0.1)


def test_a_stray_value_leaves_the_error_of_a_median() -> None:
    """One round that took ten times as long makes the others no less known."""
    values = [0.01 * (number % 5) for number in range(20)]
    assert error_of_median([*values, 2.3]) < 1.2 * error_of_median(values)


def test_how_well_rounds_are_known_is_students_interval() -> None:
    """It is half of scipy's 95 % interval of the logarithms' mean; of one round all is open."""
    logs = [math.log(x) for x in BASE]
    mean, spread = fmean(logs), stdev(logs) / math.sqrt(len(logs))
    low, high = t.interval(0.95, len(logs) - 1, loc=mean, scale=spread)
    assert known_within(BASE) == pytest.approx(math.expm1((high - low) / 2))
    assert known_within((1.0, 1.0, 1.0)) == 0.0
    assert known_within((1.0,)) == math.inf
