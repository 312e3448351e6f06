"""Pairs as they come: which benchmarks the next one is for, and when whole processes alternate."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tests.ab.stand_in import ENCODER, FAIL, KILL, TOKEN, Plan, interpreter, told
from tests.runs import CPU_MACHINE, MACHINE, make_cell, make_memory, make_run
from whisperbench.ab import pairs as measuring
from whisperbench.ab.pairs import Measured, why_whole
from whisperbench.ab.sides import NothingSelectedError, Side, SideError
from whisperbench.ab.started import StartedPair
from whisperbench.judge.pairs import Pairs
from whisperbench.results.records import Machine, Run


def measured(folder: Path, base: Plan, head: Plan, whole: str = "") -> Measured:
    """Prepare pairs of sides that play by plans."""
    sides = [
        Side(name=name, python=interpreter(folder / name, plan), suite=folder)
        for name, plan in (("base", base), ("head", head))
    ]
    results = folder / "results"
    results.mkdir()
    return Measured(
        base=sides[0],
        head=sides[1],
        arguments=("benchmarks",),
        folder=results,
        pairs=Pairs(),
        lock=None,
        whole=whole,
    )


def loaded(made: Measured, number: int) -> list[str]:
    """Return the benchmarks that the head loaded in a pair."""
    beginning = f"wall {number} load "
    places = [place for place, _ in told(made.head.python)]
    return [each.removeprefix(beginning) for each in places if each.startswith(beginning)]


def test_a_pair_is_for_what_is_not_decided(tmp_path: Path) -> None:
    """What a look has decided is not run again; what has failed twice is not, either."""
    gone = Plan(at={f"wall {number} load {TOKEN}": FAIL for number in (1, 2)})
    made = measured(tmp_path, gone, Plan())
    made.take()
    assert made.wanted() == {TOKEN, ENCODER}
    assert made.unmeasured() == [f"base, pair 1: failed: {TOKEN}: it did not load"]
    made.take()
    assert made.wanted() == {ENCODER}
    made.take()
    assert loaded(made, 3) == [ENCODER]
    assert made.wanted() == set()
    assert [each.verdict.verdict for each in made.pairs.judged()] == ["ok"]
    assert made.unmeasured() == [f"base, pair 2: failed: {TOKEN}: it did not load"]


def held(made: Measured, number: int) -> bool:
    """Whether both processes of a pair wait for its turn."""
    places = [{place for place, _ in told(side.python)} for side in (made.base, made.head)]
    return all(f"wall {number} held" in each for each in places)


def wait_until(what: Callable[[], bool]) -> None:
    """Wait for something that comes soon."""
    end_s = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end_s
        time.sleep(0.01)


@pytest.fixture
def spare_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a host with two CPUs that a pair leaves; this one may have too few."""
    two = (tuple(os.sched_getaffinity(0)) * 2)[:2]
    monkeypatch.setattr(measuring, "choose_spare_cpus", lambda _: two)


@pytest.mark.usefixtures("spare_cpus")
def test_the_next_pair_is_started_ahead(tmp_path: Path) -> None:
    """While a pair measures, the next one's processes start; then they leave out what is known.

    Those of a pair that is not needed are ended, and leave nothing.
    """
    gone = Plan(at={f"wall {number} load {TOKEN}": FAIL for number in (1, 2)})
    made = measured(tmp_path, gone, Plan())
    for number in (1, 2, 3):
        made.take()
        wait_until(partial(held, made, number + 1))
        places = [place for place, _ in told(made.base.python)]
        assert f"wall {number + 2}" not in places, "two CPUs are enough for one pair"
    assert loaded(made, 3) == [ENCODER], "TOKEN has failed twice"
    assert made.wanted() == set()
    made.close()
    pids = [pid for side in (made.base, made.head) for _, pid in told(side.python)]
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert not list(made.folder.glob("pair-04*"))


