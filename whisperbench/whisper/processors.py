"""A checkpoint's front end and tokenizer: loaded, and held against what Whisper's are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whisperbench.errors import ModelError, one_line
from whisperbench.units import SAMPLE_RATE_HZ, WINDOW_S

if TYPE_CHECKING:
    from transformers import WhisperProcessor

FRONT_END: dict[str, Any] = {
    "sampling_rate": SAMPLE_RATE_HZ,
    "chunk_length": round(WINDOW_S),
    "n_fft": 400,
    "hop_length": 160,
    "padding_value": 0.0,
    "padding_side": "right",
    "dither": 0.0,
}
"""Whisper's front end, but for its mel bins: windows of 25 ms every 10 ms (Radford et al. 2022,
section 2.2). Another one makes other features, in which the same model hears other words."""

_SAMPLE = " The harbour was quiet before sunrise; 300 boats waited, weren't they?"
_CONTROL = re.compile(r"<\|[a-z]+\|>")
_CONTROLS = ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>")


def load_processor(where: str, folder: Path) -> WhisperProcessor:
    """Load a checkpoint's feature extractor and tokenizer.

    The classes are Whisper's own, whatever the files name.

    Args:
        where: the checkpoint's name and folder, for errors.
        folder: its files.

    Raises:
        ModelError: they cannot be loaded, or the tokenizer does not give back what was put in.
    """
    from transformers import WhisperFeatureExtractor, WhisperProcessor, WhisperTokenizer

    from whisperbench.whisper.quiet import quieten

    quieten()
    try:
        # Not by the processor's own from_pretrained, which reads config.json, too, and takes other
        # classes where files name them.
        tokenizer = WhisperTokenizer.from_pretrained(folder)
        _mark_special(tokenizer)
        front_end = WhisperFeatureExtractor.from_pretrained(folder)
        processor = WhisperProcessor(feature_extractor=front_end, tokenizer=tokenizer)
        text, controls = _round_trip(processor)
    except Exception as error:  # what a broken file does in two libraries, one of them in Rust
        raise ModelError(
            f"{where}: its tokenizer or feature extractor cannot be loaded: "
            f"{type(error).__name__}: {one_line(error)}; take tokenizer and preprocessor files "
            "from the model that it was made from"
        ) from error
    if text.strip() != _SAMPLE.strip() or controls.strip():
        raise ModelError(
            f"{where}: its tokenizer does not give back what was put in: "
            f"{one_line(repr(text + controls))}; take tokenizer.json and tokenizer_config.json "
            "from the model that it was made from"
        )
    return processor


def _mark_special(tokenizer: Any) -> None:
    """Mark tokens such as <|en|> as no text: files of 2022 and 2023 do not say it of all."""
    plain = [token for token in tokenizer.get_added_vocab() if _CONTROL.fullmatch(token)]
    tokenizer.add_tokens(plain, special_tokens=True)


def _round_trip(processor: Any) -> tuple[str, str]:
    """Return what becomes of a sentence, and of tokens that are no text."""
    tokenizer = processor.tokenizer
    ids = tokenizer(_SAMPLE, add_special_tokens=False).input_ids
    vocabulary = tokenizer.get_vocab()
    controls = [vocabulary[token] for token in _CONTROLS if token in vocabulary]
    (text, rest) = processor.batch_decode([ids, controls], skip_special_tokens=True)
    return text, rest


def require_front_end(where: str, processor: WhisperProcessor, mel_bins: int) -> None:
    """Refuse a front end that is not Whisper's, or makes other mel bins than the encoder takes.

    Raises:
        ModelError: it is one.
    """
    for setting, wanted in (FRONT_END | {"feature_size": mel_bins}).items():
        found = getattr(processor.feature_extractor, setting, wanted)
        # 160.0 is no number of samples: what comes of it fails at the first transcription.
        number = isinstance(wanted, float) and type(found) is int
        if found != wanted or not (type(found) is type(wanted) or number):
            why = (
                f"the model takes {wanted} mel bins (num_mel_bins in config.json)"
                if setting == "feature_size"
                else f"Whisper's is {wanted}"
            )
            raise ModelError(
                f"{where}: its feature extractor has {setting}: {found}, and {why}; take "
                "preprocessor_config.json from the model that it was made from"
            )
