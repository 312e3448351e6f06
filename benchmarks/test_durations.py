"""What does short and long audio cost? Transcriptions of 1, 5, 27 and 90 seconds."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import pytest

from whisperbench.asked.durations import tokens_for
from whisperbench.units import mib

if TYPE_CHECKING:
    from fixtures.durations import MeasureWindow
    from whisperbench.asked.plan import Plan
    from whisperbench.plugin.recording import Recorder
    from whisperbench.plugin.timing import Timing
    from whisperbench.results.metrics import Value
    from whisperbench.whisper.transcriber import Transcriber

pytestmark = pytest.mark.wall


@pytest.mark.needs("speech of several durations")
def test_durations(
    transcriber: Transcriber,
    measure_window: MeasureWindow,
    plan: Plan,
    timing: Timing,
    record: Recorder,
) -> None:
    """Time one transcription of speech of a duration, at its natural length.

    Timed region: as in test_transcribe. Whisper pads audio to windows of 30 s, so that a second of
    speech costs the front end and the encoder as much as half a minute does; the share of the time
    that these two take is recorded beside it. Random weights have no natural length, and decode as
    many tokens as such speech has. The output is checked before anything is timed.
    """
    seconds = transcriber.audio.seconds
    tokens = None if transcriber.loaded.key.model.trained else tokens_for(seconds)
    checked = transcriber.transcribe(tokens)
    values: dict[str, Value] = {}
    if tokens is not None:
        transcriber.require_fixed(checked, tokens)
    elif (worst := transcriber.require_words(checked, plan.profile.max_wer)) is not None:
        values["wer"] = worst
    window_s = measure_window()
    done = timing("duration", lambda: transcriber.transcribe(tokens), rounds=plan.profile.rounds)
    assert done.texts == checked.texts, "greedy decoding gave another text when it was timed"

    typical_s = median(timing.samples_s)
    rate = "rtfx" if tokens is None else "rtfx_fixed_tokens"
    values |= {
        "latency_s": timing.samples_s,
        rate: seconds * transcriber.batch_size / typical_s,
        "weight_mib": mib(transcriber.loaded.weight_bytes),
    }
    if window_s is not None:
        values["window_share"] = min(1.0, transcriber.windows * window_s / typical_s)
    record("duration", record.cell_of(transcriber, tokens), values, timing.result(done.texts))
