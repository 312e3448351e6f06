"""Where does the time go? The stages of a transcription, each on its own.

On a CPU they are not in the default run: --all measures them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

    from whisperbench.asked.plan import Plan
    from whisperbench.plugin.recording import Recorder
    from whisperbench.plugin.timing import Timing
    from whisperbench.whisper.transcriber import Transcriber

pytestmark = pytest.mark.wall


def test_front_end(transcriber: Transcriber, plan: Plan, timing: Timing, record: Recorder) -> None:
    """Time the front end for one 30 s window.

    Timed region: log-mel spectrogram on the host, cast to the model's dtype, copy to the device.
    """
    _require_finite(transcriber.front_end().mel, "the log-mel spectrogram")
    timing("front end", transcriber.front_end, rounds=plan.profile.stage_rounds)
    _record(record, "front end", transcriber, timing)


def test_encoder(transcriber: Transcriber, plan: Plan, timing: Timing, record: Recorder) -> None:
    """Time the encoder for one 30 s window.

    Timed region: one forward pass, its input on the device already. Audio is padded to 30 s, so
    a short clip costs as much as a long one.
    """
    features = transcriber.front_end()
    _require_finite(transcriber.encode(features).last_hidden_state, "the encoder's output")
    timing("encoder", lambda: transcriber.encode(features), rounds=plan.profile.stage_rounds)
    _record(record, "encoder", transcriber, timing)


def test_token(transcriber: Transcriber, plan: Plan, timing: Timing, record: Recorder) -> None:
    """Time one token of the decoder, in the middle of the fixed token count.

    Timed region: one forward pass of the decoder with its key-value cache filled, the output
    projection and argmax. Before each round the cache is taken back to the same length.
    """
    step = transcriber.token_step(at=plan.profile.tokens // 2)
    _require_finite(step.logits(), "the decoder's logits")
    step.rewind()
    first = step.step()
    last = timing("token", step.step, rounds=plan.profile.stage_rounds, before=step.rewind)
    assert bool((first == last).all()), "the same step gave another token when it was timed"
    _record(record, "token", transcriber, timing, tokens=plan.profile.tokens)


def _require_finite(tensor: torch.Tensor, what: str) -> None:
    assert bool(tensor.isfinite().all()), f"{what} is not finite"


def _record(
    record: Recorder,
    benchmark: str,
    transcriber: Transcriber,
    timing: Timing,
    tokens: int | None = None,
) -> None:
    record(
        benchmark,
        record.cell_of(transcriber, tokens),
        {"latency_s": timing.samples_s},
        timing.result(),
    )
