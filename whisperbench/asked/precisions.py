"""The registry of precisions: what loads each and how, where it runs, and why not elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from whisperbench.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Precision:
    """One way of holding a model's weights. A new precision is a row of `PRECISIONS`."""

    name: str
    summary: str
    dtype: str
    """torch dtype of everything that is not quantized, activations included; empty where the
    checkpoint says it."""
    host_dtype: str = ""
    """The same on a device that is the host itself, where it is another."""
    backend: str = "transformers"
    """What loads it and makes its layers: a module of `whisper.backends`, by its name."""
    options: Mapping[str, object] = field(default_factory=dict)
    """What the backend is told. Of bitsandbytes: keyword arguments of BitsAndBytesConfig; of
    torchao: `config`, the name of a class of configurations, and keyword arguments of that; of
    CTranslate2: the type that it computes in; of people's own code: where it is."""
    compiled: bool = False
    """Whether torch.compile compiles the decoder's step, as transformers' generate() does it with a
    static cache. The encoder and the pass over the prompt are not compiled."""
    as_saved: bool = False
    """Whether dtype, backend and options are those that the checkpoint was saved with."""
    min_capability: tuple[int, int] = (0, 0)
    """The lowest CUDA compute capability that runs it."""
    below_capability: str = ""
    """Why a lower one does not."""
    needs_gpu: str = ""
    """Why a device that is the host itself does not run it; empty where it does."""
    looks_at_bf16: bool = True
    """Whether, on a CPU, it may take another path where bfloat16 is native: as bitsandbytes' 4-bit
    layers do, and torch's layers of 16-bit floats."""

    def dtype_on(self, *, on_host: bool, saved: str) -> str:
        """Return the torch dtype of everything that is not quantized.

        Args:
            on_host: whether the device is the host itself.
            saved: the dtype that the checkpoint was saved in.
        """
        if self.as_saved:
            return saved
        return (self.host_dtype if on_host else "") or self.dtype

    def why_not(self, capability: tuple[int, int] | None) -> str | None:
        """Say why a device cannot run this precision, or None where it can.

        Args:
            capability: the device's CUDA compute capability; None of what has none.
        """
        if capability is None and self.needs_gpu:
            return f"needs a GPU: {self.needs_gpu}"
        if capability is not None and capability < self.min_capability:
            needed = ".".join(map(str, self.min_capability))
            have = ".".join(map(str, capability))
            return (
                f"needs compute capability {needed}, this GPU has {have}: {self.below_capability}"
            )
        return None


_BF16 = "older GPUs only emulate bfloat16, which says nothing of its cost"
_TRITON = "torch.compile builds kernels with Triton, which begins with Volta"
_COMPILED = "the decoder's step compiled by torch.compile, with a static cache"

# On a CPU the quantized precisions keep fp32 around the int8 and nf4 layers: every CPU runs it
# at full speed, while fp16 is emulated, and it is what a user of an fp32 checkpoint gets.
_INT8_TENSOR_CORES = "LLM.int8() multiplies on int8 tensor cores, which came with Turing"
_CT2_INT8 = "CTranslate2 has no int8 kernels for it"
_CT2_FLOAT16 = "CTranslate2 would compute in 32-bit floats"


def _of_torchao(name: str, config: str, summary: str) -> Iterator[Precision]:
    """Yield a configuration of torchao, as it is and compiled.

    Around its layers it keeps bfloat16 on a GPU: they multiply by int8 weights that are not scaled
    yet, whose products go beyond what fp16 holds. It changes torch.compile's settings to what suits
    its layers, which the process keeps; it is told not to where nothing is compiled.
    """
    for compiled in (False, True):
        yield Precision(
            name=f"{name}-compiled" if compiled else name,
            summary=f"{summary}, {_COMPILED}" if compiled else summary,
            dtype="bfloat16",
            host_dtype="float32",
            backend="torchao",
            options={"config": config, "set_inductor_config": compiled},
            compiled=compiled,
            min_capability=(8, 0),
            below_capability=_BF16,
        )


