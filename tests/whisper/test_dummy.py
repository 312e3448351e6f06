"""Dummy checkpoints: their contents, and a cache that two processes may fill at once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import workloads
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import load_audio, read_manifest
from whisperbench.asked.models import SIZES, ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import ModelError
from whisperbench.measure.fresh import start_process
from whisperbench.results.environment import cache_folder
from whisperbench.whisper.checkpoints import Checkpoint, resolve_checkpoint
from whisperbench.whisper.dummy import OUTLIER_FEATURES, RECIPE, ensure_dummy
from whisperbench.whisper.loading import load_model

# Of the weights that recipe 2 makes. If they change on purpose, raise RECIPE with this.
RECIPE_2_TINY_SHA256 = "eb0fb4542ceacd6b7e33b97d38f94828b9c79b6d9a1f9939c3e9b35be24236a1"


def test_same_weights_everywhere(dummy_tiny: Checkpoint) -> None:
    """A dummy's weights are the same bytes on every machine, for a given recipe."""
    data = (dummy_tiny.folder / "model.safetensors").read_bytes()
    assert (RECIPE, hashlib.sha256(data).hexdigest()) == (2, RECIPE_2_TINY_SHA256)


@pytest.mark.parametrize(
    ("size", "mib"),
    [
        ("tiny", 72),
        ("base", 138),
        ("small", 461),
        ("medium", 1457),
        ("large-v3", 2944),
        ("large-v3-turbo", 1543),
    ],
)
def test_sizes_have_the_real_dimensions(size: str, mib: int) -> None:
    """Each size has the weights that the published fp16 checkpoint has, to the MiB."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    dims = SIZES[size]
    with torch.device("meta"):
        model = WhisperForConditionalGeneration(
            WhisperConfig(
                vocab_size=51766 + dims.languages,
                num_mel_bins=dims.mel_bins,
                d_model=dims.width,
                encoder_layers=dims.encoder_layers,
                decoder_layers=dims.decoder_layers,
                encoder_ffn_dim=4 * dims.width,
                decoder_ffn_dim=4 * dims.width,
                encoder_attention_heads=dims.width // 64,
                decoder_attention_heads=dims.width // 64,
            )
        )
    assert sum(weight.numel() * 2 for weight in model.parameters()) / 2**20 == pytest.approx(
        mib, abs=1
    )


def test_vocabulary_is_whispers(dummy_tiny: Checkpoint) -> None:
    """Special tokens have the ids of the multilingual Whisper, and words decode to text."""
    from transformers import AutoProcessor

    tokenizer = AutoProcessor.from_pretrained(dummy_tiny.folder).tokenizer
    expected = {
        "<|endoftext|>": 50257,
        "<|startoftranscript|>": 50258,
        "<|en|>": 50259,
        "<|translate|>": 50358,
        "<|transcribe|>": 50359,
        "<|notimestamps|>": 50363,
        "<|0.00|>": 50364,
    }
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in expected} == expected
    assert len(tokenizer) == 51865
    text = tokenizer.decode([50258, 50259, 300, 301, 50257], skip_special_tokens=True)
    assert [word.isalpha() for word in text.split()] == [True, True]


def test_outliers_reach_every_projection_that_the_paper_names(dummy_tiny: Checkpoint) -> None:
    """Inputs of the attention projections and first feed-forward layers exceed 6.0 in six columns.

    And in no others: the threshold path has work to do, and not all of it.
    """
    key = CheckpointKey(model=dummy_tiny.spec, precision=PRECISIONS["int8"], attention="sdpa")
    loaded = load_model(dummy_tiny, key, CpuAccelerator())
    columns: dict[str, int] = {}

    def watch(name: str) -> Any:
        def hook(_layer: object, inputs: tuple[torch.Tensor, ...]) -> None:
            rows = inputs[0].reshape(-1, inputs[0].shape[-1])
            columns[name] = int((rows.abs() >= 6.0).any(0).sum())

        return hook

    for name, layer in loaded.model.named_modules():
        if type(layer).__name__ == "Linear8bitLt":
            layer.register_forward_pre_hook(watch(name))
    audio = load_audio(read_manifest(CLIPS_FOLDER)["yes"])
    loaded.transcriber([audio]).transcribe(2)
    projections = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "fc1")
    cross = ("encoder_attn.q_proj", "encoder_attn.k_proj", "encoder_attn.v_proj")
    fed_by_norms = {
        name: count for name, count in columns.items() if name.endswith(projections + cross)
    }
    assert len(fed_by_norms) == 4 * 4 + 4 * 7
    assert set(fed_by_norms.values()) == {OUTLIER_FEATURES}


def test_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """WHISPERBENCH_CACHE moves the cache."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("WHISPERBENCH_CACHE")
    assert cache_folder().name == "whisperbench"


def test_processes_that_start_together_build_it_once(tmp_path: Path) -> None:
    """Of three processes one builds, and all of them find the complete folder."""
    builders = [start_process(workloads.build_dummy, tmp_path) for _ in range(3)]
    for _, connection in builders:
        connection.send("go")
    outputs = [list(words_of(connection)) for _, connection in builders]
    for process, _ in builders:
        process.join(120)
        assert process.exitcode == 0
    assert [output[-1] for output in outputs] == ["done"] * 3
    assert sum("building" in output for output in outputs) == 1
    assert [path.name for path in (tmp_path / "dummies").iterdir() if path.is_dir()] == [
        f"tiny-recipe{RECIPE}"
    ]


def words_of(connection: Connection[Any, Any]) -> Iterator[str]:
    """Yield what a process says, until it has ended."""
    with contextlib.suppress(EOFError):
        while True:
            yield connection.recv()


def test_killed_half_way_leaves_nothing_that_loads(tmp_path: Path) -> None:
    """After SIGKILL in mid-build there is no folder to load, and the next process builds it."""
    builder, connection = start_process(workloads.build_dummy, tmp_path)
    connection.send("go")
    assert builder.pid is not None
    assert "building" in words_of(connection)
    parts = tmp_path / "dummies"
    while not list(parts.glob(".tiny-*")):
        time.sleep(0.001)
    os.kill(builder.pid, signal.SIGKILL)
    builder.join()
    assert list(parts.glob(".tiny-*")), "killed too late to show anything"
    assert not (parts / f"tiny-recipe{RECIPE}").exists()

    folder = ensure_dummy("tiny", tmp_path)
    assert (folder / "model.safetensors").stat().st_size > 70 * 2**20
    assert not list(parts.glob(".tiny-*")), "what the killed process left is still there"


def test_unwritable_cache_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot be written says where it is and how to move it."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(blocked))
    with pytest.raises(ModelError, match="WHISPERBENCH_CACHE") as caught:
        resolve_checkpoint(ModelSpec.parse("dummy:tiny"))
    assert "\n" not in str(caught.value)


def test_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while writing, such as a full disk, takes what was written with it."""
    import safetensors.torch

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full_disk)
    with pytest.raises(ModelError, match="No space left on device"):
        ensure_dummy("tiny", tmp_path)
    assert [path.suffix for path in (tmp_path / "dummies").iterdir()] in ([".lock"], [])
