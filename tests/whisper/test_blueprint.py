"""What a checkpoint's small files say: taken, derived, set aside or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import TINY_EN
from whisperbench.asked.checkout import CLIPS_FOLDER, NANO_FOLDER
from whisperbench.asked.clips import load_audio, read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import ModelError
from whisperbench.whisper.blueprint import Blueprint, read_blueprint
from whisperbench.whisper.checkpoints import Opened, open_folder, resolve_checkpoint
from whisperbench.whisper.loading import LoadedModel, load_model
from whisperbench.whisper.suppressed_tokens import non_speech

SMALL_FILES = (
    *("config.json", "generation_config.json"),
    *("preprocessor_config.json", "tokenizer_config.json"),
)
TOKENS = 12
GONE = object()
"""In place of a field's value: the field is taken out."""

Fields = dict[str, Any]
Heard = tuple[tuple[str, ...], tuple[int, ...]]
"""The words of a clip, and the shape of a fixed count of tokens."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """nano's files under another name, to be changed."""
    return Path(shutil.copytree(NANO_FOLDER, tmp_path / "mine"))


def read(folder: Path, file: str) -> Fields:
    """Read one of its JSON files."""
    fields: Fields = json.loads((folder / file).read_text(encoding="utf-8"))
    return fields


def change(folder: Path, file: str, **fields: object) -> None:
    """Change fields of one of its JSON files."""
    changed = {
        key: value for key, value in (read(folder, file) | fields).items() if value is not GONE
    }
    (folder / file).write_text(json.dumps(changed), encoding="utf-8")


def changes(value: object) -> Iterator[object]:
    """Yield what a field's value is changed into: none, another, and one of another type."""
    yield GONE
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, -1)
    elif isinstance(value, str):
        yield f"{value}x"
    yield {"odd": 1}


def load(folder: Path) -> LoadedModel:
    """Load it in 32-bit floats."""
    checkpoint = resolve_checkpoint(ModelSpec.parse(str(folder)))
    key = CheckpointKey(model=checkpoint.spec, precision=PRECISIONS["fp32"], attention="sdpa")
    return load_model(checkpoint, key, CpuAccelerator())


@pytest.fixture(scope="module")
def nanos() -> Heard:
    """Return the words and the shape of the model that the changed ones come from."""
    return heard(load(NANO_FOLDER))


def heard(loaded: LoadedModel) -> Heard:
    """Return the words of a clip, and the shape of a fixed count of tokens."""
    transcriber = loaded.transcriber([load_audio(read_manifest(CLIPS_FOLDER)["bridge"])])
    words = transcriber.transcribe(None).texts
    return words, tuple(transcriber.transcribe(TOKENS).sequences[0].shape)


def made(opened: Opened) -> tuple[Blueprint, bytes, list[int], str]:
    """Return all that a model's words come from, but its weights."""
    sound = np.sin(np.arange(8000, dtype=np.float32))
    processor = opened.processor
    features = processor.feature_extractor(sound, sampling_rate=16_000).input_features
    ids = processor.tokenizer(" Yes, of course; 30 boats.", add_special_tokens=False).input_ids
    text = processor.batch_decode([[1000, *ids, 1000]], skip_special_tokens=True)[0]
    return replace(opened.blueprint, remarks=()), np.asarray(features).tobytes(), ids, text


@pytest.mark.parametrize("file", SMALL_FILES)
def test_each_field_changed_in_turn_changes_no_words_unsaid(
    folder: Path, file: str, nanos: Heard
) -> None:
    """Without a field, or with another value, a checkpoint is read the same, or refused in a line.

    What is read otherwise is loaded: its words and counts are the same, or it is refused, too.
    """
    before = made(open_folder("mine", folder))
    for field, value in read(folder, file).items():
        for other in changes(value):
            original = (folder / file).read_bytes()
            change(folder, file, **{field: other})
            refusal = ""
            try:
                found = made(open_folder("mine", folder))
                if found != before:
                    assert heard(load(folder)) == nanos, f"{file}: {field}: {other}"
            except ModelError as error:
                refusal = str(error)
            assert "\n" not in refusal
            assert str(folder) in (refusal or str(folder))
            (folder / file).write_bytes(original)


def test_a_missing_generation_config_is_derived_and_said(folder: Path, nanos: Heard) -> None:
    """Special tokens and lengths come from the vocabulary; words stay what they are."""
    (folder / "generation_config.json").unlink()
    checkpoint = resolve_checkpoint(ModelSpec.parse(str(folder)))
    assert checkpoint.remarks == (
        "mine: there is no generation_config.json; languages, tasks, special tokens and lengths "
        "were derived from its vocabulary.",
    )
    assert heard(load(folder)) == nanos


