"""Loading a converted checkpoint through CTranslate2, in the type that its precision names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whisperbench.results.ran import Ran
from whisperbench.whisper.backend_choice import BACKENDS
from whisperbench.whisper.checkpoints import open_folder, require_precision
from whisperbench.whisper.ctranslate2_errors import runtime_errors
from whisperbench.whisper.ctranslate2_files import ensure_converted, stored_bytes
from whisperbench.whisper.ctranslate2_transcriber import CTranslate2Transcriber
from whisperbench.whisper.processors import load_processor
from whisperbench.whisper.residency import memory_errors
from whisperbench.whisper.what_ran import what_ran

if TYPE_CHECKING:
    import torch
    from transformers import WhisperProcessor

    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.whisper.checkpoints import Checkpoint
    from whisperbench.whisper.must import Must
    from whisperbench.whisper.tokens import Tokens


@dataclass(kw_only=True, repr=False, eq=False)
class CTranslate2Model:
    """A `LoadedModel` of CTranslate2."""

    key: CheckpointKey
    accelerator: Accelerator
    model: Any
    """A ctranslate2.models.Whisper."""
    dtype: torch.dtype
    """Of the features that it is given: 32-bit floats, of which it makes what it computes in."""
    processor: WhisperProcessor
    tokens: Tokens
    weights_by_dtype: Mapping[str, int]
    """Bytes of the weights as stored, which is as loaded, by torch's name of their dtype."""
    threads: int
    """Of OpenMP, which are as many as torch takes."""
    must: Must
    paces: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Seconds that the encoder and one token take, by batch size, as far as they were measured."""

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(self.weights_by_dtype.values())

    def ran(self) -> Ran:
        """Return the weights as stored, and the type as CTranslate2 has resolved it."""
        return Ran(
            weights=dict(self.weights_by_dtype),
            computes_in=str(self.model.compute_type),
            threads=self.threads,
        )

    def matrix_dtypes(self) -> tuple[str, str]:
        """Return torch's names of the dtypes that its layers and its attention multiply in."""
        row = self.key.precision
        dtype = row.dtype_on(on_host=self.accelerator.on_host, saved="")
        layers = BACKENDS[row.backend].matrix_dtype(
            row.options, dtype, on_host=self.accelerator.on_host
        )
        return layers, dtype

    def transcriber(
        self, batch: Sequence[Audio], *, bounded: bool = False
    ) -> CTranslate2Transcriber:
        """Bind a batch of clips."""
        return CTranslate2Transcriber(self, batch, bounded=bounded)

    def close(self) -> None:
        """Let go of the model. The handle is of no use afterwards."""
        del self.model, self.processor


def load(checkpoint: Checkpoint, key: CheckpointKey, accelerator: Accelerator) -> CTranslate2Model:
    """Load a checkpoint in a precision onto a device; `loading.load_model` says what it raises.

    It is converted first where it was not yet.
    """
    import torch
    from ctranslate2.models import Whisper

    compute_type = str(key.precision.options["compute_type"])
    what = f"loading {key.model.name} in {key.precision.name} on {accelerator.torch_device}"
    where = f"{key.model.name} ({checkpoint.folder})"
    with memory_errors(what, accelerator):
        blueprint = checkpoint.blueprint or open_folder(key.model.name, checkpoint.folder).blueprint
        require_precision(where, key.precision, blueprint)
        folder = ensure_converted(checkpoint, key.precision)
        device, _, index = accelerator.torch_device.partition(":")
        threads = accelerator.threads()
        with runtime_errors(what):
            model = Whisper(
                str(folder),
                device=device,
                device_index=int(index or 0),
                compute_type=compute_type,
                inter_threads=1,
                intra_threads=threads,
            )
        processor = load_processor(where, checkpoint.folder)
    name = key.precision.dtype_on(on_host=accelerator.on_host, saved="")
    loaded = CTranslate2Model(
        key=key,
        accelerator=accelerator,
        model=model,
        dtype=torch.float32,
        processor=processor,
        tokens=blueprint.tokens,
        weights_by_dtype=stored_bytes(folder),
        threads=threads,
        must=BACKENDS[key.precision.backend].must(
            key.precision.options, name, on_host=accelerator.on_host
        ),
    )
    what_ran(loaded, generated=False)  # refuses what is not as named
    return loaded
