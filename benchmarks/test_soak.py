"""Does memory creep, does time drift? A cell called many times in one fresh process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whisperbench.plugin.replay import replay

if TYPE_CHECKING:
    from fixtures.soak import SoakOfCell
    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import Plan
    from whisperbench.plugin.recording import Recorder


@pytest.mark.needs("a fresh process")
def test_soak(
    soak_of_cell: SoakOfCell,
    audio: Audio,
    batch_size: int,
    plan: Plan,
    benchmark: Any,
    record: Recorder,
) -> None:
    """Call a cell many times, and hold the slopes of its memory and time against their limits.

    Memory is read between calls and never during one: what malloc has given out, the process on the
    host, torch's tensors and cache, the process on the device. The first quarter of the calls fills
    caches, and no slope is taken of it. Nothing here is a latency: pytest-benchmark's table shows
    what the pass itself took, once. It is not in the default run: --all measures it.
    """
    soak = soak_of_cell.run()
    replay(benchmark, "soak (seconds that the pass took)", [soak.seconds])
    cell = record.cell(soak_of_cell.key, audio, batch_size, plan.profile.soak_tokens)
    verdicts = soak_of_cell.judge(cell, soak)
    record("soak", cell, soak.values, soak.found, verdicts=verdicts)
    soak_of_cell.require_kept(verdicts)
