"""Wall time by pairs of processes. No figure here was measured."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import msgspec
import pytest

from tests.runs import make_cell, make_cost, make_measurement, make_run
from whisperbench.asked.suite import Tolerance
from whisperbench.errors import InputError
from whisperbench.judge.boundaries import BY_FAMILY
from whisperbench.judge.pairs import Pairs
from whisperbench.judge.sequential import FEWEST, MOST
from whisperbench.results.figure import Metric
from whisperbench.results.passes import LatencyResult, Turns
from whisperbench.results.records import ManifestEntry, Measurement, Run, Verdict

ROUNDS = 8


def timed(*samples: float, alone: bool = False) -> Measurement:
    """Make up what a process has timed that takes turns, or runs alone."""
    row = make_measurement("token", samples=samples)
    turns = Turns(cpus=(3,), reference_ms=(1.0,) * len(samples))
    return msgspec.structs.replace(row, found=LatencyResult(turns=None if alone else turns))


def taken(pairs: Pairs, growth: float, number: int = MOST) -> Pairs:
    """Take in so many pairs of which the head takes longer by a share, give or take 0.5 %."""
    chance = random.Random(str(growth))
    for _ in range(number):
        host = math.exp(chance.gauss(0, 0.2))  # the processes of a pair share what the host does
        factor = (1 + growth) * math.exp(chance.gauss(0, 0.005))
        base = timed(*[host] * ROUNDS)
        pairs.add(make_run(base), make_run(timed(*[host * factor] * ROUNDS)))
    return pairs


def verdict_of(pairs: Pairs) -> Verdict:
    """Return the only verdict that there is."""
    (judged,) = pairs.judged()
    return judged.verdict


@pytest.mark.parametrize(
    ("growth", "outcome"), [(0.0, "ok"), (0.3, "regressed"), (-0.3, "improved")]
)
def test_pairs_decide(growth: float, outcome: str) -> None:
    """Head over base is judged within pairs: what both have in common of a slow host is nothing."""
    pairs = taken(Pairs(), growth)
    found = verdict_of(pairs)
    assert found.verdict == outcome
    assert found.kind == "wall"
    assert "pairs in turns)" in found.sentence
    assert not pairs.open()


def test_what_is_better_larger_has_grown_where_it_fell() -> None:
    """Of a figure such as a throughput a fall is the regression."""
    pairs = Pairs()
    for jitter in (1.0, 1.001, 0.999, 1.002, 0.998, 1.0, 1.001, 0.999):
        rows = [
            msgspec.structs.replace(
                timed(1.0),
                metrics=(Metric(name="rate", unit="1", kind="wall", better="higher", value=value),),
            )
            for value in (10.0, 5.0 * jitter)
        ]
        pairs.add(*map(make_run, rows))
    assert verdict_of(pairs).verdict == "regressed"


def test_undecided_pairs_say_what_may_be_hidden() -> None:
    """Before the first look nothing is decided; any growth may be hidden, and more pairs help."""
    pairs = taken(Pairs(), 0.0, FEWEST - 1)
    found = verdict_of(pairs)
    assert (found.verdict, found.unseen, found.interval) == ("inconclusive", None, None)
    assert "of any size may stay unseen" in found.sentence
    assert pairs.open() == {("token", make_measurement().cell)}


def test_the_last_look_is_the_one_that_was_asked_for() -> None:
    """After --pairs 3 nothing is open; wide pairs stay undecided, and the bound is said."""
    pairs = Pairs(largest=FEWEST)
    for factor in (0.8, 1.0, 1.25):
        pairs.add(make_run(timed(1.0)), make_run(timed(factor)))
    found = verdict_of(pairs)
    assert found.verdict == "inconclusive"
    assert not pairs.open()


def test_a_tolerance_of_the_suite_holds_in_turns() -> None:
    """suite.toml's [[tolerance]] takes the place of the tolerance in turns."""
    everything = ("*",)
    wide = Tolerance(
        metrics=("latency_s",),
        models=everything,
        precisions=everything,
        devices=everything,
        share=0.5,
        reason="made up",
    )
    assert verdict_of(taken(Pairs(), 0.3)).verdict == "regressed"
    assert verdict_of(taken(Pairs([wide]), 0.3)).verdict == "ok"


def test_both_orders_count_alike() -> None:
    """Who comes second is quicker by a third here, and has more rounds; no growth is seen in that.

    In the rounds of even places the base is first, in the others the head.
    """
    base = [1.5, 1.0] * 4 + [1.5]
    head = [1.0, 1.5] * 4 + [1.0]
    pairs = Pairs()
    for _ in range(4):
        pairs.add(make_run(timed(*base)), make_run(timed(*head)))
    found = verdict_of(pairs)
    assert found.interval is not None
    assert found.interval[0] == pytest.approx(0.0, abs=1e-9)


def test_pairs_of_whole_processes_are_told() -> None:
    """Processes that ran by themselves have no rounds in common: their medians are held together.

    They may have different numbers of rounds.
    """
    pairs = Pairs()
    for _ in range(3):
        base = timed(1.0, 1.0, 9.0, alone=True)
        pairs.add(make_run(base), make_run(timed(2.0, 2.0, alone=True)))
    found = verdict_of(pairs)
    assert found.verdict == "regressed"
    assert "+100.0%" in found.sentence
    assert "(3 pairs of whole processes)" in found.sentence


def entry(outcome: str, name: str = "token") -> ManifestEntry:
    """Make up what became of a benchmark."""
    return msgspec.convert(
        {"benchmark": name, "cell": "a", "outcome": outcome, "reason": "why"}, ManifestEntry
    )


