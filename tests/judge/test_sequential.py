"""Decisions by pairs that come one after another. Pure arithmetic."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from scipy.stats import ttest_1samp

from whisperbench.judge.boundaries import BY_FAMILY, LOOKS, OF_TOLERANCE
from whisperbench.judge.sequential import FEWEST, MOST, Decision, decide, looks

TOLERANCE = 0.05
WOBBLE = (0.4, -1.1, 0.9, -0.2, 1.3, -0.8, -0.5, 0.6, 0.1, -0.7, 1.0, -1.0, 0.3, -0.4, 0.7, -0.6)
"""Sixteen deviations that add up to 0."""


def pairs(growth: float, spread: float, number: int = MOST) -> list[float]:
    """Return logarithms around a growth."""
    return [math.log1p(growth) + spread * wobble for wobble in WOBBLE[:number]]


def judged(growths: list[float], family: int = 10, largest: int = MOST) -> Decision:
    """Decide with the tolerance of this file."""
    return decide(growths, family=family, tolerance=TOLERANCE, largest=largest)


@pytest.mark.parametrize(
    ("growth", "spread", "outcome"),
    [
        (0.08, 0.01, "regressed"),
        (-0.08, 0.01, "improved"),
        (0.0, 0.01, "ok"),
        (0.05, 0.2, "undecided"),
    ],
)
def test_each_outcome_has_its_evidence(growth: float, spread: float, outcome: str) -> None:
    """What is far from 0 is decided either way, what is near it is ok, and noise is undecided."""
    assert judged(pairs(growth, spread)).outcome == outcome


def test_bounds_are_those_of_students_t() -> None:
    """At the first look low and at_most are scipy's intervals, of what that look may err."""
    growths = pairs(0.05, 0.01, 3)
    found = judged(growths, largest=3)
    test = ttest_1samp(growths, 0)
    everywhere = test.confidence_interval(1 - 2 * 0.001)
    alone = test.confidence_interval(1 - 2 * 0.025)
    assert (found.low, found.high) == pytest.approx([math.expm1(x) for x in everywhere], rel=2e-3)
    assert found.at_most == pytest.approx(math.expm1(alone.high), rel=2e-3)
    assert found.growth == pytest.approx(math.expm1(math.fsum(growths) / 3))


def test_a_decision_stays() -> None:
    """Pairs after the look that decided change nothing, whatever they are."""
    decided = judged(pairs(0.08, 0.01))
    assert decided.pairs < MOST
    after = pairs(0.08, 0.01, decided.pairs) + [-0.3] * 10
    assert judged(after) == decided


def test_between_looks_nothing_is_decided() -> None:
    """Pairs since the last look are not looked at before the next one."""
    found = judged([*pairs(0.05, 0.5, 8), 5.0])
    assert (found.pairs, found.next_look) == (8, 10)
    assert found == judged(pairs(0.05, 0.5, 8))


def test_before_the_first_look_nothing_is_known() -> None:
    """One pair or two bound nothing, and say what they are."""
    found = judged([0.01, 0.03])
    assert (found.outcome, found.pairs, found.next_look) == ("undecided", 2, FEWEST)
    assert found.growth == pytest.approx(math.expm1(0.02))
    assert found.low == -1
    assert min(found.high, found.at_most, found.unseen) > 1e20


def test_undecided_says_where_it_is_looked_at_next() -> None:
    """Each look names the following one, and the last one none."""
    wild = pairs(0.05, 0.5)
    following = {number: judged(wild[:number]).next_look for number in LOOKS}
    assert following == {**dict(pairwise(LOOKS)), MOST: None}
    assert judged(pairs(0.08, 0.001)).next_look is None


@pytest.mark.parametrize("largest", range(FEWEST, MOST + 1))
def test_the_last_look_spends_what_is_left(largest: int) -> None:
    """Where the last look comes earlier it decides more easily than one that others follow."""
    wild = pairs(0.05, 0.5, largest)
    last, goes_on = judged(wild, largest=largest), judged(wild)
    assert last.next_look is None
    assert last.pairs == largest
    assert last.unseen < goes_on.unseen or largest == MOST
    assert looks(largest)[-1] == largest
    assert looks(largest)[:-1] == tuple(look for look in LOOKS if look < largest)


def test_pairs_past_the_last_look_do_not_count() -> None:
    """Where six were planned, a seventh changes nothing."""
    wild = pairs(0.05, 0.5, 6)
    assert judged([*wild, 9.0], largest=6) == judged(wild, largest=6)


@pytest.mark.parametrize(("growth", "outcome"), [(0.0, "ok"), (0.03, "ok"), (0.06, "regressed")])
def test_pairs_without_any_spread_are_taken_as_they_are(growth: float, outcome: str) -> None:
    """A clock that always says the same divides nothing by 0: its bounds are its growth."""
    found = judged([math.log1p(growth)] * 3)
    assert (found.outcome, found.pairs) == (outcome, 3)
    assert found.low == found.high == found.at_most == pytest.approx(growth)
    assert found.unseen == 0


