"""Checkpoints that can be loaded, and the many that cannot.

Over 300 lines, because it is one subject with one set of helpers.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import ModelError, WhisperbenchError
from whisperbench.whisper.checkpoint_files import check_files
from whisperbench.whisper.checkpoints import Checkpoint, resolve_checkpoint
from whisperbench.whisper.loading import load_model


@pytest.fixture
def folder(dummy_tiny: Checkpoint, tmp_path: Path) -> Path:
    """A checkpoint folder of its own, to be broken."""
    return shutil.copytree(dummy_tiny.folder, tmp_path / "whisper")


def _resolve(folder: Path) -> Checkpoint:
    return resolve_checkpoint(ModelSpec.parse(str(folder)))


def _load(folder: Path) -> None:
    checkpoint = _resolve(folder)
    key = CheckpointKey(model=checkpoint.spec, precision=PRECISIONS["fp32"], attention="sdpa")
    load_model(checkpoint, key, CpuAccelerator())


def test_fingerprint_tells_fine_tunes_apart(folder: Path) -> None:
    """Two folders of one name with different weights are different checkpoints."""
    before = _resolve(folder).fingerprint
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert before.startswith("sha256:")
    assert _resolve(folder).fingerprint != before


def test_sharded_weights_are_found(folder: Path) -> None:
    """Weights in shards, as save_pretrained writes large models, are resolved and loaded."""
    from transformers import WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40MB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    _load(folder)


def _truncate(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 10_000_000)


def _scramble(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x10" * 5000)


def _pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{", encoding="utf-8")


def _listed_config(folder: Path) -> None:
    (folder / "config.json").write_text("[]", encoding="utf-8")


def _other_model(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")


def _missing_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"model.encoder.conv1.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _empty_index(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text("{}", encoding="utf-8")


def _another_size(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["decoder_layers"] = 6
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _another_width(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["d_model"] = 512
    config["encoder_attention_heads"] = config["decoder_attention_heads"] = 8
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (_truncate, "model.safetensors is missing or corrupt"),
        (_scramble, "model.safetensors is missing or corrupt"),
        (_pickle_only, "a pickle can run code"),
        (_no_config, "no config.json in it"),
        (_broken_config, "not readable JSON"),
        (_listed_config, "holds no JSON object"),
        (_other_model, "is a bert model"),
        (_missing_shard, "1 are not there, such as model-00001-of-00002.safetensors"),
        (_empty_index, "names no files"),
        (_another_size, "48 tensors of the model that config.json describes are not in its"),
        (_another_width, "is of shape .*, and of .* by config.json"),
        (_broken_tokenizer, "its tokenizer or feature extractor cannot be loaded: KeyError"),
    ],
)
def test_broken_checkpoints_are_one_line(folder: Path, damage: object, word: str) -> None:
    """Each kind of damage is an error that names it; none loads as a model of made-up weights."""
    damage(folder)  # type: ignore[operator]
    with pytest.raises(ModelError, match=word) as caught:
        _load(folder)
    assert "\n" not in str(caught.value)


def _half_downloaded(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.safetensors.incomplete")


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _lfs(folder: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 151061672\n"
    (folder / "model.safetensors").write_text(pointer, encoding="utf-8")


def _lfs_tokenizer(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "kept")
    _lfs(folder)
    (folder / "model.safetensors").rename(folder / "tokenizer.json")
    (folder / "kept").rename(folder / "model.safetensors")


def _annex(folder: Path) -> None:
    (folder / "model.safetensors").write_text("/annex/objects/SHA256E-s1--0\n", encoding="utf-8")


def _emptied(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _emptied_settings(folder: Path) -> None:
    (folder / "generation_config.json").write_bytes(b"")


def _converted(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.bin")


def _for_flax(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "flax_model.msgpack")


def _half_of_a_trainers_folder(folder: Path) -> None:
    _half_downloaded(folder)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "pytorch_model.bin"):
        (folder / name).write_bytes(b"\x80")


def _lfs_pickle(folder: Path) -> None:
    _lfs(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _adapter_with_config(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    _adapter_beside(folder)


def _adapter_without_config(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder / "adapter_model.safetensors")


def _empty_processor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text('{"processor_class": "x"}', encoding="utf-8")


def _adapter_alone(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    _adapter_beside(folder)


def _adapter_beside(folder: Path) -> None:
    base = '{"peft_type": "LORA", "base_model_name_or_path": "openai/whisper-tiny"}'
    (folder / "adapter_config.json").write_text(base, encoding="utf-8")


def _no_vocabulary(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_half_downloaded, "an unfinished download, model.safetensors.incomplete; copy it again"),
        (_no_weights, "no model.safetensors in it, as in an unfinished copy; copy it again"),
        (_lfs, "model.safetensors is a Git LFS pointer, not the file: run git lfs pull there"),
        (_lfs_tokenizer, "tokenizer.json is a Git LFS pointer"),
        (_annex, "model.safetensors is a git-annex pointer, not the file: run git annex get there"),
        (_emptied, "model.safetensors is empty, as an unfinished copy is; copy it again"),
        (_emptied_settings, "generation_config.json is empty"),
        (_converted, "model.bin is of CTranslate2's format, which is not loaded; take the model"),
        (_for_flax, "flax_model.msgpack is of Flax's format"),
        (_half_of_a_trainers_folder, "an unfinished download, model.safetensors.incomplete"),
        (_lfs_pickle, "pytorch_model.bin is a Git LFS pointer"),
        (_adapter_with_config, "is an adapter without its model: load openai/whisper-tiny"),
        (_adapter_without_config, "an adapter lies beside the model (adapter_model.safetensors)"),
        (_empty_processor, "no preprocessor_config.json in it"),
        (_adapter_alone, "is an adapter without its model: load openai/whisper-tiny and it with "),
        (_adapter_beside, "an adapter lies beside the model (adapter_config.json); merge an ada"),
        (_no_vocabulary, "no tokenizer.json in it"),
    ],
)
def test_the_remedy_is_of_what_is_wrong(folder: Path, damage: object, words: str) -> None:
    """What lacks, stands for another file, or is of another kind is told what helps, unread."""
    damage(folder)  # type: ignore[operator]
    with pytest.raises(ModelError) as caught:
        _resolve(folder)
    assert words in str(caught.value)
    assert "pickle" not in str(caught.value)
    assert "\n" not in str(caught.value)


def _add_tensor(folder: Path, name: str) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors[name] = tensors["model.encoder.conv1.bias"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.model.decoder.layers.0.fc1.lora_A.weight",
        "model.decoder.layers.9.fc1.bias",
        "model.encoder.conv1.SCB",
    ],
)
def test_tensors_that_nothing_takes_are_refused_unless_asked_for(folder: Path, name: str) -> None:
    """One is named before loading; with --allow-unused it is a remark, and the rest is measured."""
    _add_tensor(folder, name)
    _adapter_beside(folder)
    with pytest.raises(
        ModelError, match=r"\(adapter_config.json\); one tensor is of no layer that"
    ) as caught:
        _resolve(folder)
    assert f"such as {name}" in str(caught.value)
    assert "merge_and_unload()" in str(caught.value)
    checkpoint = resolve_checkpoint(ModelSpec.parse(str(folder)), allow_unused=True)
    assert [remark.endswith(", which is not used.") for remark in checkpoint.remarks] == [True] * 2


def test_files_that_nobody_reads_spoil_nothing(folder: Path) -> None:
    """What a trainer or a Mac leaves in the folder may be empty, or a pointer."""
    for name in ("trainer_state.json", "._config.json", "all_results.json"):
        (folder / name).write_bytes(b"")
    pointer = "version https://git-lfs.github.com/spec/v1\n"
    (folder / "training_args.json").write_text(pointer, encoding="utf-8")
    assert _resolve(folder).remarks == ()


def test_a_hub_model_of_pickles_alone_is_not_told_to_download_again(folder: Path) -> None:
    """Pickles are never fetched: the line says so, and how to go on."""
    _no_weights(folder)
    spec = ModelSpec(kind="hub", name="owner/name", hub_id="owner/name")
    with pytest.raises(
        ModelError, match=r"the hub has no model.safetensors of it; pickled weights"
    ):
        check_files(spec, folder)


def test_a_projection_that_is_not_the_embedding_is_refused(folder: Path) -> None:
    """Untied weights are another model, which would be loaded without a word."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["proj_out.weight"] = tensors["model.decoder.embed_tokens.weight"] * 0
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="the output projection in its weights is not the embedd"):
        _load(folder)


