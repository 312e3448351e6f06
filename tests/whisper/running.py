"""Cells that are loaded and run once under the profiler, as the cost pass does it."""

from __future__ import annotations

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import load_audio, read_manifest
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import precision_named
from whisperbench.asked.suite import Attention
from whisperbench.devices.accelerator import Accelerator
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.measure.cost.profiling import profile_once
from whisperbench.measure.cost.seen import seen_in
from whisperbench.results.ran import Ran
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.loading import LoadedModel, load_model
from whisperbench.whisper.what_ran import what_ran

TOKENS = 2


def load(
    checkpoint: Checkpoint,
    precision: str,
    attention: Attention = "sdpa",
    accelerator: Accelerator | None = None,
) -> LoadedModel:
    """Load a checkpoint, on the CPU unless an accelerator is given."""
    key = CheckpointKey(
        model=checkpoint.spec, precision=precision_named(precision), attention=attention
    )
    return load_model(checkpoint, key, accelerator or CpuAccelerator())


def run(loaded: LoadedModel, clip: str = "yes", batch_size: int = 1, tokens: int = TOKENS) -> Ran:
    """Transcribe once under the profiler; return what ran, or raise what it is not."""
    audio = load_audio(read_manifest(CLIPS_FOLDER)[clip])
    transcriber = loaded.transcriber([audio] * batch_size)
    features = transcriber.front_end()
    tally = profile_once(
        lambda: transcriber.generate(features, tokens),
        loaded.model,
        transcriber.encoder(),
        loaded.accelerator,
    )
    return what_ran(loaded, generated=True, **seen_in(tally.rows(), on_gpu=False)._asdict())