@pytest.mark.parametrize(
    "settings",
    [
        {"use_cache": False},
        {"max_new_tokens": 3},
        {"return_dict_in_generate": True, "output_scores": True},
        {"num_return_sequences": 3, "num_beams": 3},
        {"eos_token_id": [1000, 1001]},
        {"temperature": [0.0, 0.4], "logprob_threshold": -1.0, "no_speech_threshold": 0.6},
        {"condition_on_prev_tokens": True, "prompt_condition_type": "all-segments"},
        {"forced_decoder_ids": [[1, 1002]], "language": "de", "task": "translate"},
        {"return_timestamps": True},
        {"cache_implementation": "static", "min_new_tokens": 9, "repetition_penalty": 3.0},
    ],
)
def test_settings_of_a_checkpoint_do_not_hold(folder: Path, settings: Fields, nanos: Heard) -> None:
    """Whatever its generate() is told, it is decoded as others are; what differs is said once."""
    change(folder, "generation_config.json", **settings)
    checkpoint = resolve_checkpoint(ModelSpec.parse(str(folder)))
    said = " ".join(checkpoint.remarks)
    assert said.count("set aside") == 1
    for setting in settings.keys() - {"forced_decoder_ids", "prompt_condition_type"}:
        assert f"{setting}: " in said
    assert str(folder.parent) not in said
    assert heard(load(folder)) == nanos


def test_defaults_that_are_written_down_are_no_remark(folder: Path) -> None:
    """A file that says all that is so anyway, in whole numbers or in others, is as good as none."""
    dump = {"top_k": 50, "top_p": 1, "temperature": 1.0, "num_beams": 1, "num_beam_groups": 1}
    more = {"generation_kwargs": {}, "typical_p": 1.0, "use_cache": True, "task": "transcribe"}
    change(folder, "generation_config.json", **dump, **more)
    change(folder, "config.json", max_length=20, no_repeat_ngram_size=0, length_penalty=1.0)
    assert resolve_checkpoint(ModelSpec.parse(str(folder))).remarks == ()


def test_settings_in_config_json_do_not_hold_either(folder: Path, nanos: Heard) -> None:
    """The same of what older files say in config.json."""
    change(folder, "config.json", use_cache=False, num_beams=4, max_length=20, return_dict=False)
    remarks = resolve_checkpoint(ModelSpec.parse(str(folder))).remarks
    assert remarks[0].startswith("mine: config.json says num_beams: 4, use_cache: false, which is ")
    assert heard(load(folder)) == nanos


@pytest.mark.parametrize(
    ("file", "fields", "words"),
    [
        ("preprocessor_config.json", {"feature_size": 128}, "feature_size: 128, and the model ta"),
        ("preprocessor_config.json", {"hop_length": 80}, "hop_length: 80, and Whisper's is 160"),
        ("preprocessor_config.json", {"hop_length": 160.0}, "hop_length: 160.0, and Whisper's is"),
        ("preprocessor_config.json", {"padding_side": "left"}, "padding_side: left"),
        ("config.json", {"num_mel_bins": 128}, "feature_size: 80, and the model takes 128"),
        ("config.json", {"activation_function": "relu"}, 'every Whisper has "gelu"'),
        ("config.json", {"max_source_positions": 750}, "every Whisper has 1500"),
        ("config.json", {"decoder_attention_heads": 8}, "every Whisper's heads are 64 wide"),
        ("config.json", {"encoder_attention_heads": 3}, "does not divide d_model: 256"),
        ("config.json", {"encoder_layers": GONE}, "encoder_layers: nothing; it must be a whole"),
        ("config.json", {"vocab_size": 900}, "is none of the 900"),
        ("generation_config.json", {"eos_token_id": 5}, "in the tokenizer <|endoftext|> is 1000"),
        ("generation_config.json", {"no_timestamps_token_id": 7}, "<|notimestamps|> is 1008"),
        (
            "generation_config.json",
            {"is_multilingual": True},
            "is_multilingual: true, and knows no",
        ),
        ("generation_config.json", {"lang_to_id": [1]}, "must be ids by language token"),
        ("generation_config.json", {"suppress_tokens": [99999]}, "must be ids below 2510"),
        ("tokenizer_config.json", {"eos_token": 7}, "cannot be loaded"),
    ],
)
def test_contradictions_are_refused_before_loading(
    folder: Path, file: str, fields: Fields, words: str
) -> None:
    """What two files say differently, or no Whisper has, is one line with both."""
    change(folder, file, **fields)
    with pytest.raises(ModelError) as caught:
        resolve_checkpoint(ModelSpec.parse(str(folder)))
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"mine ({folder}): ")
    assert "\n" not in str(caught.value)