def test_a_growth_within_the_tolerance_is_ok_however_sure_it_is() -> None:
    """What is shown to have grown, and shown to be within the tolerance, has not regressed."""
    found = judged(pairs(0.03, 0.00001))
    assert found.low > 0
    assert found.outcome == "ok"


def test_ok_waits_for_what_may_be_an_improvement() -> None:
    """What seems to have fallen by more than the tolerance is not yet ok, if looks follow."""
    fallen = pairs(-0.08, 0.02)
    waiting = judged(fallen[:4])
    assert waiting.outcome == "undecided"
    assert waiting.at_most < TOLERANCE
    assert judged(fallen).outcome == "improved"
    assert judged(fallen[:4], largest=4).outcome == "ok"
    assert judged(pairs(-0.04, 0.02)).outcome == "ok"


def test_more_figures_widen_the_bounds_of_each() -> None:
    """The false-alarm rate is the suite's; `ok` is each figure's own."""
    alone, among = (judged(pairs(0.05, 0.1), family=family) for family in (1, 50))
    assert among.low < alone.low
    assert among.at_most == alone.at_most


def test_a_family_between_rows_takes_the_larger() -> None:
    """Boundaries are never those of fewer figures than there are."""
    for family in range(1, 257):
        row = min(size for size in BY_FAMILY if size >= family)
        wild = pairs(0.05, 0.5, 6)
        assert judged(wild, family=family) == judged(wild, family=row)
    with pytest.raises(ValueError, match=f"for 1 to {max(BY_FAMILY)} figures, not 5000"):
        judged([0.0] * 3, family=5000)


def test_falling_mirrors_growing() -> None:
    """What regresses improves with its sign turned, at the same look and by the same bounds."""
    grown = judged(pairs(0.09, 0.02))
    fallen = judged([-growth for growth in pairs(0.09, 0.02)])
    assert (grown.outcome, fallen.outcome) == ("regressed", "improved")
    assert grown.pairs == fallen.pairs
    assert math.log1p(grown.low) == pytest.approx(-math.log1p(fallen.high))


def test_no_growth_that_may_stay_unseen_is_understated() -> None:
    """Undecided, what may stay unseen is no less than the bound of the growth."""
    rng = random.Random(0)
    undecided = 0
    for _ in range(300):
        found = judged([rng.gauss(0.03, 0.1) for _ in range(rng.randint(3, MOST))])
        if found.outcome == "undecided":
            undecided += 1
            assert found.at_most <= found.unseen
    assert undecided > 200


@pytest.mark.parametrize(
    "row", [OF_TOLERANCE, *BY_FAMILY.values()], ids=["tolerance", *map(str, BY_FAMILY)]
)
def test_boundaries_come_down_as_pairs_come_in(row: tuple[tuple[float, ...], ...]) -> None:
    """Each row has a boundary for every look, and an earlier look asks for more."""
    interim, last = row
    assert len(interim) == len(LOOKS) - 1
    assert len(last) == MOST - FEWEST + 1
    assert list(interim) == sorted(interim, reverse=True)
    assert all(last[look - FEWEST] < at for look, at in zip(LOOKS, interim, strict=False))


@pytest.mark.parametrize(
    ("growths", "said"),
    [
        ([], "no pairs"),
        ([0.0, math.nan, 0.0], "pair 2 has no finite growth"),
        ([0.0, 0.0, math.inf], "pair 3 has no finite growth"),
        ([-math.inf], "pair 1 has no finite growth"),
        ([1e308, 1e308], "pair 1 has no finite growth"),
    ],
)
def test_what_is_no_growth_is_refused(growths: list[float], said: str) -> None:
    """A figure that is not finite never becomes a decision."""
    with pytest.raises(ValueError, match=said):
        judged(growths)


@pytest.mark.parametrize("largest", [0, 2, 17])
def test_a_last_look_that_has_no_boundary_is_refused(largest: int) -> None:
    """With fewer pairs nothing can be decided, and for more there is no boundary."""
    with pytest.raises(ValueError, match=f"3 to 16 pairs, not {largest}"):
        judged([0.0] * 20, largest=largest)


@pytest.mark.parametrize("tolerance", [-0.01, math.nan, math.inf])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    """A tolerance is a share."""
    with pytest.raises(ValueError, match="the tolerance is a share"):
        decide([0.0] * 3, family=1, tolerance=tolerance)


def test_a_family_of_none_is_refused() -> None:
    """There is no share of an error for no figure."""
    with pytest.raises(ValueError, match="not 0"):
        judged([0.0] * 3, family=0)
