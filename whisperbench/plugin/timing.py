"""How a benchmark times a call, and how its figures get into the result."""

from __future__ import annotations

import ast
import gc
import hashlib
import inspect
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest

from whisperbench.measure.rounds import Rounds, take_rounds
from whisperbench.measure.telemetry import Telemetry
from whisperbench.plugin.replay import replay
from whisperbench.plugin.terminal import announcer
from whisperbench.results.kinds import DERIVED, METRICS
from whisperbench.results.records import Cell, ClipScore, Measurement, Metric, Part, Verdict
from whisperbench.units import mib

if TYPE_CHECKING:
    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.asked.recordings import DataSet
    from whisperbench.measure.latency.energy import Energy
    from whisperbench.plugin.session import Prepared
    from whisperbench.whisper.loading import LoadedModel
    from whisperbench.whisper.transcriber import Transcriber

T = TypeVar("T")


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
        self.samples_s: tuple[float, ...] = ()
        """The rounds' seconds."""
        self.notes: dict[str, str | float | bool] = {}
        """The conditions that they were taken in."""

    def __call__(
        self,
        stage: str,
        call: Callable[[], T],
        *,
        rounds: int,
        before: Callable[[], object] = lambda: None,
    ) -> T:
        """Time a call; return what its last round returned.

        Args:
            stage: groups the benchmarks of pytest-benchmark's table.
            call: what a round runs.
            rounds: how many are timed, after the profile's warm-up rounds.
            before: run ahead of each round, untimed.

        Raises:
            InvalidMeasurementError: the GPU was slowed down or shared at every attempt.
        """
        from whisperbench.whisper.transcriber import synchronize

        device = self._prepared.facts.torch_name
        made: list[T] = []

        def one_round() -> float:
            before()
            made.clear()
            gc.collect()
            synchronize(device)
            started_s = time.perf_counter()
            made.append(call())
            synchronize(device)
            return time.perf_counter() - started_s

        with garbage_held():
            for _ in range(self._prepared.plan.profile.warmup_rounds):
                one_round()
            taken = self._take(one_round, rounds)
        self.samples_s, self.notes = taken.samples_s, taken.notes
        replay(self._benchmark, stage, taken.samples_s)
        return made[0]

    def once(self, stage: str, call: Callable[[], T]) -> T:
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
        self.samples_s, self.notes = taken.samples_s, taken.notes
        replay(self._benchmark, stage, taken.samples_s)
        return made[0]

    def _take(self, one_round: Callable[[], float], rounds: int, what: str = "") -> Rounds:
        return take_rounds(
            one_round,
            rounds=rounds,
            remeasurements=self._prepared.plan.profile.remeasurements,
            telemetry=lambda: Telemetry(device=self._prepared.device),
            say=lambda line: self._say(f"{what}{line}"),
        )

    def energy(self, call: Callable[[], object], audio_s: float) -> list[Metric]:
        """Repeat a call, untimed, and return its energy per audio second; nothing on a CPU."""
        from whisperbench.measure.latency.energy import measure_energy
        from whisperbench.whisper.transcriber import synchronize

        device = self._prepared.facts.torch_name

        def one_call() -> None:
            call()
            synchronize(device)

        made: list[Energy | None] = []

        def one_window() -> float:
            made.append(measure_energy(self._prepared.device, one_call))
            return made[-1].window_s if made[-1] is not None else 0.0

        with garbage_held():
            taken = self._take(one_window, rounds=1, what="energy, ")
        if "attempts_not_believed" in taken.notes:
            self.notes["energy_attempts_not_believed"] = taken.notes["attempts_not_believed"]
        used = made[-1]
        if used is None:
            return []
        self.notes |= {"energy_window_s": used.window_s, "energy_calls": used.calls}
        return [
            Metric(
                name="energy_j_per_audio_s",
                unit="J/s",
                kind="wall",
                better="lower",
                value=used.joules_per_call / audio_s,
            )
        ]


@contextmanager
def garbage_held() -> Iterator[None]:
    """Hold garbage collection off.

    Frozen, everything older than this benchmark is left out of the collections between rounds,
    which then take microseconds and leave the CPU's caches as they are.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


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
        stage: str,
        cell: Cell,
        *,
        metrics: Sequence[Metric],
        verdicts: Sequence[Verdict] = (),
        transcripts: Sequence[str] = (),
        parts: Sequence[Part] = (),
        calls: Mapping[str, Mapping[str, int]] | None = None,
        clips: Sequence[ClipScore] = (),
        notes: Mapping[str, str | float | bool] | None = None,
    ) -> None:
        """Record what a benchmark measured of a cell.

        Raises:
            RegressedError: it is worse than the baseline, or cannot be held against it.
            ValueError: a metric has no rule.
        """
        for metric in metrics:
            if METRICS.get(metric.name) != metric.kind:
                raise ValueError(f"{metric.name}: METRICS in kinds.py has no such {metric.kind}")
            if metric.derived != (metric.name in DERIVED):
                raise ValueError(f"{metric.name}: DERIVED in kinds.py says otherwise")
        measurement = Measurement(
            stage=stage,
            cell=cell,
            metrics=tuple(metrics),
            verdicts=tuple(verdicts),
            transcripts=tuple(transcripts),
            parts=tuple(parts),
            calls={stage: dict(functions) for stage, functions in (calls or {}).items()},
            clips=tuple(clips),
            notes=dict(notes or {}),
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
            dtype=key.precision.dtype_on(facts.kind, saved),
            device=facts.kind,
            attention=key.attention,
            clip=audio.name,
            clip_sha256=audio.sha256,
            audio_s=audio.seconds,
            language=audio.language,
            batch_size=batch_size,
            tokens=tokens,
        )


def latency(samples_s: Sequence[float]) -> Metric:
    """Wall seconds of each round."""
    return Metric(name="latency_s", unit="s", kind="wall", better="lower", samples=tuple(samples_s))


def weight_size(loaded: LoadedModel) -> Metric:
    """MiB of the weights as loaded: exact, because it depends on the stack alone."""
    return Metric(
        name="weight_mib",
        unit="MiB",
        kind="exact",
        better="lower",
        value=mib(loaded.weight_bytes),
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
    """Digest a benchmark's code, without comments, docstring and layout.

    What another body measured is not comparable (as asv's benchmark versions).
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    if isinstance(definition, ast.FunctionDef) and ast.get_docstring(definition) is not None:
        del definition.body[0]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]
