"""The files of a checkpoint's folder: all there, whole, used, and of a kind that is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from whisperbench.errors import ModelError, one_line

if TYPE_CHECKING:
    from whisperbench.asked.models import ModelSpec

WEIGHTS = "model.safetensors"
ADAPTER = "adapter_config.json"
WEIGHTS_INDEX = "model.safetensors.index.json"
_NEEDED = ("config.json", "preprocessor_config.json", "tokenizer_config.json")
# Of nano more is known: what it was made with must not be derived.
_SHIPPED = (*_NEEDED, "generation_config.json", "tokenizer.json", WEIGHTS)
_VOCABULARIES = ("tokenizer.json", "vocab.json")
_READ = (
    *("config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json"),
    *("tokenizer_config.json", "tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json"),
    *("special_tokens_map.json", "normalizer.json", WEIGHTS_INDEX),
)
"""The small files that are read, where they are there."""

_REMEDIES = {
    "dummy": "delete that folder, and it is built again",
    "hub": "delete that folder, and it is downloaded again",
    "folder": "copy it again, or write it again with save_pretrained(), processor included",
    "nano": "it ships with the suite: git checkout -- fixtures/checkpoints/nano",
}

_UNFINISHED = ("*.incomplete", "*.part", "*.crdownload", "*.aria2", ".cache/**/*.incomplete")
"""What downloaders call a file that is not all there yet."""

_PICKLES = ("pytorch_model*.bin", "model*.pt", "*.ckpt")
_ADAPTERS = (ADAPTER, "adapter_model.safetensors", "adapter_model.bin")
_OTHERS = {
    "model.bin": "CTranslate2's",
    "ggml*.bin": "whisper.cpp's",
    "*.gguf": "whisper.cpp's",
    "flax_model*.msgpack": "Flax's",
    "tf_model*.h5": "TensorFlow's",
    "*.onnx": "ONNX's",
}
"""Weights that transformers does not load here, and whose they are."""


def check_files(spec: ModelSpec, folder: Path) -> list[Path]:
    """Check a checkpoint's files; return its weight files.

    Raises:
        ModelError: one is missing, unfinished, a pointer to what was not fetched, corrupt or of
            another kind; with what to do.
    """
    where = f"{spec.name} ({folder})"
    remedy = _REMEDIES[spec.kind]
    if (folder / ADAPTER).is_file() and not find_weights(folder):
        base = read_json(where, folder / ADAPTER).get("base_model_name_or_path")
        raise ModelError(
            f"{where}: is an adapter without its model: load {one_line(base or 'its base model')} "
            "and it with peft, then merge_and_unload() and save_pretrained() the result, processor "
            "included"
        )
    needed = _SHIPPED if spec.kind == "nano" else _NEEDED
    missing = [name for name in needed if not (folder / name).is_file()]
    # transformers 5 saves a processor's feature extractor inside processor_config.json.
    inside = folder / "processor_config.json"
    if inside.is_file() and "feature_extractor" in read_json(where, inside, remedy):
        missing = [name for name in missing if name != "preprocessor_config.json"]
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    if missing:
        raise ModelError(f"{where}: no {missing[0]} in it{_unfinished(folder)}; {remedy}")
    for path in (folder / name for name in _READ):
        if path.is_file():
            _require_content(where, path, remedy)
    kind = read_json(where, folder / "config.json", remedy).get("model_type")
    if kind != "whisper":
        raise ModelError(
            f"{where}: is a {one_line(kind)} model; only whisper models can be measured"
        )
    weights = _weight_files(spec, where, folder, remedy)
    for path in weights:
        _require_content(where, path, remedy)
        _check_weights(where, path, remedy)
    return weights


def _require_content(where: str, path: Path, remedy: str) -> None:
    """Refuse a file that stands for another, or holds nothing."""
    with path.open("rb") as stream:
        head = stream.read(64)
    if not head:
        raise ModelError(f"{where}: {path.name} is empty, as an unfinished copy is; {remedy}")
    if head.startswith(b"version https://git-lfs.github.com/"):
        raise ModelError(
            f"{where}: {path.name} is a Git LFS pointer, not the file: run git lfs pull there"
        )
    if head.startswith((b"/annex/objects/", b"../.git/annex/", b".git/annex/")):
        raise ModelError(
            f"{where}: {path.name} is a git-annex pointer, not the file: run git annex get there"
        )


def _unfinished(folder: Path) -> str:
    """Name a download that is not all there, where there is one."""
    for pattern in _UNFINISHED:
        if found := next(folder.glob(pattern), None):
            return f", but an unfinished download, {one_line(found.name)}"
    return ""


def find_weights(folder: Path) -> list[Path]:
    """Return the weight files that are there: one, or the shards that the index names."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    with suppress(ModelError):
        shards = read_json("", folder / WEIGHTS_INDEX).get("weight_map")
        if isinstance(shards, dict):
            named = (folder / name for name in sorted(set(map(str, shards.values()))))
            return [path for path in named if path.is_file()]
    return []


