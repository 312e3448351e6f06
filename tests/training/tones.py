"""A corpus of tones, which needs no synthesizer, and a model that trains on a CPU in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from training.config import Config, read_config
from training.corpus import Corpus, Utterance, write_corpus
from training.sentences import (
    Grammar,
    Kind,
    make_texts,
)
from training.sound import lay_out
from training.speech import missing_synthesizers
from training.tokenizer import Vocabulary
from training.windows import Plan, Planner
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import read_manifest

TEXTS = ("Yes.", "The rain fell.", "Anna sang again.", "It was nine o'clock.", "Nobody came home.")
WINDOW = 3 * 16_000
replace = msgspec.structs.replace
needs_synthesizers = pytest.mark.skipif(
    bool(missing_synthesizers()), reason="flite and espeak-ng are not installed"
)


def clip_texts() -> list[str]:
    """Return what the clips say."""
    return [clip.text or "" for clip in read_manifest(CLIPS_FOLDER).values()]


def written(seed: int, taken: set[str], sentences: int = 3000) -> list[tuple[Kind, str]]:
    """Make a small set of texts."""
    counts: dict[Kind, int] = {
        "sentence": sentences,
        "pair": 100,
        "patchwork": 100,
        "scramble": 100,
        "twister": 100,
        "word": 1,
    }
    return make_texts(Grammar.load(), counts, seed=seed, taken=taken)


def tiny_config() -> Config:
    """Return nano's configuration, but of a model that a CPU trains in a second."""
    config = read_config()
    return replace(
        config,
        model=replace(
            config.model,
            width=64,
            heads=1,
            encoder_layers=1,
            decoder_layers=1,
            pieces=270,
            window_s=3,
            max_tokens=100,
        ),
        training=replace(
            config.training, batch=2, steps=4, warmup_steps=2, log_every=1, evaluate_every=3
        ),
    )


def write_tones(folder: Path, *, kind: Kind = "sentence") -> Corpus:
    """Write a corpus whose utterances are tones, so that no synthesizer is needed."""

    def spoken() -> Any:
        start = 0
        for at, text in enumerate(TEXTS):
            seconds = np.arange(8_000 + 3_000 * at) / 16_000
            samples = (8_000 * np.sin(2 * np.pi * 200 * (at + 1) * seconds)).astype(np.int16)
            yield (
                Utterance(
                    text=text,
                    kind="word" if at == 0 else kind,
                    speaker=f"tone {at % 2}",
                    rate=1.0,
                    pitch=1.0,
                    start=start,
                    samples=len(samples),
                ),
                samples,
            )
            start += len(samples)

    write_corpus(folder, "tones", spoken(), {"flite": "none"})
    return Corpus.load(folder)


def plan_of(corpora: Path, vocabulary: Vocabulary, config: Config, step: int) -> Plan:
    """Plan a step over the tones."""
    return Planner(config, Corpus.load(corpora / "train").utterances, vocabulary)[step]


def lay(corpora: Path, plan: Plan) -> torch.Tensor:
    """Play a plan."""
    samples = torch.from_numpy(np.array(Corpus.load(corpora / "train").samples))
    return lay_out(samples, plan, int(plan.count.sum()), WINDOW)
