"""Does it fit? Peak memory of loading and of inference, against the limits of suite.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whisperbench.plugin.replay import replay

if TYPE_CHECKING:
    from fixtures.memory import MemoryOfCell
    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import Plan
    from whisperbench.plugin.recording import Recorder


@pytest.mark.needs("a fresh process", "an idle device", "its other precisions")
def test_memory(
    memory_of_cell: MemoryOfCell,
    audio: Audio,
    batch_size: int,
    plan: Plan,
    benchmark: Any,
    record: Recorder,
) -> None:
    """Watch a cell's memory in a fresh process, and hold it against its limits.

    Phases, each with a peak of its own: loading and quantizing; the first transcription with the
    fixed token count; the same again. What loading left in torch's cache is given back before the
    first call. Nothing here is a latency: pytest-benchmark's table shows what the pass itself
    took, once.
    """
    footprint = memory_of_cell.run()
    replay(benchmark, "memory (seconds that the pass took)", [footprint.seconds])
    cell = record.cell(memory_of_cell.key, audio, batch_size, plan.profile.tokens)
    verdicts = memory_of_cell.judge(cell, footprint)
    record("memory", cell, footprint.values, footprint.found, verdicts=verdicts)
    memory_of_cell.require_kept(footprint, verdicts)
