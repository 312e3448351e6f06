"""From a model spec to a folder of files that may be loaded: built, found or downloaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from whisperbench.dummy import RECIPE, ensure_dummy
from whisperbench.errors import ModelError, one_line
from whisperbench.models import ModelSpec
from whisperbench.suite import NANO_FOLDER

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
# The weights in one file or in shards, and the small files. Not the same weights a second time
# in another format or dtype, and never a pickle, because loading one can run code.
_HUB_FILES = ("*.json", "*.txt", WEIGHTS, "model-?????-of-?????.safetensors")
_NEEDED = ("config.json", "preprocessor_config.json", "tokenizer_config.json")
# Of nano more is known: transformers makes up a generation_config.json where there is none.
_SHIPPED = (*_NEEDED, "generation_config.json", "tokenizer.json", WEIGHTS)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A folder that transformers can load, and what tells it from another of the same name."""

    spec: ModelSpec
    folder: Path
    fingerprint: str


def resolve_checkpoint(
    spec: ModelSpec, say: Callable[[str], object] = lambda _line: None
) -> Checkpoint:
    """Build, find or download a checkpoint, and check that its files can be loaded.

    Where the weights are anybody's to write, the fingerprint is their digest.

    Args:
        spec: what was asked for.
        say: is given a line before anything that takes long.

    Raises:
        ModelError: it is missing, unreachable, gated, corrupt or pickled, or not a Whisper.
    """
    if spec.kind == "dummy":
        folder = ensure_dummy(
            spec.size, on_build=lambda: say(f"building {spec.name} (once, into the cache)")
        )
        fingerprint = f"recipe{RECIPE}"
    elif spec.kind == "hub":
        say(f"looking up {spec.name} on the hub")
        folder = _download(spec)
        fingerprint = folder.name
    elif spec.kind == "nano":
        folder = NANO_FOLDER
        fingerprint = ""
    else:
        assert spec.folder is not None  # noqa: S101 - ModelSpec.parse gives every folder one
        folder = spec.folder
        fingerprint = ""
    weights = _check(spec, folder)
    return Checkpoint(spec=spec, folder=folder, fingerprint=fingerprint or _digest(weights))


def _download(spec: ModelSpec) -> Path:
    """Return the folder of a hub model's files, downloading those that are missing."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"https://huggingface.co/{spec.hub_id}"
    try:
        return Path(
            snapshot_download(spec.hub_id, revision=spec.revision, allow_patterns=list(_HUB_FILES))
        )
    except GatedRepoError as error:
        raise ModelError(
            f"{spec.name}: is gated; accept its terms on {page} and run `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"{spec.name}: the hub has no such model, or it is private; check the spelling, or "
            "run `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            f"{spec.name}: the hub has no revision {spec.revision} of it; take one from "
            f"{page}/commits/main"
        ) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise ModelError(
            f"{spec.name}: the hub cannot be reached and the model is not in the local cache; "
            "connect, give a folder with --model PATH, or try --model dummy:tiny, which needs no "
            "network"
        ) from error
    except Exception as error:  # the client's HTTP library and hf-xet bring errors of their own
        raise ModelError(
            f"{spec.name}: cannot be had from the hub: {type(error).__name__}: {one_line(error)}"
        ) from error


def _check(spec: ModelSpec, folder: Path) -> list[Path]:
    """Check a checkpoint's files; return its weight files."""
    where = f"{spec.name} ({folder})"
    remedy = {
        "dummy": "delete that folder, and it is built again",
        "hub": "delete that folder, and it is downloaded again",
        "folder": "copy it again, or write it again with save_pretrained(), processor included",
        "nano": "it ships with the suite: git checkout -- fixtures/checkpoints/nano",
    }[spec.kind]
    needed = _SHIPPED if spec.kind == "nano" else _NEEDED
    missing = [name for name in needed if not (folder / name).is_file()]
    # transformers 5 saves a processor's feature extractor inside processor_config.json.
    if (folder / "processor_config.json").is_file():
        missing = [name for name in missing if name != "preprocessor_config.json"]
    if missing:
        raise ModelError(f"{where}: no {missing[0]} in it; {remedy}")
    kind = _read_json(where, folder / "config.json", remedy).get("model_type")
    if kind != "whisper":
        raise ModelError(f"{where}: is a {kind} model; only whisper models can be measured")
    weights = _weight_files(where, folder, remedy)
    for path in weights:
        _check_weights(where, path, remedy)
    return weights


def _weight_files(where: str, folder: Path, remedy: str) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / WEIGHTS_INDEX).is_file():
        shards = _read_json(where, folder / WEIGHTS_INDEX, remedy).get("weight_map")
        if isinstance(shards, dict) and shards:
            return [folder / str(name) for name in sorted(set(shards.values()))]
        raise ModelError(f"{where}: {WEIGHTS_INDEX} names no files; {remedy}")
    raise ModelError(
        f"{where}: no {WEIGHTS} in it; pickled weights (pytorch_model.bin) are not loaded, because "
        "a pickle can run code: load them where you trust them and save_pretrained() them again"
    )


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


def _read_json(where: str, path: Path, remedy: str) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{where}: {path.name} is not readable JSON: {one_line(error)}; {remedy}"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"{where}: {path.name} holds no JSON object; {remedy}")
    return content


def _digest(files: list[Path]) -> str:
    """Digest weight files: two folders of one name may hold different fine-tunes."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{total.hexdigest()[:16]}"
