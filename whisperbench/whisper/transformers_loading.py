"""Loading a checkpoint through transformers, complete or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from whisperbench.errors import ModelError, WhisperbenchError, one_line
from whisperbench.results.ran import Ran
from whisperbench.whisper.as_named import layers_of, require_as_named
from whisperbench.whisper.backend_choice import Chosen, choose
from whisperbench.whisper.checkpoints import open_folder, require_precision
from whisperbench.whisper.compiling import FromNothing, seen
from whisperbench.whisper.processors import load_processor
from whisperbench.whisper.residency import is_out_of_memory, memory_errors
from whisperbench.whisper.transformers_config import generation_settings, model_config
from whisperbench.whisper.transformers_transcriber import TransformersTranscriber
from whisperbench.whisper.weights import bytes_by_dtype

if TYPE_CHECKING:
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.whisper.blueprint import Blueprint
    from whisperbench.whisper.checkpoints import Checkpoint
    from whisperbench.whisper.must import Must
    from whisperbench.whisper.tokens import Tokens


@dataclass(kw_only=True, repr=False, eq=False)
class TransformersModel:
    """A `LoadedModel` of transformers."""

    key: CheckpointKey
    accelerator: Accelerator
    chosen: Chosen
    """The backend of its layers, and what it was told."""
    dtype: torch.dtype
    model: WhisperForConditionalGeneration
    processor: WhisperProcessor
    tokens: Tokens
    weights_by_dtype: Mapping[str, int]
    """Bytes of the weights as loaded, by torch's name of their dtype. Calls may add more."""
    must: Must
    """What must be true of it."""
    compiler: FromNothing | None = None
    """torch.compile, kept for this model; None where nothing is compiled."""
    paces: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Seconds that the encoder and one token take, by batch size, as far as they were measured."""

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(self.weights_by_dtype.values())

    def matrix_dtypes(self) -> tuple[str, str]:
        """Return torch's names of the dtypes that its layers and its attention multiply in."""
        dtype = str(self.dtype).removeprefix("torch.")
        backend, options, _ = self.chosen
        return backend.matrix_dtype(options, dtype, on_host=self.accelerator.on_host), dtype

    def ran(self) -> Ran:
        """Return what the model in memory is.

        Raises:
            InvalidMeasurementError: its layers are not what its precision's name says.
        """
        dtype = str(self.dtype).removeprefix("torch.")
        if self.must.layers is not None:
            require_as_named(self.key.id, self.model, self.must.layers, dtype)
        return Ran(
            weights=dict(self.weights_by_dtype),
            computes_in=self.accelerator.computes_in(self.matrix_dtypes()[0]),
            layers=layers_of(self.model),
            emulated=dtype if self.accelerator.emulates(dtype) else None,
            compiled_graphs=seen().graphs if self.compiler is not None else None,
        )

    def transcriber(
        self, batch: Sequence[Audio], *, bounded: bool = False
    ) -> TransformersTranscriber:
        """Bind a batch of clips."""
        return TransformersTranscriber(self, batch, bounded=bounded)

    def close(self) -> None:
        """Let go of the model and of what was compiled. The handle is of no use afterwards."""
        del self.model, self.processor
        if self.compiler is not None:
            self.compiler.end()


def load(checkpoint: Checkpoint, key: CheckpointKey, accelerator: Accelerator) -> TransformersModel:
    """Load a checkpoint in a precision onto a device; `loading.load_model` says what it raises."""
    from whisperbench.whisper.quiet import quieten

    quieten()
    # Before the weights: to quantize them, torchao changes the compiler's settings.
    compiler = FromNothing() if key.precision.compiled else None
    try:
        loaded = _load(checkpoint, key, accelerator)
    except BaseException:
        if compiler is not None:
            compiler.end()
        raise
    loaded.compiler = compiler
    return loaded


def _load(
    checkpoint: Checkpoint, key: CheckpointKey, accelerator: Accelerator
) -> TransformersModel:
    """Load the weights, and check them."""
    import torch

    device = accelerator.torch_device
    what = f"loading {key.model.name} in {key.precision.name} on {device}"
    with memory_errors(what, accelerator):
        where = f"{key.model.name} ({checkpoint.folder})"
        blueprint = checkpoint.blueprint or open_folder(key.model.name, checkpoint.folder).blueprint
        require_precision(where, key.precision, blueprint)
        name = key.precision.dtype_on(on_host=accelerator.on_host, saved=blueprint.dtype)
        dtype: torch.dtype = getattr(torch, name)
        chosen = choose(key.precision, blueprint.quantization)
        try:
            model, report = _from_files(checkpoint, key, device, blueprint, chosen, dtype)
        except WhisperbenchError:
            raise
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
    model.eval()
    loaded = TransformersModel(
        key=key,
        accelerator=accelerator,
        chosen=chosen,
        dtype=dtype,
        model=model,
        processor=processor,
        tokens=blueprint.tokens,
        weights_by_dtype=bytes_by_dtype(model.modules()),
        must=replace(
            chosen.backend.must(chosen.options, name, on_host=accelerator.on_host),
            compiled=key.precision.compiled,
        ),
    )
    loaded.ran()  # refuses what is not as named
    return loaded


def _from_files(
    checkpoint: Checkpoint,
    key: CheckpointKey,
    device: str,
    blueprint: Blueprint,
    chosen: Chosen,
    dtype: torch.dtype,
) -> tuple[WhisperForConditionalGeneration, Mapping[str, Any]]:
    """Let transformers make the model; return what it says of missing weights, too."""
    from transformers import WhisperForConditionalGeneration

    config = model_config(blueprint)
    if chosen.saved:
        config.quantization_config = dict(chosen.options)
    told = {} if chosen.saved else chosen.backend.loading_options(chosen.options, dtype)
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
        **told,
    )
    return model, report


def _require_complete(what: str, report: Mapping[str, Any]) -> None:
    """Refuse a model with made-up weights: transformers only warns when some are missing."""
    for trouble in ("missing_keys", "mismatched_keys"):
        names = sorted(map(str, report.get(trouble) or ()))
        if names:
            raise ModelError(
                f"{what}: {len(names)} {trouble.replace('_', ' ')} (the first is {names[0]}); the "
                "files are not of the model that config.json describes: copy the checkpoint again"
            )
