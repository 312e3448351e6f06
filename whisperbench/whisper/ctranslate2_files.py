"""Checkpoints as CTranslate2 loads them: converted once, into the cache."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from whisperbench.errors import ModelError, one_line
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder
from whisperbench.whisper.built_once import built_once
from whisperbench.whisper.checkpoints import digest_of, open_folder

if TYPE_CHECKING:
    from whisperbench.asked.precisions import Precision
    from whisperbench.whisper.checkpoints import Checkpoint
    from whisperbench.whisper.tokens import Tokens

RECIPE = 1
"""Version of how a checkpoint is converted; part of the folder's name. Raise it on any change."""

WEIGHTS = "model.bin"

BINARY_VERSION = 6
"""The layout of `model.bin` that `stored_bytes` reads (CURRENT_BINARY_VERSION of ctranslate2's
specs/model_spec.py, which writes it)."""

DTYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
"""What the numbers of dtypes in it stand for."""


def ensure_converted(
    checkpoint: Checkpoint,
    precision: Precision,
    say: Callable[[str], object] = lambda _line: None,
) -> Path:
    """Return the folder of a converted checkpoint, converting it first where it is not there yet.

    Its weights are stored in the type that they are computed in, so that loading converts nothing.

    Raises:
        ModelError: it cannot be converted, or not be written.
    """
    compute_type = str(precision.options["compute_type"])
    folder = cache_folder() / "ctranslate2"
    try:
        return built_once(
            folder / f"{_key(checkpoint)}-{compute_type}",
            partial(_convert, checkpoint, compute_type),
            on_build=lambda: say(
                f"converting {checkpoint.spec.name} for CTranslate2 in {compute_type} "
                "(once, into the cache)"
            ),
        )
    except OSError as error:
        raise ModelError(
            f"{checkpoint.spec.name} cannot be converted for CTranslate2 in {folder}: "
            f"{one_line(error)}; free some space, or set {CACHE_VARIABLE} to another folder"
        ) from error


def _key(checkpoint: Checkpoint) -> str:
    """Digest what a conversion is made of: the weights, the small files, and what converts them."""
    import ctranslate2

    total = hashlib.sha256(f"{RECIPE} {ctranslate2.__version__}".encode())
    weights = checkpoint.fingerprint or digest_of(sorted(checkpoint.folder.glob("*.safetensors")))
    total.update(weights.encode())
    for path in sorted(checkpoint.folder.iterdir()):
        if path.suffix in (".json", ".txt") and path.is_file():
            total.update(f"{path.name} {path.stat().st_size} ".encode())
            total.update(path.read_bytes())
    return total.hexdigest()[:20]


def _convert(checkpoint: Checkpoint, compute_type: str, folder: Path) -> None:
    """Write the files of a converted checkpoint into a folder that is not there yet."""
    from ctranslate2.converters import TransformersConverter

    from whisperbench.whisper.quiet import quieten

    quieten()
    name = checkpoint.spec.name
    blueprint = checkpoint.blueprint or open_folder(name, checkpoint.folder).blueprint
    try:
        converter = TransformersConverter(str(checkpoint.folder))
        converter.convert(str(folder), quantization=compute_type)
    except MemoryError:
        raise
    except Exception as error:  # of three libraries
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's; transformers says so of files that it cannot read, too
        raise ModelError(
            f"{name} ({checkpoint.folder}): CTranslate2 cannot convert it: "
            f"{type(error).__name__}: {one_line(error)}; check the versions of ctranslate2, "
            "transformers and torch, or name other precisions"
        ) from error
    _say_tokens(folder / "config.json", blueprint.tokens)


def _say_tokens(config: Path, tokens: Tokens) -> None:
    """Let what is never decoded be what the suite tells every library, whatever files say."""
    found: dict[str, Any] = json.loads(config.read_text(encoding="utf-8"))
    found["suppress_ids"] = list(tokens.suppressed or ())
    found["suppress_ids_begin"] = list(tokens.suppressed_first or ())
    config.write_text(json.dumps(found, indent=1), encoding="utf-8")


def stored_bytes(folder: Path) -> dict[str, int]:
    """Sum the bytes of the weights of a converted checkpoint, by torch's name of their dtype.

    Raises:
        ModelError: its file is not of the layout that is known here.
    """
    path = folder / WEIGHTS
    found: Counter[str] = Counter()
    try:
        with path.open("rb") as stream:
            (version,) = _read(stream, "I")
            if version != BINARY_VERSION:
                raise ValueError(f"layout {version}, and {BINARY_VERSION} is known here")
            _skip_name(stream)
            _revision, variables = _read(stream, "II")
            for _ in range(variables):
                _skip_name(stream)
                (rank,) = _read(stream, "B")
                _read(stream, f"{rank}I")
                dtype, size = _read(stream, "=BI")
                if rank:  # the others are settings, such as the number of heads
                    found[DTYPES[dtype]] += size
                stream.seek(size, os.SEEK_CUR)
    except (ValueError, IndexError, struct.error) as error:
        raise ModelError(
            f"{path}: its weights cannot be counted: {one_line(error)}; this whisperbench was "
            "written for ctranslate2 4.8"
        ) from error
    return dict(found)


def _read(stream: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, stream.read(struct.calcsize(form)))


def _skip_name(stream: BinaryIO) -> None:
    (length,) = _read(stream, "H")
    stream.seek(length, os.SEEK_CUR)