def vocabulary_of(*languages: str) -> dict[str, int]:
    """Make up a multilingual vocabulary of Whisper's size."""
    specials = [
        *("<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in languages)),
        *("<|translate|>", "<|transcribe|>", "<|startofprev|>", "<|notimestamps|>"),
    ]
    return {token: 50257 + place for place, token in enumerate(specials)}


SIZES = {
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 6),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 1536),
    "vocab_size": 51865,
    "num_mel_bins": 80,
    "d_model": 384,
}


def blueprint_of(generation: Fields | None, *languages: str) -> Blueprint:
    """Read made-up files of a multilingual model."""
    return read_blueprint(
        "mine", "mine (there)", SIZES, generation, vocabulary_of(*languages), "float32"
    )


def test_a_multilingual_model_is_never_taken_for_english() -> None:
    """Its vocabulary tells, whether generation_config.json says so, says nothing or is missing."""
    for generation in (None, {}, {"is_multilingual": True}, {"lang_to_id": {"<|de|>": 50260}}):
        tokens = blueprint_of(generation, "en", "de").tokens
        assert "de" in tokens.known_languages
        assert tokens.prompt("de") == [50258, 50260, 50262, 50264]
    with pytest.raises(ModelError, match="a vocabulary of 51865 tokens is a multilingual one"):
        blueprint_of({"is_multilingual": False}, "en", "de")
    with pytest.raises(
        ModelError, match=r"lang_to_id: 50259, and in the tokenizer <\|de\|> is 50260"
    ):
        blueprint_of({"lang_to_id": {"<|de|>": 50259}}, "en", "de")
    with pytest.raises(ModelError, match="nor the tokenizer knows a language"):
        blueprint_of({})


def test_tokens_that_a_fine_tune_added_are_decoded() -> None:
    """What stands behind the time stamps is text; and an English vocabulary stays English."""
    larger = SIZES | {"vocab_size": 51_900}
    vocabulary = vocabulary_of("en", "de")
    tokens = read_blueprint("mine", "mine (there)", larger, {}, vocabulary, "float32").tokens
    assert tokens.timestamps == range(50265, 50265 + 1501)
    english = {token: place - 1 for token, place in vocabulary.items()}
    for generation in (None, {}, {"is_multilingual": False}):
        tokens = read_blueprint("mine", "mine (there)", larger, generation, english, "").tokens
        assert tokens.known_languages == ["en"]
        assert tokens.prompt("en") == [50257, 50263]


def test_a_dialect_that_is_no_language_of_whispers_is_left_out() -> None:
    """The others stand, and it is said."""
    found = blueprint_of({"lang_to_id": {"<|en|>": 50259, "<|zh-TW|>": 51000}}, "en")
    assert found.tokens.known_languages == ["en"]
    assert "lang_to_id has <|zh-TW|>" in " ".join(found.remarks)


def test_a_tokenizer_in_the_files_of_2022_is_read(folder: Path, nanos: Heard) -> None:
    """vocab.json, merges.txt and added_tokens.json give the same words as tokenizer.json."""
    file = read(folder, "tokenizer.json")
    added = {each["content"]: each["id"] for each in file["added_tokens"]}
    merges = (
        " ".join(pair) if isinstance(pair, list) else pair for pair in file["model"]["merges"]
    )
    (folder / "tokenizer.json").unlink()
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges), encoding="utf-8")
    for name, content in (("vocab.json", file["model"]["vocab"]), ("added_tokens.json", added)):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    assert heard(load(folder)) == nanos


def test_what_whisper_never_decodes_is_derived_as_it_ships() -> None:
    """Of tiny.en's vocabulary they are the tokens that OpenAI's generation_config.json has."""
    if not TINY_EN.is_dir():
        pytest.skip("WHISPERBENCH_TINY_EN names no checkpoint")
    file = json.loads((TINY_EN / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = file["model"]["vocab"] | {
        each["content"]: each["id"] for each in file["added_tokens"]
    }
    shipped = read(TINY_EN, "generation_config.json")["suppress_tokens"]
    assert list(non_speech(vocabulary)) == sorted(shipped)
