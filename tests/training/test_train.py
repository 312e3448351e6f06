"""The training: its configuration, that a break changes nothing, and what it exports."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from tests.training.tones import (
    replace,
    tiny_config,
)
from training.card import parameters_in
from training.config import CONFIG, Config, read_config
from training.evaluate import Listener
from training.model import export
from training.train import Trainer, learning_rate, read_log, trained
from whisperbench.asked.models import ModelSpec
from whisperbench.whisper import transformers_config
from whisperbench.whisper.blueprint import EVERY_WHISPER
from whisperbench.whisper.checkpoints import resolve_checkpoint
from whisperbench.whisper.processors import FRONT_END
from whisperbench.whisper.transformers_loading import TransformersModel


def test_the_configuration_is_strict() -> None:
    """Unknown keys, shares that make no whole and held-out settings that are trained on fail."""
    text = CONFIG.read_text(encoding="utf-8")
    for wrong, why in (
        (text.replace("[model]", "[model]\nlayers = 3"), "unknown field `layers`"),
        (text.replace("silence = 0.05", "silence = 0.1"), "must add up to 1"),
        (text.replace("heldout_rates = [0.88", "heldout_rates = [0.85"), "is a training one"),
        (text.replace('heldout_variants = ["m3"', 'heldout_variants = ["m1"'), "training one"),
    ):
        assert wrong != text
        with pytest.raises(msgspec.ValidationError, match=why):
            msgspec.toml.decode(wrong.encode(), type=Config)


def test_the_learning_rate_rises_and_falls() -> None:
    """It rises over the warm-up, and ends near zero."""
    settings = read_config().training
    rates = [learning_rate(step, settings) for step in range(settings.steps)]
    assert max(rates) == settings.learning_rate == rates[settings.warmup_steps]
    assert rates[0] < 0.01 * max(rates)
    assert rates[-1] < 1e-4 * max(rates)


def test_a_training_goes_on_as_if_unbroken(corpora: Path, unbroken: Path, tmp_path: Path) -> None:
    """Stopped after two of four steps and taken up again, it ends with the same weights."""
    config = tiny_config()
    assert not Trainer(config, corpora, tmp_path, "cpu").run(
        max_seconds=60, workers=0, most_steps=2
    )
    # A process that died after its checkpoint leaves lines that are made again.
    with (tmp_path / "log.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"step": 4, "loss": 99.0}) + "\n")
    assert Trainer(config, corpora, tmp_path, "cpu").run(max_seconds=60, workers=0)
    (whole, _, _), (broken, _, _) = trained(config, unbroken), trained(config, tmp_path)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, broken.state_dict()[name]), name
    losses = [
        [line["loss"] for line in read_log(folder) if "loss" in line]
        for folder in (unbroken, tmp_path)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4


def test_a_training_stops_in_time(corpora: Path, tmp_path: Path) -> None:
    """When the time is up no step is begun, and a checkpoint is written all the same."""
    assert not Trainer(tiny_config(), corpora, tmp_path, "cpu").run(max_seconds=-1, workers=0)
    assert trained(tiny_config(), tmp_path)[2]["step"] == 0


def test_another_configuration_does_not_go_on(corpora: Path, unbroken: Path) -> None:
    """A folder that holds a training of other settings is refused, and says so."""
    other = replace(tiny_config(), seed=1)
    with pytest.raises(ValueError, match="holds a training of another configuration"):
        Trainer(other, corpora, unbroken, "cpu")


def test_the_checkpoint_loads_and_transcribes(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exported folder is a Whisper to transformers and to the suite, short and long form."""
    # But for a window of 3 s and 100 positions, which no Whisper has, and which are quick.
    monkeypatch.setitem(EVERY_WHISPER, "max_source_positions", 150)
    monkeypatch.setitem(EVERY_WHISPER, "max_target_positions", 100)
    monkeypatch.setattr(transformers_config, "POSITIONS", 100)
    monkeypatch.setitem(FRONT_END, "chunk_length", 3)
    whisper, vocabulary, _ = trained(tiny_config(), unbroken)
    folder = tmp_path / "tiny"
    export(whisper, vocabulary, folder)
    checkpoint = resolve_checkpoint(ModelSpec.parse(str(folder)))
    assert checkpoint.fingerprint.startswith("sha256:")
    listener = Listener(folder, "fp32", "cpu")
    assert listener.loaded.model.dtype == torch.float32
    for name, tensor in whisper.state_dict().items():
        assert torch.equal(tensor.half().float(), listener.loaded.model.state_dict()[name]), name
    assert parameters_in(folder) == sum(part.numel() for part in listener.loaded.model.parameters())
    random = np.random.default_rng(0)
    short = (0.1 * random.standard_normal(20_000)).astype(np.float32)
    assert len(listener.transcribe([short, short[:1_600]])) == 2
    assert len(listener.transcribe([np.tile(short, 6)])) == 1
    # The prompt is that of OpenAI's English-only checkpoints, and a fixed count is kept.
    assert isinstance(listener.loaded, TransformersModel)
    features = listener.loaded.processor(
        short, sampling_rate=16_000, return_tensors="pt"
    ).input_features
    ids = listener.loaded.model.generate(features, min_new_tokens=60, max_new_tokens=60)
    assert ids.shape[1] in (60, 62)
    assert listener.loaded.model.generation_config.is_multilingual is False
    assert listener.loaded.processor.tokenizer.prefix_tokens == [
        vocabulary.start,
        vocabulary.no_timestamps,
    ]
