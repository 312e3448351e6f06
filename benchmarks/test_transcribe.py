"""What does a transcription cost? From samples to text, end to end."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import pytest

from whisperbench.plugin.collecting import fixed_tokens
from whisperbench.units import mib

if TYPE_CHECKING:
    from whisperbench.asked.plan import Plan
    from whisperbench.plugin.recording import Recorder
    from whisperbench.plugin.timing import Timing
    from whisperbench.results.metrics import Value
    from whisperbench.whisper.transcriber import Transcriber

pytestmark = pytest.mark.wall


@pytest.mark.needs("both lengths", "an early answer")
def test_transcribe(
    transcriber: Transcriber, decoding: str, plan: Plan, timing: Timing, record: Recorder
) -> None:
    """Time one transcription of the clip, at natural length and with a fixed token count.

    Timed region: log-mel front end on the host, its copy to the device, encoder, greedy decoding
    and the decoding of ids to text. The fixed count makes precisions comparable, because each
    decodes equally many tokens; natural length is what a user waits for. The output is checked
    before anything is timed. A GPU's energy is taken after that, over calls of its own, which warm
    it up for the timed rounds. What torch.compile compiles it has compiled before them, in seconds
    that are a figure of their own; that it compiles anew in a timed round is an error.
    """
    tokens = fixed_tokens(decoding)
    checked = transcriber.transcribe(tokens)
    worst_wer = None
    if tokens is None:
        worst_wer = transcriber.require_words(checked, plan.profile.max_wer)
    else:
        transcriber.require_fixed(checked, tokens)
    audio_s = transcriber.audio.seconds * transcriber.batch_size
    energy = timing.energy(lambda: transcriber.transcribe(tokens), audio_s)
    done = timing("transcribe", lambda: transcriber.transcribe(tokens), rounds=plan.profile.rounds)
    assert done.texts == checked.texts, "greedy decoding gave another text when it was timed"

    typical_s = median(timing.samples_s)
    values: dict[str, Value] = {
        "latency_s": timing.samples_s,
        "tokens_per_s": done.token_count(transcriber.end_of_text) / typical_s,
        "weight_mib": mib(transcriber.loaded.weight_bytes),
        **energy,
    }
    if tokens is None:
        values["rtfx"] = audio_s / typical_s
    elif not transcriber.loaded.key.model.trained:
        # Of a trained model only natural length says how fast speech is transcribed.
        values["rtfx_fixed_tokens"] = audio_s / typical_s
    if worst_wer is not None:
        values["wer"] = worst_wer
    found = timing.result(done.texts)
    if found.compilation is not None:
        values["compile_s"] = found.compilation.seconds
    record("transcribe", record.cell_of(transcriber, tokens), values, found)
