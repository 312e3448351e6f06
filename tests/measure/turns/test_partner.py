"""Taking turns as a process sees it: real pipes, and a thread at their other end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.rounds import EnoughRoundsError
from whisperbench.measure.turns.messages import (
    Alone,
    Began,
    Channel,
    Collected,
    Ended,
    Enough,
    FromProcess,
    Go,
    GoOn,
    Ready,
    Start,
    ToProcess,
)
from whisperbench.measure.turns.partner import Partner
from whisperbench.measure.turns.reference import STEPS, reference_loop

ANY = FromProcess


@contextmanager
def answered(*answers: ToProcess) -> Iterator[tuple[Partner, list[FromProcess]]]:
    """Give a partner whose messages are answered with these in turn; then the other end is gone.

    Beside it the messages, in order.
    """
    from_us, to_us = os.pipe(), os.pipe()
    ours, theirs = Channel(to_us[0], from_us[1]), Channel(from_us[0], to_us[1])
    said: list[FromProcess] = []

    def answer() -> None:
        for each in answers:
            said.append(theirs.receive(ANY))  # type: ignore[arg-type]  # a union of structs
            theirs.send(each)
        theirs.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield Partner(ours, CpuAccelerator()), said
    finally:
        thread.join(10)
        ours.close()
        assert not thread.is_alive()


START = Start(cpus=(0, 1), partner=4711)


def rounds(partner: Partner) -> list[bool]:
    """Take rounds until there are enough; return which of them settled."""
    settled: list[bool] = []
    while True:
        try:
            partner.wait(None)
        except EnoughRoundsError:
            return settled
        settled.append(partner.settling)


def test_a_benchmark_in_turns() -> None:
    """It says that it has begun, waits before each round, and goes on when both have ended."""
    answers = (START, Go(settling=True), Go(), Go(), Enough(), GoOn())
    with answered(*answers) as (partner, said):
        with partner.benchmark("a"):
            assert rounds(partner) == [True, False, False]
            assert partner.pids == {4711}
        kept = partner.turns(2)
    assert said == [Began(benchmark="a"), *[Ready()] * 4, Ended()]
    assert kept.cpus == (0, 1)
    assert len(kept.reference_ms) == 2, "of the warm-up round nothing is kept"
    assert all(milliseconds > 0 for milliseconds in kept.reference_ms)


def test_the_next_benchmark_begins_anew() -> None:
    """What the reference loop took before the rounds of one benchmark is not kept with another."""
    each = (START, Go(), Enough(), GoOn())
    with answered(*each, *each) as (partner, _):
        for name in "ab":
            with partner.benchmark(name):
                rounds(partner)
        assert len(partner.turns(10).reference_ms) == 1


def test_a_benchmark_that_fails_in_a_round() -> None:
    """Its rounds are said to have ended, so that the other one is not kept waiting."""

    def fail(partner: Partner) -> None:
        with partner.benchmark("a"):
            partner.wait(None)
            raise ZeroDivisionError

    with answered(START, Go(), GoOn()) as (partner, said), pytest.raises(ZeroDivisionError):
        fail(partner)
    assert said[-1] == Ended()


def test_a_benchmark_that_the_other_one_does_not_measure() -> None:
    """It fails with the reason, and no round is taken."""
    with (
        answered(Alone(why="the base does not get as far as this")) as (partner, _),
        pytest.raises(InvalidMeasurementError, match="the base does not get as far as this"),
        partner.benchmark("a"),
    ):
        pytest.fail("it began")


def run_to(place: str, partner: Partner) -> None:
    """Go on until a place at which no answer comes."""
    with partner.benchmark("a"):
        if place == "round":
            partner.wait(None)


@pytest.mark.parametrize(
    ("place", "answers"), [("begin", ()), ("round", (START,)), ("end", (START,))]
)
def test_nobody_measures_for_who_has_gone(place: str, answers: tuple[ToProcess, ...]) -> None:
    """When `whisperbench ab` has been killed, the process ends as by Ctrl-C, wherever it waits."""
    with answered(*answers) as (partner, _), pytest.raises(KeyboardInterrupt):
        run_to(place, partner)


@pytest.mark.parametrize(
    ("place", "answers"),
    [("begin", (GoOn(),)), ("round", (START, START, GoOn())), ("end", (START, Go()))],
)
def test_out_of_step(place: str, answers: tuple[ToProcess, ...]) -> None:
    """An answer to another question than the one that was asked is no measurement."""
    with (
        answered(*answers) as (partner, _),
        pytest.raises(InvalidMeasurementError, match="base and head are out of step"),
    ):
        run_to(place, partner)


def test_torch_has_no_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that share a core wait for each other: within rounds there are as many as cores."""
    had: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: had[-1] if had else 4)
    monkeypatch.setattr(torch, "set_num_threads", had.append)
    with answered(START, GoOn()) as (partner, _), partner.benchmark("a"):
        assert had == [2]
    assert had == [2, 4]


def test_it_introduces_itself() -> None:
    """First it says what it will time, with how many threads, and where."""
    with answered(START) as (partner, said):
        partner.introduce(["a", "b"], 3)
    threads = CpuAccelerator().threads()
    assert said == [
        Collected(threads=threads, on_host=True, warmup_rounds=3, benchmarks=("a", "b"))
    ]


def test_the_reference_loop_waits_for_each_step() -> None:
    """It is a fixed number of additions, each waited for, timed by its own clock."""
    waited = []
    ticks = iter([10.0, 10.5])

    class Counting(CpuAccelerator):
        def synchronize(self) -> None:
            waited.append(1)

    loop: Callable[[], float] = reference_loop(Counting(), lambda: next(ticks))
    assert loop() == 0.5
    assert len(waited) == STEPS


def test_messages_that_come_in_parts() -> None:
    """A long message, or several at once, are read one by one."""
    read_fd, write_fd = os.pipe()
    channel = Channel(read_fd, write_fd)
    long = Collected(
        threads=1, on_host=True, warmup_rounds=1, benchmarks=tuple(map(str, range(20000)))
    )
    sent: list[FromProcess] = [Began(benchmark="a"), long, Ready()]

    def send() -> None:
        for each in sent:
            channel.send(each)

    thread = threading.Thread(target=send)
    thread.start()
    assert [channel.receive(ANY) for _ in sent] == sent  # type: ignore[arg-type]
    thread.join(10)
    with pytest.raises(TimeoutError):
        channel.receive(Ready, 0.01)
    channel.close()
