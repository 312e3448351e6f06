"""The split of a run: the same everywhere, whole, balanced, and with what belongs together."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runs import make_measurement, make_run
from whisperbench.asked.shards import (
    Member,
    Part,
    Times,
    Work,
    owners,
    read_shard,
    split,
    tied,
)
from whisperbench.errors import InputError
from whisperbench.results.records import ManifestEntry


def make_work(
    times: dict[str, float], loads: dict[str, float] | None = None, process_s: float = 0.0
) -> Work:
    """Make up work: benchmarks named "<checkpoint>/<anything>", a part each."""
    parts = tuple(
        Part((Member(name, name.partition("/")[0] if loads else "", took_s),))
        for name, took_s in sorted(times.items())
    )
    return Work(parts=parts, loads_s=loads or {}, process_s=process_s, guessed=0)


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "1/1001", "-1/4", "1/4/2", "a/b"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    """A number out of its range, or no number, is one line that says what to write."""
    with pytest.raises(InputError, match=r"--shard.*must be I/N"):
        read_shard(text)


def test_a_shard_is_read() -> None:
    """The first and the last are shards."""
    assert (*read_shard("1/1"), *read_shard("4/4")) == (1, 1, 4, 4)


@settings(deadline=None, max_examples=60)
@given(
    times=st.lists(st.floats(0, 100), min_size=1, max_size=12),
    shards=st.integers(1, 12),
    load_s=st.floats(0, 30),
)
def test_each_benchmark_is_in_one_shard(times: list[float], shards: int, load_s: float) -> None:
    """No shard is empty, no benchmark is lost, and none is measured twice."""
    named = {f"{place % 3}/{place}": took_s for place, took_s in enumerate(times)}
    work = make_work(named, dict.fromkeys("012", load_s))
    if shards > len(named):
        with pytest.raises(InputError, match=f"ask for at most {len(named)}"):
            split(work, shards)
        return
    found = split(work, shards)
    assert all(found)
    assert sorted(member.name for shard in found for part in shard for member in part.members) == (
        sorted(named)
    )
    assert set(owners(found).values()) == set(range(1, shards + 1))


@settings(deadline=None, max_examples=60)
@given(
    times=st.lists(st.integers(1, 100), min_size=4, max_size=12),
    shards=st.integers(2, 4),
)
def test_the_longest_shard_is_within_a_third_of_the_best(times: list[int], shards: int) -> None:
    """Longest first is at most 4/3 of the best split (Graham 1969), and moves make it no longer.

    Of the best split it is known that it is no shorter than the mean, nor than any benchmark, nor
    than two of the benchmarks where there are more than shards.
    """
    named = {f"/{place}": float(took_s) for place, took_s in enumerate(times)}
    work = make_work(named)
    ordered = sorted(named.values(), reverse=True)
    two = ordered[shards - 1] + ordered[shards] if len(ordered) > shards else 0.0
    least = max(sum(ordered) / shards, ordered[0], two)
    longest = max(work.seconds(shard) for shard in split(work, shards))
    assert longest <= 4 / 3 * max(least, _best(ordered, shards)) + 1e-6


def _best(times: list[float], shards: int) -> float:
    """Find the shortest longest shard by trying all, up to symmetry."""
    best = sum(times)

    def place(left: list[float], filled: list[float]) -> None:
        nonlocal best
        if max(filled) >= best:
            return
        if not left:
            best = max(filled)
            return
        for level in dict.fromkeys(filled):
            at = filled.index(level)
            place(left[1:], [*filled[:at], level + left[0], *filled[at + 1 :]])

    place(times, [0.0] * shards)
    return best


def test_the_split_is_the_same_whatever_the_order() -> None:
    """Machines that collect in another order make the same split, down to ties of equal times."""
    named = {f"{place % 4}/{place}": float(place % 3) for place in range(20)}
    loads = dict.fromkeys("0123", 2.0)
    expected = owners(split(make_work(named, loads), 3))
    for seed in range(5):
        names = list(named)
        random.Random(seed).shuffle(names)
        ties = [(one, other) for one, other in pairwise(sorted(names)[:3])]
        parts = tied(names, [], lambda name: Member(name, name[0], named[name]))
        work = Work(parts=parts, loads_s=loads, process_s=0.0, guessed=0)
        assert owners(split(work, 3)) == expected
        together = tied(names, ties, lambda name: Member(name, "", 1.0))
        assert together == tied(sorted(names), ties[::-1], lambda name: Member(name, "", 1.0))


def test_loading_twice_has_its_price() -> None:
    """Where loading takes longer than all else, a checkpoint stays in one shard."""
    named = {f"{which}/{place}": 1.0 for which in "ab" for place in range(4)}
    found = split(make_work(named, {"a": 100.0, "b": 100.0}), 2)
    assert [{part.checkpoints for part in shard} for shard in found] == [
        {frozenset("a")},
        {frozenset("b")},
    ]
    cheap = split(make_work(named | {"a/4": 4.0}, {"a": 0.1, "b": 0.1}), 2)
    lengths = [sum(part.took_s for part in shard) for shard in cheap]
    assert lengths == [6.0, 6.0]


def test_what_is_compared_stays_together() -> None:
    """Benchmarks that are tied, also by a third, are one part, which no split separates."""
    names = list("abcdef")
    parts = tied(names, [("a", "b"), ("e", "b"), ("c", "c")], lambda name: Member(name, "", 1.0))
    assert [[member.name for member in part.members] for part in parts] == [
        ["a", "b", "e"],
        ["c"],
        ["d"],
        ["f"],
    ]
    with pytest.raises(InputError, match=r"5 shards of a run of 4 parts.*stay together"):
        split(Work(parts=parts, loads_s={}, process_s=None, guessed=0), 5)


def _timed(name: str, setup_s: float | None, took_s: float | None) -> ManifestEntry:
    return ManifestEntry(
        benchmark=name, cell="", outcome="measured", setup_s=setup_s, took_s=took_s
    )


def test_times_are_those_of_the_run_or_of_its_like() -> None:
    """A benchmark that the run did not have counts as the middle one of its function."""
    manifest = (
        _timed("test_a[x]", 3.0, 10.0),
        _timed("test_a[y]", 0.01, 20.0),
        _timed("test_a[z]", 0.01, 60.0),
        _timed("test_b[x]", 0.01, 5.0),
    )
    run = make_run(make_measurement(), manifest=manifest)
    times = Times(run)
    assert (times.took_s("test_a[y]"), times.took_s("test_a[new]")) == (20.0, 20.0)
    assert times.took_s("test_c[x]") == 15.0
    assert (times.load_s(["test_a[x]", "test_b[x]"]), times.load_s(["test_a[new]"])) == (3.0, 3.0)
    assert times.process_s is None
    assert times.digest
    assert times.digest == Times(run).digest
    alike = Times(None)
    assert (alike.took_s("test_a[x]"), alike.load_s(["x"]), alike.digest) == (1.0, 1.0, "")


def test_a_run_without_times_balances_nothing() -> None:
    """A file of an older version is refused, and not taken for one whose cells take no time."""
    with pytest.raises(InputError, match="does not say how long its benchmarks took"):
        Times(make_run(make_measurement()))
