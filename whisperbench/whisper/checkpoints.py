"""From a model spec to a folder of files that may be loaded: built, found or downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from whisperbench.asked.checkout import NANO_FOLDER
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.precisions import PRECISIONS, Precision
from whisperbench.errors import DeviceError, ModelError, one_line
from whisperbench.whisper.backend_choice import BACKENDS, method_of, saved_bits, saved_by
from whisperbench.whisper.blueprint import Blueprint, read_blueprint
from whisperbench.whisper.checkpoint_files import (
    ADAPTER,
    WEIGHTS,
    check_files,
    find_weights,
    read_json,
    unused_adapters,
)
from whisperbench.whisper.checkpoint_tensors import (
    Headers,
    float_dtype,
    read_headers,
    unused_tensors,
)
from whisperbench.whisper.dummy import RECIPE, ensure_dummy
from whisperbench.whisper.processors import load_processor, require_front_end
from whisperbench.whisper.special_tokens import Fields

if TYPE_CHECKING:
    from transformers import WhisperProcessor

    from whisperbench.devices.device import DeviceFacts

# The weights in one file or in shards, and the small files. Not the same weights a second time
# in another format or dtype, and never a pickle, because loading one can run code.
_HUB_FILES = ("*.json", "*.txt", WEIGHTS, "model-?????-of-?????.safetensors")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A folder that transformers can load, and what tells it from another of the same name."""

    spec: ModelSpec
    folder: Path
    fingerprint: str
    blueprint: Blueprint | None = None
    """What its small files say; None: they are read when it is loaded."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is odd about it, in sentences."""
        return self.blueprint.remarks if self.blueprint is not None else ()


class Opened(NamedTuple):
    """A checkpoint without its weights."""

    blueprint: Blueprint
    processor: WhisperProcessor
    headers: Headers


def open_folder(name: str, folder: Path) -> Opened:
    """Read and check all of a checkpoint but its weights.

    Args:
        name: of the model, as tables show it.
        folder: its files.

    Raises:
        ModelError: a file cannot be read, or they do not describe a Whisper.
    """
    where = f"{name} ({folder})"
    config = read_json(where, folder / "config.json")
    generation = folder / "generation_config.json"
    settings = read_json(where, generation) if generation.is_file() else None
    processor = load_processor(where, folder)
    vocabulary = processor.tokenizer.get_vocab()
    headers = read_headers(find_weights(folder))
    dtype = float_dtype(headers)
    blueprint = read_blueprint(name, where, config, settings, vocabulary, dtype)
    require_front_end(where, processor, blueprint.architecture["num_mel_bins"])
    return Opened(blueprint, processor, headers)


def require_precision(where: str, precision: Precision, blueprint: Blueprint) -> None:
    """Refuse to measure quantized weights under the name of another precision.

    transformers obeys what the checkpoint says over what it is asked for.

    Raises:
        ModelError: they are quantized, and not asked for as they were saved; or by another library
            than bitsandbytes, of which nobody here could say that it ran as it should.
    """
    if precision.as_saved and blueprint.dtype not in ("float32", "float16", "bfloat16"):
        raise ModelError(
            f"{where}: its weights were saved in {blueprint.dtype or 'several dtypes'}, and "
            "--precision as-saved measures one of float32, float16 and bfloat16: name another "
            "precision"
        )
    quantization = blueprint.quantization
    if quantization is None:
        return
    how = _how_quantized(quantization)
    if not precision.as_saved:
        raise ModelError(
            f"{where}: its weights were saved quantized ({how or 'by bitsandbytes'}; "
            f"quantization_config in config.json), and cannot be measured in {precision.name}: "
            "pass --precision as-saved, or take the model that it was quantized from"
        )
    if not how:
        raise ModelError(
            f"{where}: quantization_config in config.json says neither load_in_8bit nor "
            "load_in_4bit; take config.json from the model as it was saved"
        )
    if saved_by(quantization) is None:
        raise ModelError(
            f"{where}: its weights were saved quantized ({how}); only those of bitsandbytes can be "
            "measured: take the model that it was quantized from"
        )


def require_measurable(checkpoint: Checkpoint, precision: Precision, facts: DeviceFacts) -> None:
    """Refuse a precision that a checkpoint's weights, or the device, cannot be measured in.

    Raises:
        ModelError: the weights cannot.
        DeviceError: the device cannot, as far as it was not known without them.
    """
    blueprint = checkpoint.blueprint
    assert blueprint is not None  # noqa: S101 - it was resolved
    require_precision(f"{checkpoint.spec.name} ({checkpoint.folder})", precision, blueprint)
    if not precision.as_saved:
        return
    like = [row for row in PRECISIONS.values() if _is_like(row, blueprint)]
    reasons = [row.why_not(facts.compute_capability) for row in like]
    if reasons and all(reasons):
        raise DeviceError(
            f"{checkpoint.spec.name}: saved as {like[0].name} is, which {facts.name} cannot run: "
            f"{reasons[0]}; take another checkpoint, or another device"
        )


def _is_like(row: Precision, blueprint: Blueprint) -> bool:
    """Whether a checkpoint was saved in a precision, as far as a device is concerned."""
    bits = BACKENDS[row.backend].bits(row.options)
    if blueprint.quantization is None:
        return bits is None and blueprint.dtype == row.dtype
    return bits is not None and bits == saved_bits(blueprint.quantization)


def _how_quantized(quantization: Fields) -> str:
    """Say how weights were saved; "" where their own backend cannot tell."""
    method, bits = method_of(quantization), saved_bits(quantization)
    if bits is not None:
        return f"{bits} bits, by {method}"
    return "" if saved_by(quantization) is not None else f"by {one_line(method)}"


def resolve_checkpoint(
    spec: ModelSpec,
    say: Callable[[str], object] = lambda _line: None,
    *,
    allow_unused: bool = False,
) -> Checkpoint:
    """Build, find or download a checkpoint, and check that its files can be loaded.

    Where the weights are anybody's to write, the fingerprint is their digest.

    Args:
        spec: what was asked for.
        say: is given a line before anything that takes long.
        allow_unused: whether there may be an adapter or tensors in it that are not used; they are
            remarked on then.

    Raises:
        ModelError: it is missing, unreachable, gated, corrupt or pickled, or not a Whisper; its
            files contradict each other; or parts of it would not be used.
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
    weights = check_files(spec, folder)
    where = f"{spec.name} ({folder})"
    opened = open_folder(spec.name, folder)
    blueprint = opened.blueprint
    unused = [*unused_adapters(folder), *unused_tensors(where, opened.headers, blueprint)]
    if unused and find_spec("peft") and (folder / ADAPTER).is_file():
        raise ModelError(
            f"{where}: {'; '.join(unused)}; peft is installed, so transformers would load the "
            "adapter into the model: merge it with merge_and_unload() and save_pretrained() the "
            f"result, or move {ADAPTER} out of the folder"
        )
    if unused and not allow_unused:
        raise ModelError(
            f"{where}: {'; '.join(unused)}; merge an adapter into the model with "
            "merge_and_unload() and save_pretrained() the result, take the rest away, or measure "
            "without them: --allow-unused"
        )
    remarks = tuple(f"{spec.name}: {part}, which is not used." for part in unused)
    return Checkpoint(
        spec=spec,
        folder=folder,
        fingerprint=fingerprint or digest_of(weights),
        blueprint=replace(blueprint, remarks=(*blueprint.remarks, *remarks)),
    )


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


def digest_of(files: list[Path]) -> str:
    """Digest weight files: two folders of one name may hold different fine-tunes."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{total.hexdigest()[:16]}"
