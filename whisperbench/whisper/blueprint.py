"""What a checkpoint's small files say: the model to build, its tokens, and how it was saved. Pure.

transformers obeys all that stands in them, and makes up what does not. So a forgotten setting of a
fine-tune would decide what is measured, and a missing one be a default of another model. Here only
what belongs to the model is taken; what can be derived from its vocabulary is; the rest is fixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from whisperbench.errors import ModelError
from whisperbench.whisper.special_tokens import Fields, read_tokens, shown
from whisperbench.whisper.tokens import Tokens

POSITIONS = 448
"""Of the decoder, in every size: the prompt and all tokens of a window (Radford et al. 2022)."""

ENCODER_POSITIONS = 1500
"""Of the encoder: a window of 30 s at 50 positions a second."""

HEAD_WIDTH = 64
"""Dimensions of an attention head in every published size (Radford et al. 2022, table 1)."""

_SIZES = (
    *("vocab_size", "num_mel_bins", "d_model"),
    *("encoder_layers", "encoder_attention_heads", "encoder_ffn_dim"),
    *("decoder_layers", "decoder_attention_heads", "decoder_ffn_dim"),
)
"""What config.json must say: transformers' own defaults are those of Whisper tiny."""

EVERY_WHISPER: dict[str, Any] = {
    "max_source_positions": ENCODER_POSITIONS,
    "max_target_positions": POSITIONS,
    "activation_function": "gelu",
    "scale_embedding": False,
    "tie_word_embeddings": True,
}
"""What is the same in every Whisper. Another value makes another model of the same weights."""

_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "do_sample": (False,),
    "diversity_penalty": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "generation_kwargs": ({},),
    "early_stopping": (False,),
    "length_penalty": (1.0,),
    "max_length": (20, POSITIONS),
    "max_new_tokens": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "no_repeat_ngram_size": (0,),
    "num_beam_groups": (1,),
    "num_beams": (1,),
    "num_return_sequences": (1,),
    "output_attentions": (False,),
    "output_hidden_states": (False,),
    "output_logits": (False,),
    "output_scores": (False,),
    "remove_invalid_values": (False,),
    "renormalize_logits": (False,),
    "repetition_penalty": (1.0,),
    "return_dict_in_generate": (False,),
    "return_timestamps": (False,),
    "task": ("transcribe",),
    "temperature": (0.0, 1.0),
    "top_k": (50,),
    "top_p": (1.0,),
    "typical_p": (1,),
    "use_cache": (True,),
}
"""Settings of generate(), and the values at which they leave greedy decoding as it is."""

_TAKEN = frozenset(
    (
        *("eos_token_id", "decoder_start_token_id", "no_timestamps_token_id", "prev_sot_token_id"),
        *("is_multilingual", "lang_to_id", "task_to_id"),
        *("suppress_tokens", "begin_suppress_tokens", "max_initial_timestamp_index"),
    )
)
"""What of generation_config.json belongs to the model, and is taken from there."""

