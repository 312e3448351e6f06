"""Loading a checkpoint in a precision, complete or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whisperbench.asked.plan import device_kind
from whisperbench.errors import DeviceError, ModelError, one_line
from whisperbench.whisper.as_named import require_as_named
from whisperbench.whisper.checkpoints import open_folder, require_precision
from whisperbench.whisper.processors import load_processor
from whisperbench.whisper.residency import is_out_of_memory, memory_errors
from whisperbench.whisper.transformers_config import generation_settings, model_config

if TYPE_CHECKING:
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.whisper.checkpoints import Checkpoint
    from whisperbench.whisper.special_tokens import Tokens


@dataclass(kw_only=True, repr=False, eq=False)
class LoadedModel:
    """A model on its device. Holders use the handle, so that `close` frees the weights for all."""

    checkpoint: Checkpoint
    key: CheckpointKey
    device: str
    dtype: torch.dtype
    model: WhisperForConditionalGeneration
    processor: WhisperProcessor
    tokens: Tokens
    weight_bytes: int
    paces: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Seconds that the encoder and one token take, by batch size, as far as they were measured."""

    def close(self) -> None:
        """Let go of the model. The handle is of no use afterwards."""
        del self.model, self.processor


def load_model(checkpoint: Checkpoint, key: CheckpointKey, device: str) -> LoadedModel:
    """Load a checkpoint in a precision onto a device.

    Raises:
        ModelError: its files do not make the model that its configuration describes.
        OutOfMemoryError: the device or the host has too little memory.
    """
    import torch
    from transformers import BitsAndBytesConfig, WhisperForConditionalGeneration

    from whisperbench.whisper.quiet import quieten

    quieten()
    what = f"loading {key.model.name} in {key.precision.name} on {device}"
    with memory_errors(what, device):
        where = f"{key.model.name} ({checkpoint.folder})"
        blueprint = checkpoint.blueprint or open_folder(key.model.name, checkpoint.folder).blueprint
        require_precision(where, key.precision, blueprint)
        name = key.precision.dtype_on(device_kind(device), blueprint.dtype)
        dtype: torch.dtype = getattr(torch, name)
        quantization = dict(key.precision.quantization)
        config = model_config(blueprint)
        options: dict[str, Any] = {}
        if key.precision.as_saved and blueprint.quantization:
            quantization = dict(blueprint.quantization)
            config.quantization_config = quantization
        elif quantization:
            if quantization.get("load_in_4bit"):
                quantization["bnb_4bit_compute_dtype"] = dtype
            options["quantization_config"] = BitsAndBytesConfig(**quantization)
        try:
            model, report = WhisperForConditionalGeneration.from_pretrained(
                checkpoint.folder,
                config=config,
                # What generate() is not told it takes from here.
                generation_config=generation_settings(blueprint.tokens),
                dtype=dtype,
                device_map={"": device},
                attn_implementation=key.attention,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
        except Exception as error:  # a broken checkpoint fails in any of four libraries
            if is_out_of_memory(error):
                raise
            raise ModelError(
                f"{what}: {type(error).__name__}: {one_line(error)}; if the checkpoint is sound "
                "elsewhere, check the versions of torch, transformers and bitsandbytes"
            ) from error
        processor = load_processor(where, checkpoint.folder)
    _require_complete(what, report)
    if model.proj_out.weight.data_ptr() != model.model.decoder.embed_tokens.weight.data_ptr():
        raise ModelError(
            f"{what}: the output projection in its weights is not the embedding, as it is in every "
            "Whisper; take the weights from where they were trained"
        )
    require_as_named(what, model, quantization, name)
    model.eval()
    return LoadedModel(
        checkpoint=checkpoint,
        key=key,
        device=device,
        dtype=dtype,
        model=model,
        processor=processor,
        tokens=blueprint.tokens,
        weight_bytes=weight_bytes(model),
    )


def require_attention(key: CheckpointKey, capability: tuple[int, int] | None) -> None:
    """Refuse an attention implementation that the device or the installation lacks.

    Args:
        key: what is to be loaded.
        capability: the device's CUDA compute capability; None on a CPU.

    Raises:
        DeviceError: it lacks it.
    """
    if key.attention != "flash_attention_2":
        return
    if capability is None or capability < (8, 0):
        raise DeviceError(
            "--attention flash_attention_2: needs an NVIDIA GPU from Ampere on; use sdpa"
        )
    if key.precision.dtype.get("cuda") == "float32":
        raise DeviceError(
            "--attention flash_attention_2: has no fp32 kernels; leave fp32 out of --precision"
        )
    # Imports torch, which what is refused before does without.
    from transformers.utils import is_flash_attn_2_available

    if not is_flash_attn_2_available():
        raise DeviceError(
            "--attention flash_attention_2: the package flash-attn is not installed; install it "
            "or use sdpa"
        )


def _require_complete(what: str, report: Mapping[str, Any]) -> None:
    """Refuse a model with made-up weights: transformers only warns when some are missing."""
    for trouble in ("missing_keys", "mismatched_keys"):
        names = sorted(map(str, report.get(trouble) or ()))
        if names:
            raise ModelError(
                f"{what}: {len(names)} {trouble.replace('_', ' ')} (the first is {names[0]}); the "
                "files are not of the model that config.json describes: copy the checkpoint again"
            )


def weight_bytes(model: torch.nn.Module) -> int:
    """Sum the bytes of a model's weights: parameters, buffers and quantization constants.

    Shared storage counts once, so a tied output projection adds nothing. bitsandbytes keeps
    scales and 4-bit tables beside the parameters, where `get_memory_footprint()` misses them.
    """
    return own_weight_bytes(model.modules())


def own_weight_bytes(modules: Iterable[torch.nn.Module]) -> int:
    """Sum the bytes of the weights that modules hold themselves, not through those inside them."""
    seen: dict[int, int] = {}
    for module in modules:
        for holder in (module._parameters, module._buffers, vars(module)):  # noqa: SLF001
            for tensor in _tensors(holder):
                storage = tensor.untyped_storage()
                seen[storage.data_ptr()] = storage.nbytes()
    return sum(seen.values())


def _tensors(holder: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    """Yield the tensors of a namespace, and those that bitsandbytes hangs onto its objects."""
    import torch

    for value in holder.values():
        if isinstance(value, torch.Tensor):
            yield value
            # Int8Params has CB and SCB beside its data, Params4bit a quant_state.
            yield from _tensors(vars(value))
        elif type(value).__name__ in ("MatmulLtState", "QuantState"):
            # `idx` is no weight: where the last call's outliers were.
            held = {name: part for name, part in vars(value).items() if name != "idx"}
            yield from _tensors(held)