@pytest.mark.parametrize(("lacks", "verdict"), [("base", "new"), ("head", "missing")])
def test_what_one_side_alone_measures_is_no_pass(lacks: str, verdict: str) -> None:
    """It is new or missing as in any comparison, until a later pair has it on both sides."""
    both = [make_run(timed(1.0)), make_run(timed(1.0))]
    first = [
        make_run(manifest=(entry("failed"),)) if lacks == name else run
        for name, run in zip(("base", "head"), both, strict=True)
    ]
    pairs = Pairs()
    pairs.add(*first)
    assert verdict_of(pairs).verdict == verdict
    assert not pairs.measured()
    for _ in range(8):
        pairs.add(*both)
    assert verdict_of(pairs).verdict == "ok"
    assert pairs.measured() == {("token", make_measurement().cell)}


def test_a_later_failure_leaves_what_is_known() -> None:
    """A pair in which one side failed gives no figure, and takes none away."""
    pairs = taken(Pairs(), 0.3)
    pairs.add(make_run(manifest=(entry("failed"),)), make_run(timed(1.0)))
    assert verdict_of(pairs).verdict == "regressed"


def other_checkpoint(row: Measurement, name: str) -> Measurement:
    """Give a measurement another checkpoint's fingerprint."""
    return msgspec.structs.replace(row, cell=msgspec.structs.replace(row.cell, checkpoint=name))


def test_another_checkpoint_is_a_suspect_and_no_other_cell() -> None:
    """Weights that the two sides' libraries made differently are compared, and it is said."""
    pairs = Pairs()
    for _ in range(4):
        base = other_checkpoint(timed(1.0), "before")
        pairs.add(make_run(base), make_run(timed(2.0)))
    assert verdict_of(pairs).verdict == "regressed"
    assert any("the checkpoint owner/whisper was before" in say for say in pairs.circumstances())


def test_what_cannot_be_compared_is_not_judged_by_pairs() -> None:
    """Another body of the benchmark is one verdict, not comparable, however many pairs follow."""
    pairs = Pairs()
    for _ in range(4):
        head = msgspec.structs.replace(timed(2.0), body="changed")
        pairs.add(make_run(timed(1.0)), make_run(head))
    assert verdict_of(pairs).verdict == "not-comparable"
    assert not pairs.open()


@pytest.mark.parametrize("bad", [1, 4])
def test_a_process_that_measured_nothing_stays_doubted(bad: int) -> None:
    """A time of 0 in one pair is invalid, whatever the other pairs say."""
    pairs = Pairs()
    for number in range(1, 9):
        head = timed(0.0 if number == bad else 1.0)
        pairs.add(make_run(timed(1.0)), make_run(head))
    assert verdict_of(pairs).verdict == "invalid"
    assert not pairs.open()


def test_what_is_no_wall_time_is_decided_by_one_pair() -> None:
    """Counts in the files of pairs are judged as ever, once."""
    rows = [make_cost(make_cell("int8", tokens=4), {"aten_ops": ops}) for ops in (100, 101)]
    pairs = Pairs()
    for _ in range(2):
        pairs.add(*map(make_run, rows))
    found = [each.verdict for each in pairs.judged() if each.verdict.verdict == "regressed"]
    assert [each.metric for each in found] == ["encoder_aten_ops", "decode_aten_ops"]


def asked_for(names: Iterable[str]) -> Run:
    """Make up a run of which one benchmark was measured, and the others failed."""
    return make_run(timed(1.0), manifest=tuple(entry("failed", name) for name in names))


def test_the_family_is_that_of_the_first_pair() -> None:
    """It counts what was asked for, and does not shrink when later pairs measure less."""
    growths = [1.02, 1.021, 1.0195, 1.0205]
    alone, among = Pairs(), Pairs()
    for number, factor in enumerate(growths):
        head = make_run(timed(factor))
        alone.add(make_run(timed(1.0)), head)
        many = asked_for(map(str, range(4096 if number == 0 else 1)))
        among.add(
            make_run(timed(1.0)), msgspec.structs.replace(many, measurements=head.measurements)
        )
    one, other = verdict_of(alone), verdict_of(among)
    assert one.interval is not None
    assert other.interval is not None
    assert other.interval[0] < one.interval[0]


def test_too_many_figures_are_refused() -> None:
    """Where there are no boundaries for so many figures it is one line, not a fault."""
    most = max(BY_FAMILY)
    with pytest.raises(InputError, match=f"{most + 1} figures of wall time are more than"):
        Pairs().add(make_run(timed(1.0)), asked_for(map(str, range(most + 1))))


@pytest.mark.parametrize("growth", [0.0, 0.3, -0.3])
def test_a_course_ends_as_the_verdict_does(growth: float) -> None:
    """Pair by pair and look by look: the last look is the one that decided."""
    pairs = taken(Pairs(), growth)
    (course,) = pairs.courses()
    verdict = verdict_of(pairs)
    assert course.outcome == course.looks[-1].decision.outcome == verdict.verdict
    assert all(look.decision.outcome == "undecided" for look in course.looks[:-1])
    assert len(course.growths) == MOST
    assert all(abs(each - growth) < 0.05 for each in course.growths)
    last = course.looks[-1].decision
    assert verdict.interval == (last.low, last.high)


def test_before_the_first_look_there_is_none() -> None:
    """Two pairs are shown, and nothing is said of them."""
    (course,) = taken(Pairs(), 0.0, FEWEST - 1).courses()
    assert course.looks == ()
    assert len(course.growths) == FEWEST - 1