_WITHOUT_EFFECT = frozenset(
    (
        # What pads a batch is cut off again; nothing begins with bos. Words are not aligned. An old
        # prompt is of Whisper's own language and task tokens, and the suite's is put in its place.
        *("bos_token_id", "pad_token_id", "forced_decoder_ids"),
        *("alignment_heads", "median_filter_width", "prompt_condition_type"),
        *("_from_model_config", "transformers_version"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What a checkpoint's small files say."""

    architecture: Fields
    """Keyword arguments of transformers' WhisperConfig."""
    tokens: Tokens
    dtype: str
    """torch dtype of the weights that are plain floats; empty where they have several."""
    quantization: Fields | None
    """`quantization_config` of config.json; None of weights that are plain floats."""
    remarks: tuple[str, ...]
    """What was derived and what was set aside, in sentences; neither folder nor path in them."""


def read_blueprint(
    name: str,
    where: str,
    config: Fields,
    generation: Fields | None,
    vocabulary: Mapping[str, int],
    dtype: str,
) -> Blueprint:
    """Read a checkpoint's small files.

    Args:
        name: of the model, for remarks.
        where: its name and folder, for errors.
        config: config.json.
        generation: generation_config.json; None where there is none.
        vocabulary: ids of the tokenizer's tokens, special ones among them.
        dtype: torch dtype of the weights that are plain floats; empty where they have several.

    Raises:
        ModelError: they contradict each other, do not say what cannot be derived, or describe no
            Whisper.
    """
    architecture = _architecture(where, config)
    tokens, of_tokens = read_tokens(
        name, where, architecture["vocab_size"], config, generation, vocabulary
    )
    return Blueprint(
        architecture=architecture,
        tokens=tokens,
        dtype=dtype,
        quantization=quantization_of(where, config),
        remarks=(*of_tokens, *_set_aside(name, config, generation or {})),
    )


def quantization_of(where: str, config: Fields) -> Fields | None:
    """Return what config.json says of quantization; None of weights that are plain floats.

    Raises:
        ModelError: it says nothing that can be understood.
    """
    found = config.get("quantization_config")
    if found is None or (isinstance(found, dict) and found):
        return found
    raise ModelError(
        f"{where}: config.json says quantization_config: {shown(found)}; correct it, or take it "
        "out where the weights are plain floats"
    )


def _architecture(where: str, config: Fields) -> dict[str, Any]:
    for size in _SIZES:
        if type(config.get(size)) is not int or config[size] < 1:
            raise ModelError(
                f"{where}: config.json says {size}: {shown(config.get(size))}; it must be a whole "
                "number above 0, as the model was trained: take config.json from the model that it "
                "was made from"
            )
    for trait, whispers in EVERY_WHISPER.items():
        found = config.get(trait)
        if found is not None and (type(found) is not type(whispers) or found != whispers):
            raise ModelError(
                f"{where}: config.json says {trait}: {shown(found)}; every Whisper has "
                f"{shown(whispers)}, and the suite measures no other model: correct it"
            )
    for half in ("encoder", "decoder"):
        heads = config[f"{half}_attention_heads"]
        if config["d_model"] % heads:
            raise ModelError(
                f"{where}: config.json says {half}_attention_heads: {heads}, which does not divide "
                f"d_model: {config['d_model']}; correct it"
            )
        if config["d_model"] != heads * HEAD_WIDTH:
            raise ModelError(
                f"{where}: config.json says {half}_attention_heads: {heads} and d_model: "
                f"{config['d_model']}; every Whisper's heads are {HEAD_WIDTH} wide, and with "
                "others the same weights say something else: correct it"
            )
    return {size: config[size] for size in _SIZES} | EVERY_WHISPER


def _set_aside(name: str, config: Fields, generation: Fields) -> Iterator[str]:
    """Say which settings of generate() do not hold here."""
    # Until 2023 they stood in config.json, which has many fields that are none.
    older = {setting: config[setting] for setting in _NEUTRAL if setting in config}
    for file, fields in (("generation_config.json", generation), ("config.json", older)):
        differing = [
            f"{setting}: {shown(value)}"
            for setting, value in fields.items()
            if _differs(setting, value)
        ]
        if differing:
            yield (
                f"{name}: {file} says {', '.join(differing)}, which is set aside: every model is "
                "decoded greedily, with a key-value cache, to its own end of text or a fixed "
                "count, in the language of the clip."
            )


def _differs(setting: str, value: object) -> bool:
    """Whether a setting of generate() is another than what is measured with."""
    taken = setting in _TAKEN and not (setting == "eos_token_id" and isinstance(value, list))
    if taken or setting in _WITHOUT_EFFECT or value is None:
        return False
    return not any(
        value == each and isinstance(value, bool) == isinstance(each, bool)
        for each in _NEUTRAL.get(setting, ())
    )
