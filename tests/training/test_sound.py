"""What becomes of sound before it is trained on: augmentation, masks and features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.training.tones import (
    lay,
    plan_of,
    replace,
    tiny_config,
)
from training.features import log_mel, mel_filters
from training.sound import augment, mask_mel, pad_mel
from training.tokenizer import Vocabulary


def test_features_are_whispers() -> None:
    """The log-mel spectrogram on the training device is the standard extractor's."""
    from transformers import WhisperFeatureExtractor

    random = np.random.default_rng(0)
    waves = (0.1 * random.standard_normal((2, 480_000))).astype(np.float32)
    waves[0, 200_000:] = 0
    expected = WhisperFeatureExtractor()(list(waves), sampling_rate=16_000).input_features
    made = log_mel(torch.from_numpy(waves), mel_filters(80, "cpu"))
    assert made.shape == (2, 80, 3000)
    assert np.abs(made.numpy() - np.stack(expected)).max() < 1e-4


def test_augmentation_is_seeded_and_ends_with_the_recording(
    corpora: Path, vocabulary: Vocabulary
) -> None:
    """The same generator makes the same sound, padding stays empty, clean windows stay clean."""
    config = replace(tiny_config(), training=replace(tiny_config().training, batch=40))
    plan = plan_of(corpora, vocabulary, config, 0)
    waves = lay(corpora, plan)

    def made(clean: float) -> torch.Tensor:
        settings = replace(config.augmentation, clean=clean, clipped=0.3)
        return augment(waves, plan, settings, torch.Generator().manual_seed(3))

    noisy = made(0.0)
    assert torch.equal(noisy, made(0.0))
    assert bool(torch.isfinite(noisy).all())
    assert float(noisy.abs().max()) == 1.0
    for row, length in enumerate(plan.lengths.tolist()):
        assert not noisy[row, length:].any()
    assert not torch.allclose(noisy, waves, atol=1e-3)
    # A clean window went through two Fourier transforms, and nothing else.
    spoken = ~plan.speechless
    assert torch.allclose(made(1.0)[spoken], waves[spoken].clamp(-1, 1), atol=1e-5)


def test_a_mel_mask_hides_one_band() -> None:
    """At most twelve neighbouring bins are silenced, in the asked share of the windows."""
    mel = torch.rand(64, 80, 30)
    masked = mask_mel(mel, 0.5, torch.Generator().manual_seed(0))
    hidden = (masked != mel).all(2).sum(1)
    assert 0.2 < float((hidden > 0).float().mean()) < 0.7
    assert int(hidden.max()) <= 12


def test_a_recordings_last_window_is_padded_as_transformers_does(
    corpora: Path, vocabulary: Vocabulary
) -> None:
    """Some windows have zeros after the recording, and the same spectrogram before its end."""
    plan = plan_of(corpora, vocabulary, tiny_config(), 0)
    plan.lengths = torch.tensor([16_000, 24_001])
    mel = torch.full((2, 80, 300), -1.0)
    padded = pad_mel(mel, plan, 1.0, torch.Generator())
    assert (padded[0, :, :100] == -1).all()
    assert not padded[0, :, 100:].any()
    assert (padded[1, :, :151] == -1).all()
    assert not padded[1, :, 151:].any()
    assert torch.equal(pad_mel(mel, plan, 0.0, torch.Generator()), mel)