def test_two_pairs_are_started_ahead_where_there_are_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a CPU for each of their processes, and who waits leaves the CPUs that measure."""
    kept: list[tuple[int, tuple[int, ...]]] = []
    keep_to = StartedPair.keep_to

    def noting(pair: StartedPair, cpus: Sequence[int]) -> None:
        kept.append((pair.number, tuple(cpus)))
        keep_to(pair, cpus)

    monkeypatch.setattr(StartedPair, "keep_to", noting)
    spare = (sorted(os.sched_getaffinity(0)) * 4)[:4]
    monkeypatch.setattr(measuring, "choose_spare_cpus", lambda _: tuple(spare))
    made = measured(tmp_path, Plan(), Plan())
    made.most = 4
    made.take()
    wait_until(lambda: held(made, 2) and held(made, 3))
    spare.reverse()
    made.take()
    wait_until(partial(held, made, 4))
    made.take()
    made.close()
    now, then = tuple(reversed(spare)), tuple(spare)
    assert kept == [(2, now), (3, now), (3, then), (4, then), (4, then)]
    assert loaded(made, 3) == [TOKEN, ENCODER]
    assert not list(made.folder.glob("pair-04*"))


def test_a_pair_that_cannot_start_ahead_starts_in_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before it is started all the same, and nothing of it is lost."""
    monkeypatch.setattr(measuring, "choose_spare_cpus", lambda _: (0,) * 4)
    monkeypatch.setattr(StartedPair, "keep_to", lambda *_: None)
    made = measured(tmp_path, Plan(), Plan())
    made.most = 3
    tried = []

    def failing(number: int, *given: Any, lock: int | None, cpus: Sequence[int]) -> StartedPair:
        tried.append((number, bool(cpus)))
        if number == 3 and cpus:
            raise SideError("no room for a process")
        return StartedPair(number, *given, lock=lock, cpus=cpus)

    monkeypatch.setattr(measuring, "StartedPair", failing)
    for _ in range(3):
        made.take()
    assert tried == [(1, False), (2, True), (3, True), (3, True), (3, False)]
    assert made.pairs.count == 3


def test_ctrl_c_leaves_no_pair_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come while one of two is ended: the other one is ended, too."""
    monkeypatch.setattr(measuring, "choose_spare_cpus", lambda _: (0,) * 4)
    monkeypatch.setattr(StartedPair, "keep_to", lambda *_: None)
    made = measured(tmp_path, Plan(), Plan())
    made.take()
    close, closed = StartedPair.close, []

    def interrupted(pair: StartedPair) -> None:
        close(pair)
        closed.append(pair.number)
        if len(closed) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(StartedPair, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.close()
    assert sorted(closed) == [2, 3]
    pids = [pid for side in (made.base, made.head) for _, pid in told(side.python)]
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.usefixtures("spare_cpus")
def test_a_process_that_ends_while_it_holds(tmp_path: Path) -> None:
    """It is named when its turn comes, and what was measured before stands."""
    made = measured(tmp_path, Plan(at={"wall 2 held": KILL}), Plan())
    made.take()
    with pytest.raises(SideError, match=r"the base's process was ended by SIGKILL"):
        made.take()
    assert made.pairs.count == 1


@pytest.mark.usefixtures("spare_cpus")
def test_no_pair_is_started_after_the_last(tmp_path: Path) -> None:
    """Where as many as there can be have begun, none is started ahead."""
    made = measured(tmp_path, Plan(), Plan())
    made.most = 1
    made.take()
    assert not [place for place, _ in told(made.base.python) if place.startswith("wall 2")]


def test_the_reference_loop_says_how_steady_the_host_was(tmp_path: Path) -> None:
    """Of pairs in turns the range of its loops is told; of whole processes there is none."""
    made = measured(tmp_path, Plan(), Plan())
    assert made.host() == []
    made.take()
    (line,) = made.host()
    assert "the reference loop took 1.00 to 1.00 ms" in line


def test_whole_processes_run_one_after_the_other(tmp_path: Path) -> None:
    """A reason to take no turns is enough: no channel is opened, and the figures are by process."""
    made = measured(tmp_path, Plan(), Plan(), whole="this system does not let them be pinned")
    made.take()
    assert loaded(made, 1) == [TOKEN, ENCODER]
    assert not [place for place, _ in told(made.head.python) if " round " in place]
    assert made.host() == []
    assert made.pairs.judged()[0].verdict.sentence.endswith("and 5.0 % is the tolerance")
    assert "(1 pair of whole processes)" in made.pairs.judged()[0].verdict.sentence


@pytest.mark.parametrize("whole", ["", "they do not fit"])
def test_nothing_to_time(tmp_path: Path, whole: str) -> None:
    """Where both sides select nothing of wall time, that is what is said."""
    made = measured(tmp_path, Plan(seconds={}), Plan(seconds={}), whole)
    with pytest.raises(NothingSelectedError):
        made.take()


def taking(mib: float, machine: Machine = MACHINE) -> Run:
    """Make up a run whose largest process took so much of the device."""
    rows = [make_memory(make_cell(), {"peak_process_mib": each}) for each in (1.0, mib)]
    return make_run(*rows, machine=machine)


def test_why_whole_processes_alternate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that take more than the device has together, or that cannot be pinned; else they turn."""
    room = MACHINE.memory_mib
    assert why_whole([taking(room / 2), taking(room / 2)]) == ""
    assert why_whole([taking(room / 2), taking(room / 2 + 10)]).startswith("both sides do not fit")
    small = msgspec.structs.replace(CPU_MACHINE, memory_mib=100)
    assert why_whole([taking(60.0, small), taking(60.0)]).endswith("they take 120 of 100 MiB")
    assert why_whole([]) == ""
    monkeypatch.setattr(measuring, "can_pin", lambda: False)
    assert why_whole([]) == "this system does not let processes be pinned to cores"
