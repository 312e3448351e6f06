"""Two sides that take turns: threads that speak through real pipes, and a clock that they move."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from tests.scripted import FakeClock
from whisperbench.ab import turns
from whisperbench.ab.cores import choose_cpus, choose_spare_cpus, pin
from whisperbench.ab.turns import (
    Live,
    TurnsLostError,
    TurnsNotBegunError,
    take_turns,
)
from whisperbench.asked.turns import FEWEST_ROUNDS, LEAST_ROUNDS_S, ROUNDS_S, SETTLE_S
from whisperbench.judge.tried import LEFT_ALONE
from whisperbench.measure.turns.messages import (
    Alone,
    Began,
    Begin,
    Channel,
    Collected,
    Ended,
    Enough,
    Go,
    GoOn,
    Ready,
    Start,
    ToProcess,
    open_channel,
)

WARM_UPS = 2
MANY = 1000
"""Rounds that nobody gets to."""


class DeadError(Exception):
    """The process ends here, and leaves no result."""


@dataclass
class Scripted:
    """One of the two processes: what it times, and what becomes of it."""

    name: str
    benchmarks: Sequence[str]
    """It loads these, in order,"""
    collected: Sequence[str] | None = None
    """and has said that it would load these; the same where there are none."""
    rounds: int = MANY
    round_s: float = 1.0
    told_s: Sequence[float] = ()
    """What it says that its rounds took, in turn; nothing where there are none."""
    threads: int = 1
    dies: str = ""
    """Where: at "start", "load NAME", or "round NAME"."""
    log: list[tuple[str, str, str]] = field(default_factory=list)
    """Name, benchmark and what it was told; that of both processes."""
    clock: FakeClock = field(default_factory=FakeClock)
    has_result: bool = False
    channel: Channel | None = None
    left_out: Sequence[str] = ()
    """What it was told that it need not time."""

    def run(self) -> None:
        """Speak as a process does."""
        with suppress(DeadError, EOFError, BrokenPipeError):
            self._die_at("start")
            assert self.channel is not None
            self.left_out = self.channel.receive(Begin).left_out
            self._send(
                Collected(
                    threads=self.threads,
                    on_host=True,
                    warmup_rounds=WARM_UPS,
                    benchmarks=tuple(self.collected or self.benchmarks),
                )
            )
            for name in self.benchmarks:
                self._benchmark(name)
            self.has_result = True
        assert self.channel is not None
        self.channel.close()

    def _benchmark(self, name: str) -> None:
        self._die_at(f"load {name}")
        answer = self._ask(Began(benchmark=name))
        if isinstance(answer, Alone):
            self._tell(name, answer.why)
            return
        assert isinstance(answer, Start)
        took_s = None
        for number in range(self.rounds):
            self._die_at(f"round {name}")
            answer = self._ask(Ready(took_s=took_s))
            if isinstance(answer, Enough):
                self._tell(name, "enough")
                break
            assert isinstance(answer, Go)
            self._tell(name, "settle" if answer.settling else "go")
            self.clock.now_s += self.round_s
            took_s = self.told_s[number % len(self.told_s)] if self.told_s else None
        assert isinstance(self._ask(Ended()), GoOn)

    def _die_at(self, place: str) -> None:
        if self.dies == place:
            raise DeadError

    def _tell(self, benchmark: str, what: str) -> None:
        self.log.append((self.name, benchmark, what))

    def _send(self, message: Collected | Began | Ready | Ended) -> None:
        assert self.channel is not None
        self.channel.send(message)

    def _ask(self, message: Began | Ready | Ended) -> ToProcess:
        self._send(message)
        assert self.channel is not None
        return self.channel.receive(ToProcess)  # type: ignore[arg-type]  # a union of structs


Pinned = list[tuple[list[int], list[int]]]


@contextmanager
def live(run: Callable[[Channel], None], name: str, pid: int, scripted: Scripted) -> Iterator[Live]:
    """Run the other end of a channel in a thread, and give ours."""
    channel, theirs = open_channel()
    thread = threading.Thread(target=run, args=(Channel(*theirs),))
    thread.start()

    def ended() -> str:
        thread.join(10)
        return "was ended by SIGKILL"

    try:
        yield Live(name, pid, channel, ended, lambda: scripted.has_result)
    finally:
        channel.close()
        thread.join(10)
        assert not thread.is_alive()


def let(
    base: Scripted,
    head: Scripted,
    number: int = 1,
    *,
    left_out: Sequence[str] = (),
    ahead: Callable[[Sequence[int]], None] | None = None,
) -> Pinned:
    """Let both take turns; return who was pinned to which CPUs."""
    pinned: Pinned = []
    head.log, head.clock = base.log, base.clock

    def speak(scripted: Scripted) -> Callable[[Channel], None]:
        def run(channel: Channel) -> None:
            scripted.channel = channel
            scripted.run()

        return run

    with live(speak(base), "base", 1, base) as one, live(speak(head), "head", 2, head) as other:
        take_turns(
            one,
            other,
            number,
            lambda pids, cpus: pinned.append((list(pids), list(cpus))),
            base.clock,
            left_out=left_out,
            ahead=ahead,
        )
    return pinned


def told(process: Scripted, name: str) -> list[str]:
    """Return what a process was told at a benchmark."""
    return [
        what for who, benchmark, what in process.log if (who, benchmark) == (process.name, name)
    ]


@pytest.mark.parametrize(("number", "first"), [(1, "base"), (2, "head")])
def test_rounds_alternate_in_swapped_order(number: int, first: str) -> None:
    """Who was first in a round is second in the next; in the next pair the other one begins."""
    base, head = Scripted("base", ["a"], rounds=6), Scripted("head", ["a"], rounds=6)
    let(base, head, number)
    second = "head" if first == "base" else "base"
    rounds = [who for who, _, what in base.log if what in ("go", "settle")]
    assert rounds == [first, second, second, first] * 3


@pytest.mark.parametrize("round_s", [0.01, 0.1, 1.0, 30.0])
def test_rounds_end_by_time_for_both_alike(round_s: float) -> None:
    """After the warm-ups and the fewest rounds they go on for so long, and both have as many.

    Their number is even over the fewest, so that each is first as often as second.
    """
    fewest = WARM_UPS + FEWEST_ROUNDS
    base, head = (Scripted(name, ["a", "b"], round_s=round_s) for name in ("base", "head"))
    let(base, head)
    for name in "ab":
        one, other = told(base, name), told(head, name)
        assert one == other
        assert one[-1] == "enough"
        rounds = one.count("go")
        assert rounds >= fewest
        assert (rounds - fewest) % 2 == 0
        spent_s = 2 * round_s * rounds
        assert rounds == fewest or ROUNDS_S - 2 * round_s < spent_s < ROUNDS_S + 6 * round_s


@pytest.mark.parametrize(
    ("head_s", "known"),
    [
        ([1.1], True),
        ([1.1, 1.14], True),
        ([0.6, 1.8, 0.8, 1.1, 1.5, 0.7, 1.3], False),
        ([0.0], False),
        ([], False),
    ],
)
def test_a_known_figure_ends_its_rounds(head_s: Sequence[float], known: bool) -> None:
    """Rounds that agree end after the fewest that there may be, and others by time."""
    round_s = 0.1
    base = Scripted("base", ["a", "b"], round_s=round_s, told_s=[1.0, 1.01])
    head = Scripted("head", ["a", "b"], round_s=round_s, told_s=head_s)
    let(base, head)
    assert told(base, "b") == told(head, "b")
    rounds = told(base, "b").count("go")
    if known:
        assert rounds == WARM_UPS + FEWEST_ROUNDS
    else:
        assert 2 * round_s * rounds > ROUNDS_S - round_s


def test_short_rounds_go_on_for_a_while() -> None:
    """Where the fewest take no time, more of them cost little, and tell more."""
    round_s = 0.01
    base = Scripted("base", ["a", "b"], round_s=round_s, told_s=[1.0])
    head = Scripted("head", ["a", "b"], round_s=round_s, told_s=[1.1])
    let(base, head)
    spent_s = 2 * round_s * told(base, "b").count("go")
    assert LEAST_ROUNDS_S - round_s < spent_s < LEAST_ROUNDS_S + 6 * round_s


def test_the_first_benchmark_alone_settles() -> None:
    """Further warm-up rounds come first, for as long as pinned processes change their speed."""
    base, head = (Scripted(name, ["a", "b"], round_s=0.5) for name in ("base", "head"))
    let(base, head)
    settling = told(base, "a").count("settle")
    assert settling * 2 * 0.5 == pytest.approx(SETTLE_S, abs=1.0)
    assert told(base, "a")[:settling] == ["settle"] * settling
    assert "settle" not in told(base, "b")


def test_what_is_known_is_said_at_the_start() -> None:
    """Both learn what they need not time; who starts the next pair learns which CPUs are taken."""
    base, head = Scripted("base", ["a"], rounds=2), Scripted("head", ["a"], rounds=2)
    taken: list[Sequence[int]] = []
    let(base, head, left_out=["b"], ahead=taken.append)
    assert base.left_out == head.left_out == ("b",)
    assert taken == [choose_cpus(1, 1)]


def test_spare_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are all others, but none where the two processes of a pair would share a single one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert choose_spare_cpus([1]) == (0, 2, 3)
    assert choose_spare_cpus([0, 1, 2]) == ()


def test_both_are_pinned_for_their_rounds_and_let_go() -> None:
    """After loading, both get the CPUs of the pair; after each benchmark all CPUs again."""
    base, head = Scripted("base", ["a", "b"]), Scripted("head", ["a", "b"])
    pinned = let(base, head, 1)
    everywhere = sorted(os.sched_getaffinity(0))
    assert pinned == [([1, 2], list(choose_cpus(1, 1))), ([1, 2], everywhere)] * 2


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("lacks", ["base", "head"])
def test_what_one_side_lacks_is_left_alone(lacks: str, known: bool) -> None:
    """A benchmark that fails to load on a side, or that it does not have, keeps nobody waiting."""
    everything = ["a", "b", "c"]
    base, head = (
        Scripted(
            name,
            ["a", "c"] if name == lacks else everything,
            everything if known else None,
            rounds=2,
        )
        for name in ("base", "head")
    )
    let(base, head)
    whole = head if lacks == "base" else base
    assert told(whole, "b") == [f"the {lacks} {LEFT_ALONE}"]
    for process in (base, head):
        assert len(told(process, "a")) == len(told(process, "c")) == 2
        assert process.has_result


def test_two_that_wait_for_each_other_are_let_go() -> None:
    """Sides whose benchmarks come in another order do not hang, and lose no benchmark silently."""
    base, head = Scripted("base", ["a", "b"], rounds=2), Scripted("head", ["b", "a"], rounds=2)
    let(base, head)
    assert base.has_result
    assert head.has_result
    alone = [(who, name) for who, name, what in base.log if what.endswith(LEFT_ALONE)]
    assert {who for who, _ in alone} == {"base", "head"}


@pytest.mark.parametrize("name", ["base", "head"])
@pytest.mark.parametrize(
    ("place", "where"),
    [
        ("round b", ", at b"),
        ("load b", ", after a"),
        ("load a", ", before its first benchmark"),
    ],
)
def test_a_process_that_ends_is_named(name: str, place: str, where: str) -> None:
    """It is said which one ended, how, and where; the other one is not kept waiting."""
    base, head = (
        Scripted(each, ["a", "b", "c"], rounds=2, dies=place if each == name else "")
        for each in ("base", "head")
    )
    with pytest.raises(TurnsLostError) as raised:
        let(base, head)
    assert str(raised.value) == f"the {name}'s process was ended by SIGKILL{where}"


@pytest.mark.parametrize(
    "dying", [("base",), ("head",), ("base", "head")], ids=["base", "head", "both"]
)
def test_a_process_that_never_began(dying: tuple[str, ...]) -> None:
    """It is known which of them ended before it said anything; nothing is asked of the other."""
    base, head = (
        Scripted(each, ["a"], dies="start" if each in dying else "") for each in ("base", "head")
    )
    with pytest.raises(TurnsNotBegunError) as raised:
        let(base, head)
    assert raised.value.ended == dying


@pytest.mark.parametrize("after", [b"", b'{"say":"began","benchmark":"a"}\n'])
def test_garbage_is_told_at_once(after: bytes) -> None:
    """What is no message, or one out of place, ends the turns, whatever follows it."""
    nothing = Scripted("base", [])

    def garbage(channel: Channel) -> None:
        os.write(channel._write_fd, b"no json\n" + after)  # noqa: SLF001
        with suppress(EOFError):
            channel.receive(Start)
        channel.close()

    with (
        live(garbage, "base", 1, nothing) as one,
        pytest.raises(TurnsLostError, match="the base's process has said what cannot be under"),
    ):
        one.introduced()
    with (
        live(garbage, "base", 1, nothing) as one,
        pytest.raises(TurnsLostError, match="the base's process has said what cannot be under"),
    ):
        one.next_benchmark()


def test_a_process_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long silence the turns end, with the benchmark that it is in."""
    monkeypatch.setattr(turns, "LONGEST_SILENCE_S", 0.05)
    nothing = Scripted("head", [])

    def silent(channel: Channel) -> None:
        channel.send(Began(benchmark="a"))
        with suppress(EOFError):
            channel.receive(Start)
        channel.close()

    with live(silent, "head", 1, nothing) as one:
        assert one.next_benchmark() == "a"
        with pytest.raises(TurnsLostError, match=r"head's process has said nothing for 0 s, at a"):
            one.hear(Ready)


def test_pairs_take_other_cpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair has as many as torch has threads, or all that there are; never others."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5, 7})
    assert [choose_cpus(number, 1) for number in range(1, 6)] == [(3,), (5,), (7,), (2,), (3,)]
    assert [choose_cpus(number, 3) for number in (1, 2)] == [(2, 3, 7), (2, 5, 7)]
    assert choose_cpus(1, 64) == (2, 3, 5, 7)


def test_pinning_takes_all_threads() -> None:
    """Each thread of a process is pinned; one that has ended meanwhile is no fault."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import threading, sys\n"
            "other = threading.Thread(target=sys.stdin.read); other.start()\n"
            "print('here', flush=True); other.join()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    cpu = max(os.sched_getaffinity(0))
    pin([process.pid], [cpu])
    threads = [int(each) for each in os.listdir(f"/proc/{process.pid}/task")]  # noqa: PTH208
    assert len(threads) == 2
    assert all(os.sched_getaffinity(each) == {cpu} for each in threads)
    process.communicate()
    pin([process.pid], [cpu])
