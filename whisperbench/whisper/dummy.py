"""Dummy checkpoints: a real Whisper architecture with seeded random weights, built once.

A dummy costs what the trained model costs (same shapes, same dtypes, same kernels) and says
nothing sensible. Its weights have planted outlier features, because without them LLM.int8()'s
outlier path would have nothing to do and int8 would look faster than it is.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whisperbench.asked.models import WhisperSize, size_named
from whisperbench.errors import ModelError, one_line
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder
from whisperbench.whisper.built_once import built_once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECIPE = 2
"""Version of what a dummy contains; part of the cache folder's name. Raise it on any change."""

OUTLIER_FEATURES = 6
"""Hidden dimensions with outliers. Dettmers et al. 2022 (LLM.int8(), section 4.2) find up to
seven, the same ones in all layers, with magnitudes above 6 in the inputs of the attention
projections and of the first feed-forward layer: the outputs of the layer norms."""

OUTLIER_OFFSET = 10.0
"""Layer-norm bias of an outlier dimension. The normalised input has a spread of 1, so the
activations lie around 10 and practically always beyond the threshold of 6."""

INIT_STD = 0.02
"""Standard deviation of the weights: transformers' init_std for Whisper."""

_END_OF_TEXT = 50257


def ensure_dummy(
    size: str, cache: Path | None = None, on_build: Callable[[], object] = lambda: None
) -> Path:
    """Return the folder of a dummy checkpoint, building it first where it is not there yet.

    Args:
        size: as `size_named` takes it.
        cache: the folder that holds the built ones; the user's by default.
        on_build: called when it has to be built.

    Raises:
        ModelError: it cannot be written.
    """
    folder = (cache or cache_folder()) / "dummies"
    final = folder / f"{size.replace(':', '-layers')}-recipe{RECIPE}"
    try:
        return built_once(final, partial(_build, size), on_build)
    except OSError as error:
        raise ModelError(
            f"dummy:{size} cannot be built in {folder}: {one_line(error)}; free some space, or "
            f"set {CACHE_VARIABLE} to another folder"
        ) from error


def _build(size: str, folder: Path) -> None:
    """Write a dummy's files into a new folder."""
    import torch
    from safetensors.torch import save_file
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    folder.mkdir()
    dims = size_named(size)
    special = _special_tokens(dims)
    heads = dims.width // 64
    config = WhisperConfig(
        vocab_size=_END_OF_TEXT + len(special),
        num_mel_bins=dims.mel_bins,
        d_model=dims.width,
        encoder_layers=dims.encoder_layers,
        decoder_layers=dims.decoder_layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * dims.width,
        decoder_ffn_dim=4 * dims.width,
        pad_token_id=_END_OF_TEXT,
        bos_token_id=_END_OF_TEXT,
        eos_token_id=_END_OF_TEXT,
        decoder_start_token_id=_END_OF_TEXT + 1,
        architectures=["WhisperForConditionalGeneration"],
        dtype="float16",
    )
    with torch.device("meta"):
        shapes = {
            name: tuple(tensor.shape)
            for name, tensor in WhisperForConditionalGeneration(config).state_dict().items()
            if name != "proj_out.weight"  # tied to the decoder's embedding
        }
    # numpy's generators release the interpreter lock, and give the same numbers on any machine.
    with ThreadPoolExecutor() as pool:
        arrays = pool.map(lambda item: _tensor(size, *item, width=dims.width), shapes.items())
        tensors = {
            name: torch.from_numpy(array) for name, array in zip(shapes, arrays, strict=True)
        }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=dims.mel_bins).save_pretrained(folder)
    _write_generation_config(folder, dims, special)
    _write_tokenizer(folder, special)


def _tensor(size: str, name: str, shape: tuple[int, ...], *, width: int) -> NDArray[np.float16]:
    """Make one tensor, from a random stream of its own."""
    import numpy as np

    if name == "model.encoder.embed_positions.weight":
        return _sinusoids(*shape).astype(np.float16)
    if "layer_norm" in name:
        # The decoder's last norm feeds the output projection, which is never quantized.
        plain = name.endswith(".weight") or name == "model.decoder.layer_norm.bias"
        values = np.full(shape, 1.0 if name.endswith(".weight") else 0.0, dtype=np.float16)
        if not plain:
            planted = _stream(f"{size}/outliers")
            dimensions = planted.choice(width, OUTLIER_FEATURES, replace=False)
            values[dimensions] = OUTLIER_OFFSET * planted.choice((-1.0, 1.0), OUTLIER_FEATURES)
        return values
    if name.endswith(".bias"):
        return np.zeros(shape, dtype=np.float16)
    drawn = _stream(f"{size}/{name}").standard_normal(shape, dtype=np.float32)
    drawn *= INIT_STD
    return drawn.astype(np.float16)


def _sinusoids(positions: int, channels: int) -> NDArray[np.float64]:
    """Return Whisper's fixed encoder positions, `(positions, channels)`.

    In double precision: transformers' own, in single, differ in float16 from machine to machine.
    """
    import numpy as np

    half = channels // 2
    steps = np.exp(-np.log(10000.0) / (half - 1) * np.arange(half))
    angles = np.arange(positions)[:, np.newaxis] * steps
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def _stream(name: str) -> np.random.Generator:
    import numpy as np

    seed = hashlib.sha256(f"whisperbench dummy {RECIPE} {name}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(seed, "little")))


def _special_tokens(dims: WhisperSize) -> list[str]:
    """List the tokens from <|endoftext|> on, in Whisper's order."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    languages = list(LANGUAGES)[: dims.languages]
    seconds = [f"<|{step * 0.02:.2f}|>" for step in range(1501)]
    return [
        "<|endoftext|>",
        "<|startoftranscript|>",
        *(f"<|{code}|>" for code in languages),
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
        *seconds,
    ]


def _write_generation_config(folder: Path, dims: WhisperSize, special: list[str]) -> None:
    from transformers import GenerationConfig

    ids = {token: _END_OF_TEXT + offset for offset, token in enumerate(special)}
    codes = special[2 : 2 + dims.languages]
    GenerationConfig(
        bos_token_id=_END_OF_TEXT,
        eos_token_id=_END_OF_TEXT,
        pad_token_id=_END_OF_TEXT,
        decoder_start_token_id=ids["<|startoftranscript|>"],
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        is_multilingual=True,
        lang_to_id={code: ids[code] for code in codes},
        task_to_id={task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        begin_suppress_tokens=[220, _END_OF_TEXT],
        # Random weights would pick control tokens and time stamps too, which decode to no text.
        suppress_tokens=[ids[token] for token in special[1:]],
        max_length=448,
        max_initial_timestamp_index=50,
        return_timestamps=False,
    ).save_pretrained(folder)


def _write_tokenizer(folder: Path, special: list[str]) -> None:
    """Write a byte-level tokenizer of Whisper's size whose words are made of syllables."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    pieces = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces += itertools.islice(_words(), _END_OF_TEXT - len(pieces))
    tokenizer: Any = Tokenizer(models.BPE({piece: at for at, piece in enumerate(pieces)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    first_second = special.index("<|0.00|>")
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in special[:first_second]]
    )
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in special[first_second:]])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "model_max_length": 1024,
        "add_prefix_space": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _words() -> Iterator[str]:
    """Make up distinct words of three syllables; "Ġ" is how byte-level vocabularies write " "."""
    syllables = ["".join(pair) for pair in itertools.product("bdfgklmnprstvz", "aeiou")]
    return ("Ġ" + "".join(word) for word in itertools.product(syllables, repeat=3))
