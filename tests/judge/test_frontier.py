"""Which contenders are beaten: by what, within what noise, and that one always stands."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperbench.judge.frontier import (
    Contender,
    Frontier,
    Noise,
    frontier,
    is_quicker,
    is_smaller,
    noise_of,
)
from whisperbench.results.passes import ClipScore

QUIET = Noise()


def make_scores(*wrong: int, words: int = 50) -> tuple[ClipScore, ...]:
    """Make up clips of so many words with so many wrong ones each."""
    return tuple(
        ClipScore(
            name=f"clip {place}",
            words=words,
            word_edits=edits,
            characters=5 * words,
            character_edits=edits,
            tokens=words,
            signs=(),
        )
        for place, edits in enumerate(wrong)
    )


def make(
    name: str,
    time_s: float = 1.0,
    memory_mib: float = 4000.0,
    wrong: Sequence[int] | None = (0, 0, 0, 0),
    spread: float = 0.0,
) -> Contender:
    """Make up a contender."""
    scores = () if wrong is None else make_scores(*wrong)
    words = sum(each.words for each in scores)
    return Contender(
        name=name,
        time_s=time_s,
        spread=spread,
        memory_mib=memory_mib,
        wer=sum(wrong) / words if wrong is not None else nan,
        scores=scores,
    )


def placed(*contenders: Contender, noise: Noise = QUIET) -> Frontier:
    """Place them."""
    found = frontier(contenders, noise)
    assert found is not None
    return found


def beaten(found: Frontier) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return what beats each that is beaten, and in what."""
    return {each.contender.name: dict(each.beaten_by) for each in found.placed if each.beaten_by}


def test_better_in_all_beats() -> None:
    """What is quicker, smaller and no worse in words beats; each measure is named."""
    found = placed(make("slow", 4.0, 4000.0), make("best", 1.0, 2000.0))
    assert beaten(found) == {"slow": {"best": ("time", "memory")}}
    assert [each.name for each in found.standing] == ["best"]


def test_a_trade_beats_nothing() -> None:
    """Who is slower and smaller is beaten by none and beats none."""
    assert beaten(placed(make("quick", 1.0, 4000.0), make("small", 2.0, 2000.0))) == {}


@pytest.mark.parametrize(
    ("other", "noise"),
    [
        (make("other", 1.04), QUIET),
        (make("other", 1.19), noise_of(on_host=False, processes=2)),
        (make("other", 1.15, spread=0.1), QUIET),
        (make("other", 1.19, spread=nan), QUIET),
        (make("other", memory_mib=4080.0), QUIET),
        (make("other", memory_mib=4300.0), noise_of(on_host=True)),
        (make("other", wrong=(1, 0, 0, 0)), QUIET),
    ],
)
def test_noise_beats_nothing(other: Contender, noise: Noise) -> None:
    """What differs by less than unchanged code does is alike: in time, in memory and in words."""
    assert beaten(placed(make("one", spread=other.spread), other, noise=noise)) == {}


@pytest.mark.parametrize(
    ("other", "measure"),
    [
        (make("other", 1.06), "time"),
        (make("other", memory_mib=4100.0), "memory"),
        (make("other", wrong=(9, 8, 10, 9)), "words"),
    ],
)
def test_more_than_noise_in_one_measure_is_enough(other: Contender, measure: str) -> None:
    """Alike in two measures, and surely better in the third."""
    assert beaten(placed(make("one"), other)) == {"other": {"one": (measure,)}}


@pytest.mark.parametrize(
    ("wrong", "is_beaten"),
    [((0, 0, 0, 0), True), ((1, 0, 0, 0), True), ((5, 0, 0, 0), False), ((9, 8, 10, 9), False)],
)
def test_words_protect_who_may_hear_better(wrong: tuple[int, ...], is_beaten: bool) -> None:
    """A quicker one beats with words that are not shown to be as good within two points."""
    found = placed(make("slow", 4.0), make("quick", 1.0, wrong=wrong))
    assert ("slow" in beaten(found)) is is_beaten


def test_words_of_other_clips_are_not_paired() -> None:
    """Without the same clips only the rates speak, and nothing is surely better in words."""
    one, other = make("one", wrong=(0, 0)), make("other", wrong=(9, 9, 9))
    assert beaten(placed(one, other)) == {}
    assert beaten(placed(make("one", 0.5, wrong=(0, 0)), other)) == {"other": {"one": ("time",)}}
    assert beaten(placed(one, make("other", 0.5, wrong=(9, 9, 9)))) == {}


def test_what_was_not_measured_is_not_placed() -> None:
    """A contender without a figure that others have neither beats nor is beaten, and is named."""
    found = placed(make("one"), make("other", 4.0), make("lost", 0.1, nan))
    lost = found.of("lost")
    assert lost is not None
    assert (lost.lacks, lost.stands, lost.beaten_by) == (("memory",), False, {})
    assert beaten(found) == {"other": {"one": ("time",)}}


def test_words_may_be_lacking_of_all() -> None:
    """Then time and memory decide, and the measures say so; without either nothing is placed."""
    found = placed(make("one", wrong=None), make("other", 4.0, wrong=None))
    assert found.measures == ("time", "memory")
    assert beaten(found) == {"other": {"one": ("time",)}}
    assert frontier([make("one", nan), make("other", nan)], QUIET) is None
    assert frontier([make("one", 1.0, nan), make("other", 2.0, nan)], QUIET) is None


def test_a_ring_beats_nobody() -> None:
    """Allowances of three add up, so that each beats the next one: then all are alike."""
    ring = (
        make("a", 1.00, 2040.0, wrong=(1, 1, 1, 1)),
        make("b", 1.06, 2000.0, wrong=(1, 0, 1, 0)),
        make("c", 1.03, 2060.0, wrong=(0, 0, 0, 0)),
    )
    a, b, c = ring
    pairs = ((a, b, "time"), (b, c, "memory"), (c, a, "words"))
    for one, other, measure in pairs:
        assert beaten(placed(one, other)) == {other.name: {one.name: (measure,)}}
    assert beaten(placed(*ring)) == {}
    assert beaten(placed(*ring, make("d", 4.0, wrong=(1, 1, 1, 1))))["d"].keys() == {"a", "b", "c"}


_CONTENDERS = st.lists(
    st.tuples(
        st.floats(0.5, 1.5) | st.just(nan),
        st.floats(500, 700) | st.just(nan),
        st.sampled_from([(0, 0, 0), (1, 0, 0), (0, 1, 1), (4, 4, 4)]),
        st.floats(0, 0.1),
    ),
    min_size=1,
    max_size=7,
).map(lambda rows: [make(f"c{place}", *row) for place, row in enumerate(rows)])


@given(_CONTENDERS)
def test_one_always_stands_and_order_says_nothing(contenders: list[Contender]) -> None:
    """Of those that are known in full one stands; reversed, the same are beaten by the same."""
    found = frontier(contenders, QUIET)
    if found is None:
        return
    if any(not each.lacks for each in found.placed):
        assert found.standing
    again = frontier(contenders[::-1], QUIET)
    assert again is not None
    assert beaten(again) == beaten(found)
    by_name = {each.name: each for each in contenders}
    for loser, winners in beaten(found).items():
        assert loser not in winners
        for winner, better in winners.items():
            one, other = by_name[winner], by_name[loser]
            assert better
            assert ("time" in better) == is_quicker(one, other, QUIET)
            assert ("memory" in better) == is_smaller(one.memory_mib, other.memory_mib, QUIET)
            assert not is_quicker(other, one, QUIET)
            assert not is_smaller(other.memory_mib, one.memory_mib, QUIET)
