"""The search: what is called worse, how many steps it takes, and what is skipped."""

from __future__ import annotations

import random

import pytest

from tests.runs import make_cell, make_cost, make_measurement, make_run
from whisperbench.bisect.search import counts_of, grown, most_steps, search
from whisperbench.errors import InputError, InvalidMeasurementError
from whisperbench.results.records import Run

NAMES = ("planted 1", "planted 2")


def counted_run(precision: str = "int8", **counts: float) -> Run:
    """Make up a run of the cost pass."""
    return make_run(make_cost(make_cell(precision), counts))


def test_sixteen_take_four_steps() -> None:
    """Wherever among 16 the growth is, it is found, and four between the ends are looked at."""
    for first_bad in range(1, 16):
        looked: list[int] = []

        def worse(index: int, first_bad: int = first_bad, looked: list[int] = looked) -> bool:
            looked.append(index)
            return index >= first_bad

        found = search(16, worse)
        assert (found.good, found.bad, found.skipped) == (first_bad - 1, first_bad, ())
        assert len(looked) <= most_steps(16) == 4
        assert len(set(looked)) == len(looked)


def test_what_cannot_be_measured_is_gone_around() -> None:
    """Skipped ones cost steps, and no answer; those beside the growth are named as possible."""
    seeded = random.Random(18)
    for _ in range(300):
        number = seeded.randrange(2, 40)
        first_bad = seeded.randrange(1, number)
        skipped = {each for each in range(1, number - 1) if seeded.random() < 0.3}

        def worse(
            index: int, skipped: set[int] = skipped, first_bad: int = first_bad
        ) -> bool | None:
            return None if index in skipped else index >= first_bad

        found = search(number, worse)
        assert found.good < first_bad <= found.bad
        assert set(found.skipped) == set(range(found.good + 1, found.bad))
        assert set(found.skipped) <= skipped


def test_several_growths_that_add_up() -> None:
    """However a count goes up and down, the two that are found lie on both sides of half way."""
    seeded = random.Random(5)
    for _ in range(300):
        values = [0.0, *(seeded.uniform(-50, 150) for _ in range(seeded.randrange(20))), 100.0]

        def worse(index: int, values: list[float] = values) -> bool:
            return values[index] > 50.0

        found = search(len(values), worse)
        assert found.bad == found.good + 1
        assert values[found.good] <= 50.0 < values[found.bad]


def test_the_largest_share_is_followed() -> None:
    """Of all that grew the largest share comes first, what there was nothing of last."""
    good = counts_of(counted_run(aten_ops=100, python_calls=1000, other_ops=0, allocations=9))
    bad = counts_of(counted_run(aten_ops=120, python_calls=1100, other_ops=4, allocations=8))
    found = grown(good, bad, NAMES, None)
    assert [each.place.metric for each in found[::2]] == [
        "decode_aten_ops",
        "decode_python_calls",
        "decode_other_ops",
    ]
    assert [each.boundary for each in found[::2]] == [110, 1050, 2]
    assert str(found[0].place) == "decode_aten_ops of owner/whisper int8"
    assert found[0].part(100, 115) == pytest.approx(0.75)
    chosen = grown(good, bad, NAMES, "*python_calls")
    assert {each.place.metric for each in chosen} == {"decode_python_calls", "encoder_python_calls"}


def test_nothing_to_look_for() -> None:
    """A bad end that is not worse, a count that none has, and no counts are one line each."""
    one, two = (counts_of(counted_run(aten_ops=each)) for each in (100, 90))
    with pytest.raises(InputError) as raised:
        grown(one, two, NAMES, None)
    assert str(raised.value) == (
        "planted 2 is not worse than planted 1: none of 2 counts grew, 2 of them shrank; there is "
        "nothing to look for"
    )
    with pytest.raises(InputError, match="none of 1 count grew, all are equal"):
        grown(one, one, NAMES, "decode_aten_ops")
    with pytest.raises(InputError, match=r"--metric wall: .* there are: decode_aten_ops, encoder_"):
        grown(one, two, NAMES, "wall")
    timed = counts_of(make_run(make_measurement()))
    with pytest.raises(InvalidMeasurementError, match="planted 2: no counts were measured; name "):
        grown(one, timed, NAMES, None)