PRECISIONS: dict[str, Precision] = {
    row.name: row
    for row in (
        Precision(
            name="fp32",
            summary="32-bit floats",
            dtype="float32",
            looks_at_bf16=False,
        ),
        Precision(
            name="fp16",
            summary="16-bit floats (emulated and slow on most CPUs)",
            dtype="float16",
        ),
        Precision(
            name="bf16",
            summary="bfloat16",
            dtype="bfloat16",
            min_capability=(8, 0),
            below_capability=_BF16,
        ),
        Precision(
            name="int8",
            summary="LLM.int8(), outlier threshold 6.0: transformers' load_in_8bit",
            dtype="float16",
            host_dtype="float32",
            backend="bitsandbytes",
            options={"load_in_8bit": True, "llm_int8_threshold": 6.0},
            min_capability=(7, 5),
            below_capability=_INT8_TENSOR_CORES,
            looks_at_bf16=False,
        ),
        Precision(
            name="int8-t0",
            summary="LLM.int8() without its outlier path (threshold 0.0)",
            dtype="float16",
            host_dtype="float32",
            backend="bitsandbytes",
            options={"load_in_8bit": True, "llm_int8_threshold": 0.0},
            min_capability=(7, 5),
            below_capability=_INT8_TENSOR_CORES,
            looks_at_bf16=False,
        ),
        Precision(
            name="nf4",
            summary="4-bit NormalFloat of QLoRA, without double quantization",
            dtype="float16",
            host_dtype="float32",
            backend="bitsandbytes",
            options={"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
            min_capability=(6, 0),
            below_capability="bitsandbytes' 4-bit kernels are not built for it",
        ),
        Precision(
            name="fp32-compiled",
            summary=f"32-bit floats, {_COMPILED}",
            dtype="float32",
            compiled=True,
            min_capability=(7, 0),
            below_capability=_TRITON,
            looks_at_bf16=False,
        ),
        Precision(
            name="fp16-compiled",
            summary=f"16-bit floats, {_COMPILED}",
            dtype="float16",
            compiled=True,
            min_capability=(7, 0),
            below_capability=_TRITON,
        ),
        Precision(
            name="bf16-compiled",
            summary=f"bfloat16, {_COMPILED}",
            dtype="bfloat16",
            compiled=True,
            min_capability=(8, 0),
            below_capability=_BF16,
        ),
        *_of_torchao("ao-int8wo", "Int8WeightOnlyConfig", "torchao: int8 weights alone"),
        *_of_torchao(
            "ao-int8dq",
            "Int8DynamicActivationInt8WeightConfig",
            "torchao: int8 weights, and activations made int8 at each call",
        ),
        Precision(
            name="ct2-float32",
            summary="CTranslate2 in 32-bit floats",
            dtype="float32",
            backend="ctranslate2",
            options={"compute_type": "float32"},
            looks_at_bf16=False,
        ),
        Precision(
            name="ct2-int8",
            summary="CTranslate2 with int8 weights, and 32-bit floats around them",
            dtype="float32",
            backend="ctranslate2",
            options={"compute_type": "int8_float32"},
            min_capability=(6, 1),
            below_capability=_CT2_INT8,
            looks_at_bf16=False,
        ),
        Precision(
            name="ct2-float16",
            summary="CTranslate2 in 16-bit floats, as faster-whisper has it on a GPU",
            dtype="float16",
            backend="ctranslate2",
            options={"compute_type": "float16"},
            needs_gpu=_CT2_FLOAT16,
            min_capability=(7, 0),
            below_capability=_CT2_FLOAT16,
            looks_at_bf16=False,
        ),
        Precision(
            name="ct2-int8_float16",
            summary="CTranslate2 with int8 weights, and 16-bit floats around them",
            dtype="float16",
            backend="ctranslate2",
            options={"compute_type": "int8_float16"},
            needs_gpu=_CT2_FLOAT16,
            min_capability=(7, 0),
            below_capability=_CT2_FLOAT16,
            looks_at_bf16=False,
        ),
        Precision(
            name="as-saved",
            summary="as the checkpoint was saved: its own dtype, and quantization if it has any",
            dtype="",
            as_saved=True,
        ),
    )
}


def precision_named(name: str) -> Precision:
    """Look a precision up.

    Raises:
        InputError: no row has that name.
    """
    try:
        return PRECISIONS[name]
    except KeyError:
        raise InputError(
            f"--precision {name}: unknown; choose from {', '.join(PRECISIONS)}"
        ) from None


OWN_NAME = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
"""What people's own transcribers are called: as `--transcriber` names them. No row is called so."""


def own_precision(name: str) -> Precision:
    """Return the row of somebody's own transcriber, which stands among the precisions of a run.

    Nothing is imported.

    Args:
        name: as in "package.module:factory".

    Raises:
        InputError: it is not of that form.
    """
    if not re.fullmatch(OWN_NAME, name, re.ASCII):
        raise InputError(
            f"--transcriber {name}: is not of the form package.module:factory, as in mine.vad:make"
        )
    return Precision(
        name=name,
        summary="people's own code",
        dtype="its own",
        backend="own",
        options={"factory": name},
        looks_at_bf16=False,
    )
