"""The search: what it finds, how many steps it takes, and what is skipped."""

from __future__ import annotations

import json
import random
from itertools import combinations, pairwise, product

import pytest
from packaging.version import Version

from tests.runs import make_cell, make_cost, make_measurement, make_run
from whisperbench.asked.checkout import ROOT
from whisperbench.bisect.search import (
    Span,
    counts_of,
    grown,
    measurement_at,
    most_steps,
    others,
    search,
)
from whisperbench.errors import InputError, InvalidMeasurementError
from whisperbench.results.records import Run

NAMES = ("planted 1", "planted 2")


def counted_run(precision: str = "int8", **counts: float) -> Run:
    """Make up a run of the cost pass."""
    return make_run(make_cost(make_cell(precision), counts))


class Counts:
    """Counts of candidates; None of one that cannot be measured."""

    def __init__(self, values: list[float | None]) -> None:
        self.values = values
        self.looked: list[int] = []

    def __call__(self, index: int) -> float | None:
        """Return the count of a candidate."""
        self.looked.append(index)
        return self.values[index]

    def search(self) -> list[Span]:
        """Search all of them."""
        first, last = self.values[0], self.values[-1]
        assert first is not None
        assert last is not None
        found = search(len(self.values), (first, last), self)
        assert len(set(self.looked)) == len(self.looked), "none is measured twice"
        assert not {0, len(self.values) - 1} & set(self.looked)
        assert len(self.looked) <= 3 * most_steps(len(self.values))
        return found


def test_sixteen_take_four_steps() -> None:
    """Wherever among 16 the growth is, it is found, and four between the ends are looked at."""
    for first_bad in range(1, 16):
        counts = Counts([100.0 + (each >= first_bad) for each in range(16)])
        assert counts.search() == [
            Span(first=first_bad - 1, last=first_bad, growth=1.0, skipped=())
        ]
        assert len(counts.looked) <= most_steps(16) == 4


def test_what_cannot_be_measured_is_gone_around() -> None:
    """Skipped ones cost steps, and no answer; those beside the growth are named as possible."""
    seeded = random.Random(18)
    for _ in range(300):
        number = seeded.randrange(2, 40)
        first_bad = seeded.randrange(1, number)
        skipped = {each for each in range(1, number - 1) if seeded.random() < 0.2}
        counts = Counts(
            [None if each in skipped else float(each >= first_bad) for each in range(number)]
        )
        (found,) = counts.search()
        if not found.whole:
            assert len(counts.looked) >= 3 * most_steps(number)
            continue
        assert found.first < first_bad <= found.last
        assert set(found.skipped) == set(range(found.first + 1, found.last)) <= skipped


def test_a_larger_growth_elsewhere_is_looked_for() -> None:
    """Small growths that add up to half do not hide a larger one that came in one step."""
    # Calls of transformers' encoder, as they grew: of 78 half by many, and 38 at once.
    values: list[float | None] = [391, 395, 395, 413, 428, 429, 431, 431, *[431] * 20, *[469] * 6]
    counts = Counts(values)
    found = counts.search()
    assert found[0] == Span(first=27, last=28, growth=38.0, skipped=())
    assert found[1].growth <= 22
    assert len(counts.looked) <= 3 * most_steps(len(values))


def test_what_is_found_is_the_largest_step() -> None:
    """However a count goes up and down, a larger step lies only between equal counts, unseen."""
    seeded = random.Random(5)
    within, largest = 0, 0
    for _ in range(300):
        inner = [float(seeded.choice((0, 0, 0, 5, 60, 100))) for _ in range(seeded.randrange(30))]
        values: list[float] = [0.0, *inner, 100.0]
        counts = Counts([*values])
        found = counts.search()
        for each in found:
            assert values[each.last] - values[each.first] == each.growth
        if len(counts.looked) == 3 * most_steps(len(values)):
            continue  # all that may be measured: what is left is named as a range
        within += 1
        assert found[0].whole
        steps = [two - one for one, two in pairwise(values)]
        largest += found[0].growth == max(steps)
        for one, two in pairwise(sorted({0, len(values) - 1, *counts.looked})):
            assert values[one] == values[two] or max(steps[one:two]) <= found[0].growth
    assert within > 200
    assert largest > 0.75 * within, "half of these counts are equal"


def test_a_fall_hides_no_growth() -> None:
    """Between any two releases of transformers that were counted the largest step is found."""
    recorded = json.loads((ROOT / "docs" / "recordings" / "releases.json").read_text())
    known = recorded["transformers"]["releases"]
    order = sorted(known, key=Version)
    tried = 0
    for precision, column in product(("fp32", "int8"), known["5.3.0"]["fp32"]):
        every = [known[each][precision][column] for each in order]
        for first, last in combinations(range(len(every)), 2):
            values = every[first : last + 1]
            if values[-1] > values[0]:
                tried += 1
                most = max(two - one for one, two in pairwise(values))
                found = Counts([*values]).search()
                assert found[0].growth == most, (column, order[first], order[last])
                assert found[0].whole
    assert tried > 500
    # 5.5.0 added 605 a run, and 5.12.0 took most of it back, so that 5.14.0's 664 lay in a half
    # that grew by less.
    columns = [known[each]["fp32"]["decode_python_calls"] * 4 for each in order]
    begin = order.index("5.3.0")
    found = Counts(columns[begin:]).search()
    assert (order[begin + found[0].last], found[0].growth) == ("5.14.0", 664)


def test_other_packages_are_named() -> None:
    """Of two environments the packages that differ are named, and one that only one side has."""
    before = {"planted": "1", "A_b": "1.0", "same": "1", "gone": "3"}
    after = {"planted": "2", "a-b": "1.1", "same": "1", "came": "4"}
    assert others(before, after, "planted") == (
        "beside planted, a-b 1.0 became 1.1, came (none) became 4, gone 3 became (none), "
        "which may be the cause"
    )
    assert others(before, before | {"planted": "2"}, "planted") is None
    assert others({}, after, "planted") is None


def test_cells_that_differ_in_the_clip_alone() -> None:
    """Counts of two clips are told apart, and found again in the run."""
    cells = [make_cell("int8", clip=clip) for clip in ("yes", "harbour")]
    run = make_run(*(make_cost(cell, {"aten_ops": n + 7.0}) for n, cell in enumerate(cells)))
    places = [each for each in counts_of(run) if each.metric == "decode_aten_ops"]
    assert [counts_of(run)[each] for each in places] == [7, 8]
    found = [measurement_at(run, each) for each in places]
    assert [each.cell for each in found if each] == cells


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
    assert str(found[0].place) == "decode_aten_ops of owner/whisper int8, harbour, 64 tokens"
    assert found[0].part(15) == pytest.approx(0.75)
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
