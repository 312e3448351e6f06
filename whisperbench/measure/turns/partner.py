"""Taking turns, as seen from one of the two processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.rounds import EnoughRoundsError
from whisperbench.measure.threads import at_most_threads
from whisperbench.measure.turns.messages import (
    Alone,
    Began,
    Channel,
    Collected,
    Ended,
    Enough,
    Go,
    GoOn,
    Ready,
    Start,
    ToProcess,
)
from whisperbench.measure.turns.reference import reference_loop
from whisperbench.results.passes import Turns

if TYPE_CHECKING:
    from whisperbench.devices.accelerator import Accelerator


class Partner:
    """The other process, with which this one takes turns; `whisperbench ab` sits between them."""

    def __init__(self, channel: Channel, accelerator: Accelerator) -> None:
        """Prepare to take turns over rounds on a device, by a channel to `whisperbench ab`."""
        self._channel = channel
        self._accelerator = accelerator
        self._start = Start(cpus=(), partner=0)
        self._loops_s: list[float] = []
        self.settling = False
        """Whether the last round was a warm-up round beyond those of the profile."""

    @cached_property
    def _loop(self) -> Callable[[], float]:
        return reference_loop(self._accelerator)

    @property
    def pids(self) -> frozenset[int]:
        """The process that may use the device beside this one."""
        return frozenset({self._start.partner})

    def introduce(self, benchmarks: Sequence[str], warmup_rounds: int) -> None:
        """Say what will be timed here."""
        self._channel.send(
            Collected(
                threads=self._accelerator.threads(),
                on_host=self._accelerator.on_host,
                warmup_rounds=warmup_rounds,
                benchmarks=tuple(benchmarks),
            )
        )

    @contextmanager
    def benchmark(self, name: str) -> Iterator[None]:
        """Take turns over the rounds of a benchmark.

        Raises:
            InvalidMeasurementError: the partner does not measure it.
        """
        self._loops_s.clear()
        _ = self._loop  # made before anybody is pinned
        answer = self._ask(Began(benchmark=name))
        if isinstance(answer, Alone):
            raise InvalidMeasurementError(answer.why)
        if not isinstance(answer, Start):
            raise _out_of_step(answer)
        self._start = answer
        try:
            # Threads that share a core wait for each other by spinning on it.
            with at_most_threads(len(answer.cpus)):
                yield
        finally:
            answer = self._ask(Ended())
        if not isinstance(answer, GoOn):
            raise _out_of_step(answer)

    def wait(self, took_s: float | None) -> None:
        """Wait for this process's turn, then run the reference loop.

        Args:
            took_s: seconds of the round before; None ahead of the first one of a benchmark.

        Raises:
            EnoughRoundsError: there are no further rounds.
        """
        answer = self._ask(Ready(took_s=took_s))
        if isinstance(answer, Enough):
            raise EnoughRoundsError
        if not isinstance(answer, Go):
            raise _out_of_step(answer)
        self.settling = answer.settling
        self._loops_s.append(self._loop())

    def turns(self, rounds: int) -> Turns:
        """Return what is to be kept of the last so many rounds."""
        loops_ms = [1e3 * seconds for seconds in self._loops_s[-rounds:]]
        return Turns(cpus=self._start.cpus, reference_ms=tuple(loops_ms))

    def _ask(self, message: Began | Ready | Ended) -> ToProcess:
        """Say something and wait for the answer.

        Raises:
            KeyboardInterrupt: `whisperbench ab` is gone, and nobody waits for what is measured.
        """
        try:
            self._channel.send(message)
            return self._channel.receive(ToProcess)  # type: ignore[arg-type]  # a union of structs
        except (BrokenPipeError, EOFError):
            raise KeyboardInterrupt from None


def _out_of_step(answer: ToProcess) -> InvalidMeasurementError:
    return InvalidMeasurementError(f"base and head are out of step: {answer!r}")
