"""The study of the sequential test judges as the library does. No figure here was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scripts import sequential_study
from scripts.sequential_study import (
    FAMILY,
    LAST,
    SYMMETRIC,
    TOLERANCE,
    alarms,
    false_alarms,
    judge,
    looked,
    normal,
)
from whisperbench.judge.boundaries import BY_FAMILY
from whisperbench.judge.sequential import MOST, decide, looks

NAMES = ("regressed", "improved", "ok", "undecided")


@pytest.mark.parametrize("largest", LAST)
@pytest.mark.parametrize("growth", [-0.07, 0.0, 0.04, 0.06])
def test_the_study_judges_as_the_library_does(largest: int, growth: float) -> None:
    """What judges many figures at once says of each what `decide` says, at the same look."""
    drawn = np.random.default_rng(0).normal(size=(60, MOST))
    found = judge(looked(drawn, looks(largest)), growth, 0.03, TOLERANCE)
    for at, pairs in enumerate(drawn):
        growths = (math.log1p(growth) + 0.03 * pairs).tolist()
        one = decide(growths, family=FAMILY, tolerance=TOLERANCE, largest=largest)
        assert (NAMES[found.outcome[at]], found.pairs[at]) == (one.outcome, one.pairs)


@pytest.mark.parametrize("shape", SYMMETRIC)
def test_unchanged_suites_raise_no_more_alarms_than_they_may(shape: str) -> None:
    """A quick run of the study: of 20,000 suites at most 1 % have an alarm, but for chance."""
    found = alarms(SYMMETRIC[shape], 20_000, np.random.default_rng(1))
    assert found[0] < 1.2


def test_a_rule_that_alarms_too_often_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study fails where boundaries of one figure are those of ten."""
    monkeypatch.setattr(sequential_study, "SYMMETRIC", {"normal": normal})
    monkeypatch.setattr(sequential_study, "OTHERS", {})
    rng = np.random.default_rng(1)
    assert false_alarms(5_000, rng)[0][1][0] == "normal"
    wrong = {FAMILY: BY_FAMILY[1]}
    monkeypatch.setattr(sequential_study, "BY_FAMILY", wrong)
    assert not false_alarms(5_000, rng)[1]
