"""Two live processes take turns: `whisperbench ab` sits between them and says whose it is.

Both sides run the suite's benchmarks of wall time. Before each benchmark they meet here: when both
have loaded its model and checked its output, they are pinned to the same cores and go on round by
round, in swapped order, until both have as many as are wanted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol, TypeVar

import msgspec

from whisperbench.ab.cores import choose_cpus, pinned
from whisperbench.asked.turns import FEWEST_ROUNDS, KNOWN, LEAST_ROUNDS_S, ROUNDS_S, SETTLE_S
from whisperbench.errors import InvalidMeasurementError
from whisperbench.judge.statistics import error_of_median
from whisperbench.judge.tried import LEFT_ALONE
from whisperbench.measure.turns.messages import (
    Alone,
    Began,
    Begin,
    Collected,
    Ended,
    Enough,
    Go,
    GoOn,
    Ready,
    Start,
    ToProcess,
)

LONGEST_SILENCE_S = 900.0
"""After so long a process that says nothing hangs: the longest round takes a fraction of it."""

T = TypeVar("T")


class TurnsNotBegunError(Exception):
    """One or both of the two have ended before they said what they would time."""

    def __init__(self, ended: Sequence[str]) -> None:
        """Name those that have ended."""
        super().__init__(*ended)
        self.ended = tuple(ended)


class TurnsLostError(InvalidMeasurementError):
    """One of the two has ended before its time, or does not answer."""


class Talking(Protocol):
    """The end of a channel that `whisperbench ab` holds."""

    def send(self, message: ToProcess) -> None:
        """Send a message."""

    def receive(self, kind: type[T], timeout_s: float | None = None) -> T:
        """Wait for a message."""

    def close(self) -> None:
        """Be gone for who listens at the other end."""


@dataclass
class Live:
    """One of the two processes."""

    name: str
    """base or head."""
    pid: int
    channel: Talking
    ended: Callable[[], str]
    """Waits for its end and says how it was."""
    has_result: Callable[[], bool]
    """Whether it has written what it measured, which it does last of all."""
    remaining: list[str] = field(default_factory=list)
    """Ids of the benchmarks that it has still to begin, once it has said them."""
    at: str = ""
    """The benchmark that it is in."""

    def tell(self, message: ToProcess) -> None:
        """Tell it something.

        Raises:
            TurnsLostError: it has ended.
        """
        try:
            self.channel.send(message)
        except BrokenPipeError:
            raise self._lost() from None

    def hear(self, kind: type[T]) -> T:
        """Wait for what it says next.

        Raises:
            TurnsLostError: it has ended, or says nothing.
        """
        try:
            return self._receive(kind)
        except EOFError:
            raise self._lost() from None

    def after_round(self) -> Ready | Ended:
        """Wait until it is ready for a round, or has had its last one.

        Raises:
            TurnsLostError: it has ended, or says nothing.
        """
        return self.hear(Ready | Ended)  # type: ignore[arg-type]  # a union of structs

    def introduced(self) -> Collected | None:
        """Wait until it says what it is going to time; None where it has ended before.

        Raises:
            TurnsLostError: it says nothing, or something else.
        """
        try:
            return self._receive(Collected)
        except EOFError:
            return None

    def next_benchmark(self) -> str | None:
        """Wait until it has loaded its next benchmark; None where it has no more.

        Raises:
            TurnsLostError: it has ended before its time, says nothing, or something else.
        """
        before, self.at = self.at, ""
        try:
            began = self._receive(Began)
        except EOFError:
            how = self.ended()
            if not self.has_result():
                after = f", after {before}" if before else ", before its first benchmark"
                raise TurnsLostError(f"the {self.name}'s process {how}{after}") from None
            return None
        self.at = began.benchmark
        if began.benchmark in self.remaining:
            del self.remaining[: self.remaining.index(began.benchmark) + 1]
        return began.benchmark

    def _receive(self, kind: type[T]) -> T:
        """Wait for a message.

        Raises:
            EOFError: it has ended.
            TurnsLostError: it says nothing, or something else.
        """
        try:
            return self.channel.receive(kind, LONGEST_SILENCE_S)
        except TimeoutError:
            raise TurnsLostError(
                f"the {self.name}'s process has said nothing for {LONGEST_SILENCE_S:.0f} s"
                f"{self._where()}"
            ) from None
        except msgspec.DecodeError:
            raise TurnsLostError(
                f"the {self.name}'s process has said what cannot be understood{self._where()}"
            ) from None

    def _lost(self) -> TurnsLostError:
        return TurnsLostError(f"the {self.name}'s process {self.ended()}{self._where()}")

    def _where(self) -> str:
        return f", at {self.at}" if self.at else ""


def take_turns(
    base: Live,
    head: Live,
    number: int,
    pin: Callable[[Sequence[int], Sequence[int]], None],
    clock: Callable[[], float] = time.monotonic,
    *,
    left_out: Sequence[str] = (),
    ahead: Callable[[Sequence[int]], None] | None = None,
) -> None:
    """Let two processes go through their benchmarks in turns.

    Args:
        base: a process that has been started.
        head: another one.
        number: of the pair, from 1: it decides who begins, and on which core.
        pin: pins processes to CPUs; given process ids and the numbers of the CPUs.
        clock: tells the time in seconds.
        left_out: ids of benchmarks that are not measured.
        ahead: told the CPUs of the pair once both have loaded their first benchmark.

    Raises:
        TurnsNotBegunError: one of them had nothing to time, or could not begin.
        TurnsLostError: one of them ended or hung.
    """
    both = (base, head)
    for live in both:
        with suppress(BrokenPipeError):  # it has ended, which the next line shows
            live.channel.send(Begin(left_out=tuple(left_out)))
    said = [live.introduced() for live in both]
    first, second = said
    if first is None or second is None:
        raise TurnsNotBegunError(
            [live.name for live, each in zip(both, said, strict=True) if each is None]
        )
    base.remaining, head.remaining = list(first.benchmarks), list(second.benchmarks)
    cpus = choose_cpus(number, first.threads if first.on_host else 1)
    at = {live.name: live.next_benchmark() for live in both}
    if ahead is not None:
        ahead(cpus)
    settle_s = SETTLE_S
    while any(name is not None for name in at.values()):
        met = list(both)
        if at["base"] == at["head"]:
            with pinned([live.pid for live in both], cpus, pin):
                _rounds(both, number, cpus, first.warmup_rounds, settle_s, clock)
            settle_s = 0.0
            for live in both:
                live.tell(GoOn())
        else:
            met = [live for live in both if _lone(live, both, at)]
            for live in met:
                other = head if live is base else base
                live.tell(Alone(why=f"the {other.name} {LEFT_ALONE}"))
        at |= {live.name: live.next_benchmark() for live in met}


def _lone(live: Live, both: Sequence[Live], at: dict[str, str | None]) -> bool:
    """Whether the other process will not come to the benchmark that this one waits in."""
    name = at[live.name]
    other = both[1] if live is both[0] else both[0]
    if name is None:
        return False
    if at[other.name] is None or name not in other.remaining:
        return True
    # The other comes to it, unless each waits for what the other one has still to do.
    return at[other.name] in live.remaining


def _rounds(
    both: Sequence[Live],
    number: int,
    cpus: tuple[int, ...],
    warmup_rounds: int,
    settle_s: float,
    clock: Callable[[], float],
) -> None:
    """Go on round by round, in swapped order, until both have as many as are wanted."""
    for live, other in zip(both, reversed(both), strict=True):
        live.tell(Start(cpus=cpus, partner=other.pid))
    said = {live.name: live.after_round() for live in both}
    took_s: dict[str, list[float]] = {live.name: [] for live in both}
    turn, rounds, started_s = number, 0, clock()
    while any(isinstance(each, Ready) for each in said.values()):
        spent_s = clock() - started_s - settle_s
        timed = rounds - warmup_rounds
        enough = (
            timed >= FEWEST_ROUNDS
            and timed % 2 == FEWEST_ROUNDS % 2
            and spent_s >= LEAST_ROUNDS_S
            and (spent_s > ROUNDS_S or _is_known(took_s["base"], took_s["head"], timed))
        )
        answer = Enough() if enough else Go(settling=spent_s < 0)
        for live in both if turn % 2 else tuple(reversed(both)):
            if isinstance(said[live.name], Ready):
                live.tell(answer)
                said[live.name] = answered = live.after_round()
                if isinstance(answered, Ready) and answered.took_s is not None:
                    took_s[live.name].append(answered.took_s)
        turn += 1
        rounds += spent_s >= 0


def _is_known(base_s: Sequence[float], head_s: Sequence[float], timed: int) -> bool:
    """Whether the last so many rounds of both tell how much slower the head is in this pair."""
    rounds = list(zip(base_s[-timed:], head_s[-timed:], strict=False))
    if len(rounds) < timed or min(map(min, rounds)) <= 0.0:
        return False
    growths = [math.log(head / base) for base, head in rounds]
    # The medians of both orders count alike, so what lies between the orders is no noise.
    orders = growths[::2], growths[1::2]
    return error_of_median([x - median(order) for order in orders for x in order]) <= KNOWN
