"""How a benchmark times a call, and how its figures get into the result."""

from __future__ import annotations

import ast
import gc
import hashlib
import inspect
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest

from whisperbench.measure.rounds import Rounds, garbage_held, settle_allocator, take_rounds
from whisperbench.measure.telemetry import Telemetry
from whisperbench.plugin.parts import part
from whisperbench.plugin.replay import replay
from whisperbench.plugin.terminal import announcer
from whisperbench.results.metrics import Value, figures
from whisperbench.results.passes import DeviceConditions, Energy, Found, LatencyResult
from whisperbench.results.records import Cell, Measurement, Verdict

if TYPE_CHECKING:
    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.asked.recordings import DataSet
    from whisperbench.measure.latency.energy import EnergyWindow
    from whisperbench.plugin.session import Prepared
    from whisperbench.whisper.transcriber import Transcriber

T = TypeVar("T")
FoundT = TypeVar("FoundT", bound=Found)


class Timing:
    """Times a call by the suite's rules, and gives pytest-benchmark the rounds that are believed.

    One call a round; warm-up rounds discarded; the device synchronised at both ends; garbage
    collected before each round and held off during it; telemetry read between rounds. Rounds that
    a slowed or shared GPU has spoilt are taken again, all of them, as often as the profile allows.
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
            rounds: how many are timed, after the profile's warm-up rounds.
            before: run ahead of each round, untimed.

        Raises:
            InvalidMeasurementError: the GPU was slowed down or shared at every attempt.
        """
        synchronize = self._prepared.accelerator.synchronize
        made: list[T] = []
        took_s: float | None = None

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
        with garbage_held(), self._turns():
            for _ in range(self._prepared.plan.profile.warmup_rounds):
                one_round()
            while self._partner is not None and self._partner.settling:
                one_round()
            taken = self._take(one_round, rounds)
        self.samples_s, self._conditions = taken.samples_s, taken.conditions
        replay(self._benchmark, group, taken.samples_s)
        return made[0]

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

    def _take(self, one_round: Callable[[], float], rounds: int, what: str = "") -> Rounds:
        partner = self._partner
        return take_rounds(
            one_round,
            rounds=rounds,
            # The partner counts on as many rounds as it takes itself.
            remeasurements=0 if partner else self._prepared.plan.profile.remeasurements,
            telemetry=lambda: Telemetry(
                device=self._prepared.device, partners=partner.pids if partner else frozenset()
            ),
            say=lambda line: self._say(f"{what}{line}"),
        )

    def energy(self, call: Callable[[], object], audio_s: float) -> dict[str, float]:
        """Repeat a call, untimed, and return its energy per audio second; nothing on a CPU.

        Nor in a part of `whisperbench ab`, where the idle time of a partner may be in it.
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
        )

    def in_conditions(self, found: FoundT) -> FoundT:
        """Return what a pass has found, with what the device ran at meanwhile."""
        return msgspec.structs.replace(found, conditions=self._conditions)


class Recorder:
    """Puts a measurement into `extra_info` of the benchmark that made it."""

    def __init__(
        self,
        benchmark: Any,
        prepared: Prepared,
        body: str,
        require_kept: Callable[[Measurement], None],
    ) -> None:
        self._benchmark = benchmark
        self._prepared = prepared
        self._body = body
        self._require_kept = require_kept

    def __call__(
        self,
        benchmark: str,
        cell: Cell,
        values: Mapping[str, Value],
        found: Found,
        *,
        verdicts: Sequence[Verdict] = (),
        conditions: Mapping[str, str] | None = None,
    ) -> None:
        """Record what a benchmark measured of a cell.

        Args:
            benchmark: what was measured, as tables show it.
            cell: what it was measured of.
            values: the figures, by the names of their metrics (results/metrics.py).
            found: what its pass has found beside them (results/passes.py).
            verdicts: by the limits that apply.
            conditions: what the figures depend on beside the cell.

        Raises:
            RegressedError: it is worse than the baseline, or cannot be held against it.
            ValueError: a metric has no row.
        """
        measurement = Measurement(
            benchmark=benchmark,
            cell=cell,
            metrics=figures(values, conditions),
            found=found,
            verdicts=tuple(verdicts),
            body=self._body,
        )
        # pytest-benchmark keeps the dictionary it made: a new one would be lost.
        self._benchmark.extra_info["whisperbench"] = msgspec.to_builtins(measurement)
        self._require_kept(measurement)

    def cell_of(self, transcriber: Transcriber, tokens: int | None) -> Cell:
        """Describe the cell of a transcription path in full."""
        return self.cell(transcriber.loaded.key, transcriber.audio, transcriber.batch_size, tokens)

    def cell(
        self, key: CheckpointKey, audio: Audio | DataSet, batch_size: int, tokens: int | None
    ) -> Cell:
        """Describe a cell in full."""
        facts = self._prepared.facts
        checkpoint = self._prepared.checkpoints[key.model.name]
        saved = checkpoint.blueprint.dtype if checkpoint.blueprint is not None else ""
        return Cell(
            model=key.model.name,
            checkpoint=checkpoint.fingerprint,
            precision=key.precision.name,
            dtype=key.precision.dtype_on(on_host=self._prepared.accelerator.on_host, saved=saved),
            device=facts.kind,
            attention=key.attention,
            clip=audio.name,
            clip_sha256=audio.sha256,
            audio_s=audio.seconds,
            language=audio.language,
            batch_size=batch_size,
            tokens=tokens,
        )


@pytest.fixture
def timing(benchmark: Any, prepared: Prepared, pytestconfig: pytest.Config) -> Timing:
    """Time a call by the suite's rules."""
    return Timing(benchmark, prepared, announcer(pytestconfig))


@pytest.fixture
def record(
    request: pytest.FixtureRequest,
    benchmark: Any,
    prepared: Prepared,
    require_kept: Callable[[Measurement], None],
) -> Recorder:
    """Record a benchmark's measurement, and hold it against the baseline where there is one."""
    return Recorder(benchmark, prepared, body_digest(request.function), require_kept)


def body_digest(function: Callable[..., object]) -> str:
    """Digest a benchmark's code, without comments, docstring, marks and layout.

    What another body measured is not comparable (as asv's benchmark versions).
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    if isinstance(definition, ast.FunctionDef):
        definition.decorator_list.clear()
        if ast.get_docstring(definition) is not None:
            del definition.body[0]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]
