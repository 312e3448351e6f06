"""How a benchmark's figures get into the result."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from whisperbench.plugin.progress import teller
from whisperbench.results.metrics import Value, figures
from whisperbench.results.passes import Found, LatencyResult
from whisperbench.results.records import Cell, Measurement, Verdict

if TYPE_CHECKING:
    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.asked.recordings import DataSet
    from whisperbench.plugin.session import Prepared
    from whisperbench.whisper.loading import LoadedModel
    from whisperbench.whisper.transcriber import Transcriber


_STEP = "token"
"""What test_token calls what it measures."""


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
        self._loaded: LoadedModel | None = None
        """Of the cell that was described last, where it is in this process."""

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
            InvalidMeasurementError: what ran is not what the precision's row says.
            ValueError: a metric has no row.
        """
        if found.ran is None and self._loaded is not None:
            from whisperbench.whisper.what_ran import what_ran

            # Of what was timed, a transcript has gone through the whole path, and a single token
            # through what is compiled of it.
            generated = isinstance(found, LatencyResult) and (
                bool(found.transcripts) or benchmark == _STEP
            )
            found = msgspec.structs.replace(found, ran=what_ran(self._loaded, generated=generated))
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
        """Describe the cell of a transcription path in full; what ran of it is recorded."""
        self._loaded = transcriber.loaded
        return self.cell(transcriber.loaded.key, transcriber.audio, transcriber.batch_size, tokens)

    def cell(
        self, key: CheckpointKey, audio: Audio | DataSet, batch_size: int, tokens: int | None
    ) -> Cell:
        """Describe a cell in full.

        One whose transcriber has no fixed token count was decoded at natural length.
        """
        from whisperbench.whisper.backend_choice import BACKENDS

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
            tokens=tokens if BACKENDS[key.precision.backend].fixed_count else None,
        )


@pytest.fixture
def record(
    request: pytest.FixtureRequest,
    benchmark: Any,
    prepared: Prepared,
    require_kept: Callable[[Measurement], None],
) -> Recorder:
    """Record a benchmark's measurement, and hold it against the baseline where there is one.

    What it answers of what is asked first is told before.
    """
    tell = teller(request.config)

    def tell_and_keep(measurement: Measurement) -> None:
        tell(measurement)
        require_kept(measurement)

    return Recorder(benchmark, prepared, body_digest(request.function), tell_and_keep)


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
