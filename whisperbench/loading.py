"""Checkpoints in memory: loading one in a precision, and holding one at a time."""

from __future__ import annotations

import gc
import inspect
import sys
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from whisperbench.errors import (
    DeviceError,
    InvalidMeasurementError,
    ModelError,
    OutOfMemoryError,
    one_line,
)
from whisperbench.units import mib

if TYPE_CHECKING:
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    from whisperbench.checkpoints import Checkpoint
    from whisperbench.plan import CheckpointKey

RELEASE_SLACK_MIB = 48.0
"""Growth of the allocator's level that is not a leak: cuBLAS keeps a workspace for each stream
once it has been used, 32 MiB on Hopper (PyTorch notes, "CUDA semantics: cuBLAS workspaces")."""


@dataclass(kw_only=True, repr=False, eq=False)
class LoadedModel:
    """A model on its device. Holders use the handle, so that `close` frees the weights for all."""

    checkpoint: Checkpoint
    key: CheckpointKey
    device: str
    dtype: torch.dtype
    model: WhisperForConditionalGeneration
    processor: WhisperProcessor
    weight_bytes: int

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
    from transformers import (
        AutoProcessor,
        BitsAndBytesConfig,
        WhisperForConditionalGeneration,
    )

    from whisperbench.quiet import quieten

    quieten()
    kind = torch.device(device).type
    dtype: torch.dtype = getattr(torch, key.precision.dtype[kind])  # type: ignore[index]
    options: dict[str, Any] = {}
    if key.precision.quantization:
        quantization = dict(key.precision.quantization)
        if quantization.get("load_in_4bit"):
            quantization["bnb_4bit_compute_dtype"] = dtype
        options["quantization_config"] = BitsAndBytesConfig(**quantization)
    what = f"loading {key.model.name} in {key.precision.name} on {device}"
    with memory_errors(what, device):
        try:
            model, report = WhisperForConditionalGeneration.from_pretrained(
                checkpoint.folder,
                dtype=dtype,
                device_map={"": device},
                attn_implementation=key.attention,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
            processor = AutoProcessor.from_pretrained(checkpoint.folder)
        except Exception as error:  # a broken checkpoint fails in any of four libraries
            if _is_out_of_memory(error):
                raise
            raise ModelError(
                f"{what}: {type(error).__name__}: {one_line(error)}; if the checkpoint is sound "
                "elsewhere, check the versions of torch, transformers and bitsandbytes"
            ) from error
    _require_complete(what, report)
    model.eval()
    return LoadedModel(
        checkpoint=checkpoint,
        key=key,
        device=device,
        dtype=dtype,
        model=model,
        processor=processor,
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
    from transformers.utils import is_flash_attn_2_available

    if key.attention != "flash_attention_2":
        return
    if capability is None or capability < (8, 0):
        raise DeviceError(
            "--attention flash_attention_2: needs an NVIDIA GPU from Ampere on; use sdpa"
        )
    if key.precision.dtype["cuda"] == "float32":
        raise DeviceError(
            "--attention flash_attention_2: has no fp32 kernels; leave fp32 out of --precision"
        )
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
    seen: dict[int, int] = {}
    for module in model.modules():
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
            yield from _tensors(vars(value))


@contextmanager
def memory_errors(what: str, device: str) -> Iterator[None]:
    """Turn running out of memory, on the device or the host, into one line that says so.

    Raises:
        OutOfMemoryError: the block ran out of memory.
    """
    try:
        yield
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        _clear_frames(error)  # they hold the tensors of the failed call
        host = (
            device == "cpu" or isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)
        )
        where = "the host is out of memory" if host else f"out of memory on {device}{_fill(device)}"
        raise OutOfMemoryError(
            f"{what}: {where}; try a smaller model, precision or --batch-size, or free some"
        ) from None


def _is_out_of_memory(error: Exception) -> bool:
    """Tell running out of memory from other errors: torch has a class for it, and uses others."""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and any(
            words in str(error)
            for words in ("can't allocate memory", "out of memory", "_ALLOC_FAILED")
        )
    )


def _fill(device: str) -> str:
    """Say how full a GPU is, if it still answers."""
    import torch

    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError:
        return ""
    return f": {mib(total - free):.0f} of {mib(total):.0f} MiB were in use"


