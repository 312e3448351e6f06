"""Same words? What a precision hears, and how far it computes from 32-bit floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fixtures.limits import require_within
from whisperbench.units import mib

if TYPE_CHECKING:
    from fixtures.limits import Limits
    from fixtures.quality import NumericsOfCell, QualityOfCell
    from whisperbench.asked.clips import Audio
    from whisperbench.plugin.recording import Recorder
    from whisperbench.plugin.timing import Timing


@pytest.mark.needs("words", "its other precisions")
def test_quality(
    quality_of_cell: QualityOfCell, limits: Limits, timing: Timing, record: Recorder
) -> None:
    """Transcribe all clips, greedily and at their natural length, and count the wrong words.

    Word and character error rates after Whisper's normalization, over all clips; what they are over
    those of the reference precision; and clips whose transcripts look made up. Nothing here is a
    latency: pytest-benchmark's table shows what the pass itself took, once.
    """
    found = timing.once("quality (seconds that the pass took)", quality_of_cell.run)
    cell = record.cell(
        quality_of_cell.key, quality_of_cell.data, quality_of_cell.batch_size, tokens=None
    )
    quality_of_cell.keep(cell, found)
    verdicts = limits.judge("quality", cell, found.values)
    record(
        "quality",
        cell,
        found.values,
        timing.in_conditions(found.found),
        verdicts=verdicts,
        conditions=found.conditions,
    )
    require_within(verdicts)


@pytest.mark.needs("a precision other than fp32", "its other precisions")
def test_numerics(
    numerics_of_cell: NumericsOfCell,
    audio: Audio,
    limits: Limits,
    timing: Timing,
    record: Recorder,
) -> None:
    """Force the same tokens through this precision and through 32-bit floats, and compare.

    The relative error of the logits, how often both find the same token the likeliest, and the
    relative error of the hidden states after the layer where it is largest; and the weights' size.
    """
    found = timing.once("numerics (seconds that the pass took)", numerics_of_cell.run)
    cell = record.cell(numerics_of_cell.loaded.key, audio, batch_size=1, tokens=None)
    verdicts = limits.judge("numerics", cell, found.values)
    record(
        "numerics",
        cell,
        found.values | {"weight_mib": mib(numerics_of_cell.loaded.weight_bytes)},
        timing.in_conditions(found.found),
        verdicts=verdicts,
    )
    require_within(verdicts)
