"""What does the harness itself cost? Its p50 against that of a bare loop of the same call.

    pytest benchmarks/overhead.py --model dummy:tiny --precision fp32 --rounds 40

Not collected by `pytest benchmarks/`; it takes the same options. The two alternate in one
process, so that both see the same machine. Prints the ratio; 1.00 is the aim.
"""

from __future__ import annotations

import copy
import time
from statistics import median
from typing import TYPE_CHECKING

from whisperbench.errors import InputError
from whisperbench.plugin.terminal import announcer
from whisperbench.units import WINDOW_S

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from whisperbench.asked.plan import Plan
    from whisperbench.plugin.recording import Recorder
    from whisperbench.plugin.timing import Timing
    from whisperbench.whisper.transcriber import Transcriber


def test_overhead(
    transcriber: Transcriber,
    plan: Plan,
    timing: Timing,
    record: Recorder,
    pytestconfig: pytest.Config,
) -> None:
    """Time test_transcribe's fixed-length call by the harness, and bare, in turns.

    Timed region of both: what test_transcribe times. The bare one calls transformers as a script
    without this suite would.
    """
    if transcriber.audio.seconds > WINDOW_S:
        raise InputError(f"--clip {transcriber.audio.clip.name}: take one of at most 30 s here")
    tokens = plan.profile.tokens
    transcriber.require_fixed(transcriber.transcribe(tokens), tokens)
    bare = _bare_call(transcriber, tokens)
    bare_s: list[float] = []

    def before() -> None:
        started = time.perf_counter()
        bare()
        bare_s.append(time.perf_counter() - started)

    timing(
        "overhead",
        lambda: transcriber.transcribe(tokens),
        rounds=plan.profile.rounds,
        before=before,
    )
    harness_s = timing.samples_s
    bare_s = bare_s[-len(harness_s) :]  # without the warm-up rounds
    ratio = median(harness_s) / median(bare_s)
    announcer(pytestconfig)(
        f"{transcriber.loaded.key.id}: harness p50 {median(harness_s):.4f} s, bare p50 "
        f"{median(bare_s):.4f} s, {len(harness_s)} rounds each: ratio {ratio:.4f}"
    )
    record(
        "overhead",
        record.cell_of(transcriber, tokens),
        {"latency_s": harness_s, "overhead_ratio": ratio},
        timing.result(),
    )


def _bare_call(transcriber: Transcriber, tokens: int) -> Callable[[], list[str]]:
    """Write the call as a plain script would, with nothing of the suite in it."""
    from whisperbench.whisper.transformers_loading import TransformersModel

    loaded = transcriber.loaded
    if not isinstance(loaded, TransformersModel):
        raise InputError(f"{loaded.key.id}: the bare call is one of transformers, and this is not")
    model, processor, dtype = loaded.model, loaded.processor, loaded.dtype
    device, synchronize = loaded.accelerator.torch_device, loaded.accelerator.synchronize
    batch = [transcriber.audio.samples] * transcriber.batch_size
    settings = copy.deepcopy(model.generation_config)
    settings.do_sample, settings.num_beams = False, 1
    settings.min_new_tokens = settings.max_new_tokens = tokens
    if settings.is_multilingual:
        settings.language, settings.task = transcriber.language, "transcribe"

    def call() -> list[str]:
        inputs = processor.feature_extractor(
            batch, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True
        )
        ids = model.generate(
            inputs.input_features.to(device, dtype),
            attention_mask=inputs.attention_mask.to(device),
            generation_config=settings,
        )
        texts: list[str] = processor.batch_decode(ids, skip_special_tokens=True)
        synchronize()
        return texts

    return call