def test_an_adapter_that_peft_would_load_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where peft is installed, transformers puts it into the model: it is not unused then."""
    _adapter_beside(folder)
    monkeypatch.setattr("whisperbench.whisper.checkpoints.find_spec", lambda _name: object())
    with pytest.raises(ModelError, match=r"or move adapter_config.json out of the folder$"):
        resolve_checkpoint(ModelSpec.parse(str(folder)), allow_unused=True)


def test_a_tensor_of_the_output_projection_is_used(folder: Path) -> None:
    """Files that write the tied projection down, too, are as good as those that do not."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["proj_out.weight"] = tensors["model.decoder.embed_tokens.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert _resolve(folder).remarks == ()


def _no_generation_config(folder: Path) -> None:
    (folder / "generation_config.json").unlink()


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (_gone, "no config.json in it"),
        (_no_generation_config, "no generation_config.json in it"),
        (_pickle_only, "no model.safetensors in it"),
        (_truncate, "model.safetensors is missing or corrupt"),
        (_broken_config, "not readable JSON"),
    ],
)
def test_a_damaged_nano_is_one_line_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None], word: str
) -> None:
    """What ships is got back by git, and the line says so and where."""
    monkeypatch.setattr("whisperbench.whisper.checkpoints.NANO_FOLDER", folder)
    assert resolve_checkpoint(ModelSpec.parse("nano")).fingerprint == _resolve(folder).fingerprint
    damage(folder)
    with pytest.raises(ModelError, match=word) as caught:
        resolve_checkpoint(ModelSpec.parse("nano"))
    line = str(caught.value)
    assert line.startswith(f"nano ({folder}): ")
    assert line.endswith("; it ships with the suite: git checkout -- fixtures/checkpoints/nano")
    assert "\n" not in line


def test_a_damaged_dummy_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy for a damaged cache is to delete the folder, which is named."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path))
    spec = ModelSpec.parse("dummy:tiny")
    folder = resolve_checkpoint(spec).folder
    _truncate(folder)
    with pytest.raises(ModelError, match="delete that folder, and it is built again") as caught:
        resolve_checkpoint(spec)
    assert str(folder) in str(caught.value)


def test_errors_keep_their_exit_codes() -> None:
    """Every error of the tree has an exit code of the design, and none is a pass."""
    tree: list[type[WhisperbenchError]] = [WhisperbenchError, *WhisperbenchError.__subclasses__()]
    assert {kind.exit_code for kind in tree} <= {1, 2, 4}
