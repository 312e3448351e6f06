"""The course of a comparison: how far it goes, and what is known at any time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.runs import make_cell, make_measurement, make_memory, make_run
from tests.scripted import FakeClock
from whisperbench.ab import comparing
from whisperbench.ab.comparing import Asked, Course
from whisperbench.ab.pairs import Measured
from whisperbench.ab.sides import NothingSelectedError, Side
from whisperbench.asked.suite import read_suite
from whisperbench.errors import ExitCode, InputError
from whisperbench.results.comparison_file import Compared, decode_compared, encode_compared
from whisperbench.results.records import Run
from whisperbench.versions.revisions import Tree

PAIR_S = 100.0


class Uncounted(Course):
    """A course whose sides select no counts."""

    def _count(self, side: Side) -> Run:  # noqa: ARG002 - as the real one
        raise NothingSelectedError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A clock that a pair moves; pairs differ so much that none decides."""
    moved = FakeClock()

    class Taken(Measured):
        """Pairs that are made up."""

        def take(self) -> None:
            moved.now_s += PAIR_S
            factor = (0.5, 2.0)[self.pairs.count % 2]
            rows = [make_measurement(samples=(each,)) for each in (1.0, factor)]
            self.pairs.add(*map(make_run, rows))

        def wanted(self) -> set[str]:
            return {"token"} if self.pairs.open() else set()

    monkeypatch.setattr(comparing, "Measured", Taken)
    return moved


def course(folder: Path, clock: FakeClock, **asked: float | bool | int) -> Uncounted:
    """Prepare a course."""
    sides = [Side(name=name, python=folder / "python", suite=folder) for name in ("base", "head")]
    return Uncounted(
        Asked(
            base=sides[0],
            head=sides[1],
            arguments=(),
            folder=folder,
            suite=read_suite(),
            **asked,  # type: ignore[arg-type]
        ),
        lambda _: None,
        clock=clock,
    )


@pytest.mark.parametrize(("budget_s", "pairs"), [(1.0, 1), (299.0, 2), (300.0, 3), (350.0, 3)])
def test_no_pair_is_begun_that_would_end_after_the_budget(
    tmp_path: Path, clock: FakeClock, budget_s: float, pairs: int
) -> None:
    """The next pair is taken to last as long as the longest so far; what is known stands."""
    made = course(tmp_path, clock, budget_s=budget_s)
    made.run()
    assert clock.now_s == pairs * PAIR_S
    found = made.found
    assert any(f"minutes ended after {pairs} pair" in each for each in found.circumstances)
    assert [each.verdict.verdict for each in found.judged] == ["inconclusive"]
    # Nothing at all was decided: that is no pass.
    assert found.exit_code == ExitCode.INCONCLUSIVE
    # Of wall time alone nobody knows what was run.
    assert found.circumstances.count(comparing.UNKNOWN) == 1


def test_pairs_end_with_the_last_look(tmp_path: Path, clock: FakeClock) -> None:
    """No more pairs are taken than were asked for, however little they decide."""
    made = course(tmp_path, clock, largest=5)
    made.run()
    assert clock.now_s == 5 * PAIR_S


def test_nothing_is_known_before_it_runs(tmp_path: Path, clock: FakeClock) -> None:
    """What was interrupted at its very start has not passed."""
    made = course(tmp_path, clock)
    assert made.found.judged == []
    assert made.found.exit_code == ExitCode.INVALID


def test_without_cost_reach_is_not_known(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no cost pass was selected, it is said that nobody knows which functions were run."""
    run = make_run(make_memory(make_cell(), {"peak_process_mib": 1.0}))
    monkeypatch.setattr(Uncounted, "_count", lambda *_: run)
    made = course(tmp_path, clock, fast=True)
    made.run()
    assert made.found.exit_code == ExitCode.OK
    assert any("it is not known which of the changed" in each for each in made.found.circumstances)


def test_what_reach_cannot_find_out_costs_no_verdict(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts that are decided are told, and it has not passed."""
    run = make_run(make_memory(make_cell(), {"peak_process_mib": 1.0}))

    def fail(*_: object) -> None:
        raise InputError("an interpreter does not run")

    monkeypatch.setattr(Uncounted, "_count", lambda *_: run)
    monkeypatch.setattr(Uncounted, "_reach", fail)
    made = course(tmp_path, clock, fast=True)
    made.run()
    assert [each.verdict.verdict for each in made.found.judged] == ["ok"]
    assert made.found.exit_code == ExitCode.INVALID
    assert "an interpreter does not run" in made.found.unmeasured[0]


def test_what_was_compared_is_said(tmp_path: Path, clock: FakeClock) -> None:
    """Commits, arguments and extent, and what keeps it from passing, each on its line."""
    made = course(tmp_path, clock, largest=5)
    made.run()
    made.faults.append("pair 6: it broke\nat once")
    trees = [
        Tree(name=name, folder=tmp_path, commit=commit, dirty=commit is None)
        for name, commit in (("main", "a" * 40), ("the work tree", None))
    ]
    made.asked = replace(made.asked, arguments=("--clip", "yes"), trees=(trees[0], trees[1]))
    said = made.compared(3)
    assert said == Compared(
        base="a" * 40,
        head=None,
        arguments=("--clip", "yes"),
        fast=False,
        largest=5,
        pairs=5,
        faults=("pair 6: it broke\\nat once",),
        remarks=("no benchmark of counts, memory or words was selected", comparing.UNKNOWN),
        exit_code=3,
    )
    assert decode_compared(encode_compared(said)) == said
