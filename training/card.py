"""The model card: what nano is, what it was made of, how well it hears and what it can't."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.config import Config
from training.corpus import About
from training.evaluate import Report, table

_COLUMNS = 100

_HEAD = """\
---
language: en
license: mit
library_name: transformers
pipeline_tag: automatic-speech-recognition
---

# nano

A small Whisper that [whisperbench](../../../README.md) trains itself, so that its benchmarks
transcribe real sentences offline. It has the standard classes and files, and loads by
`WhisperForConditionalGeneration.from_pretrained` and `WhisperProcessor.from_pretrained`.

**It knows the project's own synthetic voices and a list of {words} English words, and nothing
more.** It is a test object: don't transcribe people with it.
"""

_LIMITS = """\
## Limits
- Trained on synthesizers alone. Human speech, other accents, other microphones: expect nonsense.
- A word outside of its list is written as words inside of it that sound alike.
- English only, British spelling, numbers as words. No translation, no language detection, no
  prompts (`<|startofprev|>` is in the vocabulary and was never trained).
- Time stamps mark sentences, not words.
- Trained with bfloat16 autocast, stored as float16.
"""


# Over 60 lines: it is one document.
def card(
    config: Config,
    about: Mapping[str, About],
    reports: Sequence[Report],
    *,
    words: int,
    parameters: int,
    steps: int,
    seconds: float,
    device: str,
) -> str:
    """Write the card of a checkpoint.

    Args:
        config: what it was made by.
        about: the training and the held-out corpus.
        reports: its scores, one for each precision.
        words: in the word list.
        parameters: of the model, the tied output projection counted once.
        steps: that it was trained.
        seconds: that they took.
        device: what it was trained on.
    """
    model, train, heldout = config.model, about["train"], about["heldout"]
    voices = "\n".join(
        f"- {voice.engine}: {', '.join(voice.names)}"
        + (f", as {', '.join(voice.variants)}" if any(voice.variants) else "")
        + f"; {voice.share:.0%} of the utterances"
        for voice in config.voice
    )
    versions = ", ".join(f"{name} {said}" for name, said in train.synthesizers.items())
    heard = (
        table(reports)
        + "\n\n"
        + _filled(
            "Whisper's English normalizer, greedy decoding, jiwer. Recordings longer than a window "
            "are walked through by predicted time stamps."
        )
        if reports
        else "Not evaluated yet."
    )
    sections = [
        _HEAD.format(words=words),
        "## Model\n"
        + _filled(
            f"{parameters / 1e6:.2f} million parameters: width {model.width}, {model.heads} heads, "
            f"{model.encoder_layers} encoder and {model.decoder_layers} decoder layers, "
            f"{model.mel_bins} mel bins, {model.pieces} byte-level pieces and Whisper's special "
            f"tokens, windows of {model.window_s} s, {model.max_tokens} tokens."
        ),
        "## Data\n"
        + _filled(
            "The sentences come from a grammar and a word list of the project's own "
            f"(training/grammar.toml, CC0-1.0): {train.utterances} utterances, "
            f"{train.seconds / 3600:.1f} hours, spoken at several rates and pitches by free "
            f"synthesizers from Debian ({versions}):"
        )
        + f"\n{voices}\n\n"
        + _filled(
            "flite's voices (Carnegie Mellon University, BSD-like licence) and espeak-ng (GPL-3.0, "
            "the program) put no claim on what they speak. Noise of several colours, "
            "reverberation, band limits, tones, clipping and changes of level and speed were added "
            "in training. No recording of a person was used, and no other model."
        )
        + "\n"
        + _filled(
            f"Held out: {heldout.utterances} other utterances of another seed, in rates and "
            "pitches, and for espeak-ng in variants, that were never trained on. The sentences of "
            "fixtures/clips are not in the training either, but they are no test of it: their "
            "words and their shapes are in the grammar, which was mended by what was misheard in "
            "them, and their voices and settings are trained ones."
        ),
        "## Training\n"
        + _filled(
            f"{steps} steps of {config.training.batch} windows in {seconds / 60:.1f} minutes on "
            f"{device}, by `python -m training`, seed {config.seed}, configuration "
            f"{config.digest}. The loss is the decoder's cross entropy and, weighted "
            f"{config.training.ctc}, the connectionist temporal classification of the encoder's "
            "output, whose layer is not part of the checkpoint. The curves are in curve.svg."
        ),
        f"## Word error rate\n{heard}\n",
        _LIMITS,
        "## Licence\nThe weights and the tokenizer: MIT, as the project. The sentences: CC0-1.0.\n",
    ]
    return "\n".join(sections)


def _filled(text: str) -> str:
    return textwrap.fill(text, _COLUMNS, break_on_hyphens=False) + "\n"


def parameters_in(folder: Path) -> int:
    """Count the parameters in a checkpoint's weight file."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="numpy") as weights:
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
    return sum(math.prod(shape) for shape in shapes)


def write_card(folder: Path, text: str) -> None:
    """Put a card into a checkpoint's folder."""
    (folder / "README.md").write_text(text, encoding="utf-8")
