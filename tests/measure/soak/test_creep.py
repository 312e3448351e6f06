"""Slopes: what moves them, and what does not."""

from __future__ import annotations

import random
from math import isclose

import pytest

from whisperbench.measure.soak.creep import counted_from, creep_kib, drift, trend

CALLS = 40
LEAK_MIB = 64 / 1024


def test_a_leak_is_its_own_size() -> None:
    """64 KiB a call are a slope of 64, within bounds that say so."""
    found = creep_kib([100.0 + call * LEAK_MIB for call in range(CALLS)])
    assert isclose(found.slope, 64.0)
    assert isclose(found.low, 64.0)
    assert isclose(found.high, 64.0)


@pytest.mark.parametrize("at", range(CALLS))
@pytest.mark.parametrize("height_mib", [-50.0, 0.125, 20.0])
def test_one_step_is_no_creep(at: int, height_mib: float) -> None:
    """A block that is fetched or given back once, whenever that is, moves no slope."""
    assert creep_kib([100.0 + height_mib * (call >= at) for call in range(CALLS)]).slope == 0.0


def test_a_step_hides_no_leak() -> None:
    """Beside a step of 20 MiB a leak of 64 KiB a call is found with its size, nearly."""
    series = [call * LEAK_MIB + 20.0 * (call >= 30) for call in range(CALLS)]
    assert isclose(creep_kib(series).slope, 64.0)


@pytest.mark.parametrize("at", range(counted_from(CALLS), CALLS))
def test_one_odd_reading_is_no_creep_and_hides_none(at: int) -> None:
    """A reading that is off by 500 MiB moves no slope, whichever it is."""
    for leak_mib in (0.0, LEAK_MIB):
        series = [call * leak_mib + 500.0 * (call == at) for call in range(CALLS)]
        assert isclose(creep_kib(series).slope, 1024 * leak_mib, abs_tol=1e-9)


@pytest.mark.parametrize("begun", range(0, 32, 5))
def test_a_staircase_has_nearly_its_mean_slope(begun: int) -> None:
    """torch takes a block of 2 MiB for every 32 leaks of 64 KiB, of which one step is forgiven."""
    series = [2.0 * ((call + begun) * LEAK_MIB // 2.0) for call in range(200)]
    assert 48.0 < creep_kib(series).slope < 64.0


@pytest.mark.parametrize("calls", [20, 40, 200])
def test_what_fills_caches_in_the_first_calls_is_left_out(calls: int) -> None:
    """A quarter of the calls counts for nothing, whatever they take."""
    first = counted_from(calls)
    assert first == calls // 4
    series = [*(float(100 * call) for call in range(first)), *[1e4] * (calls - first)]
    assert creep_kib(series).slope == 0.0


def test_noise_is_within_the_bounds() -> None:
    """Of 200 noisy series without a trend 99 in 100 or so have bounds with 0 between them."""
    chance = random.Random(0)
    found = [trend([chance.gauss(0.0, 1.0) for _ in range(30)]) for _ in range(200)]
    assert sum(each.low <= 0.0 <= each.high for each in found) >= 194
    assert all(each.low <= each.slope <= each.high for each in found)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_drift_is_the_end_over_the_beginning(ratio: float) -> None:
    """A call that takes half as long in the end, or twice, says so; the first calls say nothing."""
    first = counted_from(CALLS)
    steps = CALLS - first - 1
    times = [9.0] * first + [ratio ** (at / steps) for at in range(steps + 1)]
    assert isclose(drift(times).slope, ratio)
