"""What a recorder holds against a precision's row, by what a benchmark went through."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.runs import make_cell
from whisperbench.errors import InvalidMeasurementError
from whisperbench.plugin.recording import Recorder
from whisperbench.results.passes import LatencyResult
from whisperbench.results.ran import Ran
from whisperbench.whisper.must import Must


@pytest.mark.parametrize(
    ("benchmark_name", "transcripts", "refused"),
    [("token", (), True), ("transcribe", ("Yes.",), True), ("encoder", (), False)],
)
def test_what_was_to_be_compiled_and_was_not_is_refused(
    benchmark_name: str, transcripts: tuple[str, ...], refused: bool
) -> None:
    """Of a single token as of a transcription; the encoder is not compiled in any precision."""
    benchmark: Any = SimpleNamespace(extra_info={})
    prepared: Any = None
    record = Recorder(benchmark, prepared, "", lambda _: None)
    ran = Ran(weights={"float32": 4}, computes_in="float32", compiled_graphs=0)
    loaded: Any = SimpleNamespace(
        ran=lambda: ran,
        must=Must(compiled=True),
        key=SimpleNamespace(attention="sdpa", id="speck-fp32-compiled"),
    )
    record._loaded = loaded  # noqa: SLF001 - as cell_of leaves it
    cell, found = make_cell("fp32-compiled"), LatencyResult(transcripts=transcripts)
    if refused:
        with pytest.raises(InvalidMeasurementError, match="made no graph, so it ran eagerly"):
            record(benchmark_name, cell, {"latency_s": [1.0]}, found)
    else:
        record(benchmark_name, cell, {"latency_s": [1.0]}, found)
        assert benchmark.extra_info["whisperbench"]["benchmark"] == benchmark_name
