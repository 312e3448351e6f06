"""The one factory of models: from a checkpoint and a precision to something that transcribes.

A precision names its backend, and the backend what loads it: a function of another module, given
as "package.module:function", which takes what `load_model` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from whisperbench.asked.suite import ATTENTION_CAPABILITY
from whisperbench.errors import DeviceError
from whisperbench.whisper.backend_choice import BACKENDS

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from transformers import WhisperProcessor

    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.asked.precisions import Precision
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.results.ran import Ran
    from whisperbench.whisper.checkpoints import Checkpoint
    from whisperbench.whisper.must import Must
    from whisperbench.whisper.tokens import Tokens
    from whisperbench.whisper.transcriber import Transcriber


class LoadedModel(Protocol):
    """A model on its device. Holders use the handle, so that `close` frees the weights for all."""

    key: CheckpointKey
    accelerator: Accelerator
    model: Any
    """What holds the weights. Whoever closes the handle checks that it is gone."""
    dtype: torch.dtype
    """Of activations, and of everything that is not quantized."""
    tokens: Tokens
    paces: dict[int, tuple[float, float]]
    """Seconds that the encoder and one token take, by batch size, as far as they were measured."""

    must: Must
    """What must be true of what runs; `ran` is held against it."""

    @property
    def weights_by_dtype(self) -> Mapping[str, int]:
        """Bytes of the weights as loaded, by torch's name of their dtype."""
        ...

    @property
    def weight_bytes(self) -> int | None:
        """Bytes of all weights; None where it does not tell."""
        ...

    def ran(self) -> Ran:
        """Return what the model tells of itself, now: what was loaded, and what has compiled.

        Raises:
            InvalidMeasurementError: its layers are not what its precision's name says.
        """
        ...

    def matrix_dtypes(self) -> tuple[str, str]:
        """Return torch's names of the dtypes that its layers and its attention multiply in.

        Where no dtype is sure to be faster than that of the activations, it is that one.
        """
        ...

    def transcriber(self, batch: Sequence[Audio], *, bounded: bool = False) -> Transcriber:
        """Bind a batch of clips.

        Args:
            batch: clips that are transcribed at once: copies of one, or several of one language
                of which all or none are longer than 30 s.
            bounded: whether a transcription that does not end is ended.

        Raises:
            InputError: the model does not know the language.
        """
        ...

    def close(self) -> None:
        """Let go of the model. The handle is of no use afterwards."""
        ...


class WithProcessor(LoadedModel, Protocol):
    """A model that the suite's own front end and tokenizer are loaded beside."""

    processor: WhisperProcessor


Factory = Callable[["Checkpoint", "CheckpointKey", "Accelerator"], LoadedModel]

Conversion = Callable[["Checkpoint", "Precision", Callable[[str], object]], "Path"]
"""Returns the folder of files that are made of a checkpoint's for a precision, and makes them where
they are not there yet; it is given a function that is told a line before anything that takes long.
"""


def load_model(checkpoint: Checkpoint, key: CheckpointKey, accelerator: Accelerator) -> LoadedModel:
    """Load a checkpoint in a precision onto a device, by what the precision's backend names.

    Raises:
        ModelError: its files do not make the model that its configuration describes.
        InvalidMeasurementError: what was loaded is not what the precision says.
        OutOfMemoryError: the device or the host has too little memory.
    """
    return factory_named(BACKENDS[key.precision.backend].factory)(checkpoint, key, accelerator)


def factory_named(name: str) -> Factory:
    """Import a factory.

    Args:
        name: as in "package.module:function".
    """
    return cast("Factory", _named(name))


def _named(name: str) -> object:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def loaded_files(
    checkpoint: Checkpoint,
    precision: Precision,
    say: Callable[[str], object] = lambda _line: None,
) -> Path:
    """Return the folder whose files a precision loads, converted first where they have to be.

    Before anything is measured, so that no measurement has a conversion in it.

    Args:
        checkpoint: what it is loaded from.
        precision: whose backend may need files of its own.
        say: is told a line before anything that takes long.

    Raises:
        ModelError: they cannot be made.
    """
    if name := BACKENDS[precision.backend].files:
        return cast("Conversion", _named(name))(checkpoint, precision, say)
    return checkpoint.folder


def require_attention(key: CheckpointKey, capability: tuple[int, int] | None) -> None:
    """Refuse an attention implementation that the backend, device or installation lacks.

    Args:
        key: what is to be loaded.
        capability: the device's CUDA compute capability; None of what has none.

    Raises:
        DeviceError: it lacks it.
    """
    if key.attention != "sdpa" and not BACKENDS[key.precision.backend].in_torch:
        raise DeviceError(
            f"--attention {key.attention}: {key.precision.name} has an attention of its own; leave "
            "--attention out"
        )
    if key.attention != "flash_attention_2":
        return
    if capability is None or capability < ATTENTION_CAPABILITY[key.attention]:
        raise DeviceError(
            "--attention flash_attention_2: needs an NVIDIA GPU from Ampere on; use sdpa"
        )
    if key.precision.dtype == "float32":
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