class Allocator(Protocol):
    """Something that knows how many bytes of a device are held by tensors."""

    def settle(self) -> None:
        """Free what nobody holds any more."""
        ...

    def allocated_bytes(self) -> int:
        """Return the bytes that live tensors hold."""
        ...


class CudaAllocator:
    """torch's caching allocator of one GPU."""

    def __init__(self, device: str) -> None:
        self._device = device

    def settle(self) -> None:
        """Collect garbage, wait for the GPU and give cached blocks back to it."""
        import torch

        gc.collect()
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()

    def allocated_bytes(self) -> int:
        """Return torch's count of allocated bytes."""
        import torch

        return torch.cuda.memory_allocated(self._device)


class HostAllocator:
    """The tensors of this process on the CPU, for which torch keeps no count."""

    def settle(self) -> None:
        """Collect garbage."""
        gc.collect()

    def allocated_bytes(self) -> int:
        """Sum the storages of all tensors that Python can reach."""
        import torch

        storages = {}
        for thing in gc.get_objects():
            if issubclass(type(thing), torch.Tensor) and thing.device.type == "cpu":
                storage = thing.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
        return sum(storages.values())


class Closable(Protocol):
    """A loaded model, as its cache needs to know it."""

    model: Any

    def close(self) -> None:
        """Let go of the model."""
        ...


Key = TypeVar("Key")
Loaded = TypeVar("Loaded", bound=Closable)


class ModelCache(Generic[Key, Loaded]):
    """Holds one loaded model at a time, and checks that the one before is really gone."""

    def __init__(self, load: Callable[[Key], Loaded], allocator: Allocator) -> None:
        self._load = load
        self._allocator = allocator
        self._key: Key | None = None
        self._loaded: Loaded | None = None
        self._idle_bytes: int | None = None

    def get(self, key: Key) -> Loaded:
        """Return the model of a key; load it, after releasing another, unless it is resident.

        Raises:
            InvalidMeasurementError: the memory of an earlier model was not given back.
        """
        if self._loaded is not None and self._key == key:
            return self._loaded
        self.release()
        try:
            self._loaded, self._key = self._load(key), key
        except Exception as error:
            # pytest keeps the error for the tests to come, and its frames hold loaded tensors.
            _clear_frames(error)
            raise
        return self._loaded

    def release(self) -> None:
        """Release the resident model, if any, and check the allocator's level.

        The level must be what it was before the first model, but for `RELEASE_SLACK_MIB`; it is
        checked again before each load, so a leak fails every measurement that it could spoil.

        Raises:
            InvalidMeasurementError: the model is alive, or the level is higher.
        """
        _forget_failures()
        alive = None
        if self._loaded is not None:
            _clear_finished_calls(self._loaded.model)
            alive = weakref.ref(self._loaded.model)
            self._loaded.close()
            self._loaded = None
        self._allocator.settle()
        level = self._allocator.allocated_bytes()
        if self._idle_bytes is None:
            self._idle_bytes = level
        grown = mib(level - self._idle_bytes)
        if (alive is not None and alive() is not None) or grown > RELEASE_SLACK_MIB:
            raise InvalidMeasurementError(
                f"the memory of the model before was not given back: {grown:.0f} MiB are still "
                f"allocated (after {self._key}); something keeps a reference to it, and what is "
                "measured beside it would not be comparable"
            )


def _clear_frames(error: BaseException | None) -> None:
    """Drop the local variables of an error's frames, and of the errors behind it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _clear_finished_calls(model: object) -> None:
    """Drop the local variables of calls that are over but whose frames still hold a model.

    An exception that some library caught and logged while the model was loaded keeps the whole
    call stack of that moment, for as long as pytest keeps the log record.
    """
    for holder in gc.get_referrers(model):
        if isinstance(holder, FrameType) and not holder.f_code.co_flags & inspect.CO_GENERATOR:
            with suppress(RuntimeError):  # a call that is not over
                holder.clear()


def _forget_failures() -> None:
    """Drop what Python and pytest keep of the last failed test: its frames hold tensors."""
    for name in ("last_exc", "last_value"):
        _clear_frames(getattr(sys, name, None))
    for name in ("last_exc", "last_value", "last_traceback", "last_type"):
        if hasattr(sys, name):
            delattr(sys, name)