def _weight_files(spec: ModelSpec, where: str, folder: Path, remedy: str) -> list[Path]:
    found = find_weights(folder)
    if (folder / WEIGHTS).is_file():
        return found
    if (folder / WEIGHTS_INDEX).is_file():
        shards = read_json(where, folder / WEIGHTS_INDEX, remedy).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise ModelError(f"{where}: {WEIGHTS_INDEX} names no files; {remedy}")
        named = set(map(str, shards.values()))
        if absent := named - {path.name for path in found}:
            raise ModelError(
                f"{where}: of the {len(named)} files that {WEIGHTS_INDEX} names {len(absent)} are "
                f"not there, such as {one_line(min(absent))}{_unfinished(folder)}; {remedy}"
            )
        return found
    if unfinished := _unfinished(folder):
        raise ModelError(f"{where}: no {WEIGHTS} in it{unfinished}; {remedy}")
    for pattern in _PICKLES:
        if pickled := next(folder.glob(pattern), None):
            _require_content(where, pickled, remedy)
            raise ModelError(
                f"{where}: no {WEIGHTS} in it; pickled weights ({one_line(pickled.name)}) are not "
                "loaded, because a pickle can run code: load them where you trust them and "
                "save_pretrained() them again"
            )
    for pattern, whose in _OTHERS.items():
        if found_other := next(folder.glob(pattern), None):
            raise ModelError(
                f"{where}: no {WEIGHTS} in it, and {found_other.name} is of {whose} format, which "
                "is not loaded; take the model that it was converted from"
            )
    if spec.kind == "hub":
        raise ModelError(
            f"{where}: the hub has no {WEIGHTS} of it; pickled weights (pytorch_model.bin) are not "
            "fetched, because a pickle can run code: load them where you trust them, "
            "save_pretrained() them, processor included, and give that folder"
        )
    raise ModelError(f"{where}: no {WEIGHTS} in it, as in an unfinished copy; {remedy}")


def _check_weights(where: str, path: Path, remedy: str) -> None:
    """Open a safetensors file: its header must be sound and span the file to its last byte."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{where}: {path.name} is missing or corrupt ({one_line(error)}); {remedy}"
        ) from error


def unused_adapters(folder: Path) -> Iterator[str]:
    """Name an adapter that lies beside a model: transformers may load it, or pass it over."""
    if name := next((name for name in _ADAPTERS if (folder / name).is_file()), None):
        yield f"an adapter lies beside the model ({name})"


def read_json(where: str, path: Path, remedy: str = "copy it again") -> dict[str, object]:
    """Read a JSON object.

    Raises:
        ModelError: the file holds none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{where}: {path.name} is not readable JSON: {one_line(error)}; {remedy}"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"{where}: {path.name} holds no JSON object; {remedy}")
    return content
