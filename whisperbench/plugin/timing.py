"""How a benchmark times a call."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest

from whisperbench.judge.statistics import tell_enough
from whisperbench.measure.rounds import (
    Rounds,
    garbage_held,
    settle_allocator,
    take_rounds,
)
from whisperbench.measure.telemetry import Telemetry
from whisperbench.measure.threads import at_most_threads
from whisperbench.plugin.parts import part
from whisperbench.plugin.replay import replay
from whisperbench.plugin.terminal import announcer
from whisperbench.results.passes import DeviceConditions, Energy, Found, LatencyResult
from whisperbench.whisper.compiling import compile_for_threads, compiled_so_far, nothing_compiled

if TYPE_CHECKING:
    from whisperbench.measure.latency.energy import EnergyWindow
    from whisperbench.plugin.session import Prepared

T = TypeVar("T")
FoundT = TypeVar("FoundT", bound=Found)


class Timing:
    """Times a call by the suite's rules, and gives pytest-benchmark the rounds that are believed.

    One call a round; warm-up rounds discarded; the device synchronised at both ends; garbage
    collected before each round and held off during it; telemetry read between rounds. Rounds that
    a slowed or shared GPU has spoilt are taken again, all of them, as often as the profile allows.
    Rounds are added until what they say is known as well as the profile asks, or they are as many
    as it allows.
    """

    def __init__(self, benchmark: Any, prepared: Prepared, say: Callable[[str], object]) -> None:
        self._benchmark = benchmark
        self._prepared = prepared
        self._say = say
        self._partner = prepared.partner
        self.samples_s: tuple[float, ...] = ()
        """The rounds' seconds."""
        self._conditions = DeviceConditions()
        self._energy: Energy | None = None
        self._warm_calls = 0
        """Calls that were made for the energy, and have warmed the device up."""

    def __call__(
        self,
        group: str,
        call: Callable[[], T],
        *,
        rounds: int,
        before: Callable[[], object] = lambda: None,
    ) -> T:
        """Time a call; return what its last round returned.

        Args:
            group: groups the benchmarks of pytest-benchmark's table.
            call: what a round runs.
            rounds: how many are timed at most, after the profile's warm-up rounds.
            before: run ahead of each round, untimed.

        Raises:
            InvalidMeasurementError: the GPU was slowed down or shared at every attempt, or
                torch.compile compiled something in a timed round.
        """
        synchronize = self._prepared.accelerator.synchronize
        made: list[T] = []
        took_s: float | None = None

        def one_call() -> None:
            before()
            call()

        def one_round() -> float:
            nonlocal took_s
            if self._partner is not None:
                self._partner.wait(took_s)
            before()
            made.clear()
            gc.collect()
            synchronize()
            started_s = time.perf_counter()
            made.append(call())
            synchronize()
            took_s = time.perf_counter() - started_s
            return took_s

        settle_allocator()
        self._compile_for_turns(one_call)
        with garbage_held(), self._turns():
            for _ in range(self._prepared.plan.profile.warmup_rounds - self._warm_calls):
                one_round()
            while self._partner is not None and self._partner.settling:
                one_round()
            with nothing_compiled(f"the timed rounds of {group}"):
                taken = self._take(one_round, rounds, enough=self._enough)
        self.samples_s, self._conditions = taken.samples_s, taken.conditions
        replay(self._benchmark, group, taken.samples_s)
        return made[0]

    def _compile_for_turns(self, call: Callable[[], object]) -> None:
        """Compile for the one thread that a GPU's host has while two processes take turns."""
        apart = self._partner is not None and not self._prepared.accelerator.on_host
        if apart and compiled_so_far() is not None:
            with at_most_threads(1):
                compile_for_threads(call)

    def once(self, group: str, call: Callable[[], T]) -> T:
        """Run a call that takes its own measurements; again where telemetry saw trouble.

        pytest-benchmark gets the seconds that it took.

        Raises:
            InvalidMeasurementError: the GPU was slowed down or shared at every attempt.
        """
        made: list[T] = []

        def one_round() -> float:
            made.clear()
            started_s = time.perf_counter()
            made.append(call())
            return time.perf_counter() - started_s

        with garbage_held():
            taken = self._take(one_round, rounds=1)
        self.samples_s, self._conditions = taken.samples_s, taken.conditions
        replay(self._benchmark, group, taken.samples_s)
        return made[0]

    def _turns(self) -> AbstractContextManager[None]:
        """Take turns with the partner, where there is one."""
        if self._partner is None:
            return nullcontext()
        return self._partner.benchmark(self._benchmark.fullname)

    def _take(
        self,
        one_round: Callable[[], float],
        rounds: int,
        what: str = "",
        enough: Callable[[Sequence[float]], bool] = lambda _samples_s: False,
    ) -> Rounds:
        partner = self._partner
        return take_rounds(
            one_round,
            rounds=rounds,
            # The partner counts on as many rounds as it takes itself.
            remeasurements=0 if partner else self._prepared.plan.profile.remeasurements,
            enough=enough,
            telemetry=lambda: Telemetry(
                device=self._prepared.device, partners=partner.pids if partner else frozenset()
            ),
            say=lambda line: self._say(f"{what}{line}"),
        )

    def _enough(self, samples_s: Sequence[float]) -> bool:
        """Whether the rounds so far say what a transcription or a stage takes."""
        profile = self._prepared.plan.profile
        return self._partner is None and tell_enough(
            samples_s,
            fewest=profile.fewest_rounds,
            within=profile.known_within,
            longest_s=profile.rounds_s,
        )

    def energy(self, call: Callable[[], object], audio_s: float) -> dict[str, float]:
        """Repeat a call, untimed, and return its energy per audio second; nothing on a CPU.

        Nor in a part of `whisperbench ab`, where the idle time of a partner may be in it. What is
        timed after it needs fewer warm-up rounds by as many calls.
        """
        if part() is not None:
            return {}
        from whisperbench.measure.latency.energy import measure_energy

        synchronize = self._prepared.accelerator.synchronize

        def one_call() -> None:
            call()
            synchronize()

        made: list[EnergyWindow | None] = []

        def one_window() -> float:
            made.append(measure_energy(self._prepared.device, one_call))
            return made[-1].window_s if made[-1] is not None else 0.0

        with garbage_held():
            taken = self._take(one_window, rounds=1, what="energy, ")
        used = made[-1]
        if used is None:
            return {}
        self._warm_calls = used.calls
        self._energy = Energy(
            window_s=used.window_s,
            calls=used.calls,
            attempts_not_believed=taken.conditions.attempts_not_believed,
        )
        return {"energy_j_per_audio_s": used.joules_per_call / audio_s}

    def result(self, transcripts: Sequence[str] = ()) -> LatencyResult:
        """Return what stands beside the figures of what was timed.

        Args:
            transcripts: one text per clip of the batch, where a transcript is made.
        """
        partner = self._partner
        return LatencyResult(
            conditions=self._conditions,
            transcripts=tuple(transcripts),
            energy=self._energy,
            turns=partner.turns(len(self.samples_s)) if partner is not None else None,
            compilation=compiled_so_far(),
        )

    def in_conditions(self, found: FoundT) -> FoundT:
        """Return what a pass has found, with what the device ran at meanwhile."""
        return msgspec.structs.replace(found, conditions=self._conditions)


@pytest.fixture
def timing(benchmark: Any, prepared: Prepared, pytestconfig: pytest.Config) -> Timing:
    """Time a call by the suite's rules."""
    return Timing(benchmark, prepared, announcer(pytestconfig))
