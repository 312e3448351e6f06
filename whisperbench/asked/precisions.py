"""The registry of precisions: how each is loaded, where it runs, and why not elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from whisperbench.errors import InputError

DeviceKind = Literal["cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class Precision:
    """One way of holding a model's weights. A new precision is a row of `PRECISIONS`."""

    name: str
    summary: str
    dtype: Mapping[DeviceKind, str]
    """torch dtype, by device kind, of everything that is not quantized, activations included; empty
    where the checkpoint says it."""
    quantization: Mapping[str, object] = field(default_factory=dict)
    """Keyword arguments of transformers' BitsAndBytesConfig; empty: no quantization."""
    as_saved: bool = False
    """Whether dtype and quantization are those that the checkpoint was saved with."""
    min_capability: tuple[int, int] = (0, 0)
    """The lowest CUDA compute capability that runs it."""
    below_capability: str = ""
    """Why a lower one does not."""

    def dtype_on(self, kind: DeviceKind, saved: str) -> str:
        """Return the torch dtype of everything that is not quantized.

        Args:
            kind: of the device.
            saved: the dtype that the checkpoint was saved in.
        """
        return saved if self.as_saved else self.dtype[kind]

    def why_not(self, kind: DeviceKind, capability: tuple[int, int] | None) -> str | None:
        """Say why a device cannot run this precision, or None where it can.

        Args:
            kind: the kind of device.
            capability: its CUDA compute capability; None on a CPU.
        """
        if kind == "cuda" and capability is not None and capability < self.min_capability:
            needed = ".".join(map(str, self.min_capability))
            have = ".".join(map(str, capability))
            return (
                f"needs compute capability {needed}, this GPU has {have}: {self.below_capability}"
            )
        return None


# On a CPU the quantized precisions keep fp32 around the int8 and nf4 layers: every CPU runs it
# at full speed, while fp16 is emulated, and it is what a user of an fp32 checkpoint gets.
_AROUND_QUANTIZED: Mapping[DeviceKind, str] = {"cuda": "float16", "cpu": "float32"}
_INT8_TENSOR_CORES = "LLM.int8() multiplies on int8 tensor cores, which came with Turing"

PRECISIONS: dict[str, Precision] = {
    row.name: row
    for row in (
        Precision(
            name="fp32",
            summary="32-bit floats",
            dtype={"cuda": "float32", "cpu": "float32"},
        ),
        Precision(
            name="fp16",
            summary="16-bit floats (emulated and slow on most CPUs)",
            dtype={"cuda": "float16", "cpu": "float16"},
        ),
        Precision(
            name="bf16",
            summary="bfloat16",
            dtype={"cuda": "bfloat16", "cpu": "bfloat16"},
            min_capability=(8, 0),
            below_capability="older GPUs only emulate bfloat16, which says nothing of its cost",
        ),
        Precision(
            name="int8",
            summary="LLM.int8(), outlier threshold 6.0: transformers' load_in_8bit",
            dtype=_AROUND_QUANTIZED,
            quantization={"load_in_8bit": True, "llm_int8_threshold": 6.0},
            min_capability=(7, 5),
            below_capability=_INT8_TENSOR_CORES,
        ),
        Precision(
            name="int8-t0",
            summary="LLM.int8() without its outlier path (threshold 0.0)",
            dtype=_AROUND_QUANTIZED,
            quantization={"load_in_8bit": True, "llm_int8_threshold": 0.0},
            min_capability=(7, 5),
            below_capability=_INT8_TENSOR_CORES,
        ),
        Precision(
            name="nf4",
            summary="4-bit NormalFloat of QLoRA, without double quantization",
            dtype=_AROUND_QUANTIZED,
            quantization={"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
            min_capability=(6, 0),
            below_capability="bitsandbytes' 4-bit kernels are not built for it",
        ),
        Precision(
            name="as-saved",
            summary="as the checkpoint was saved: its own dtype, and quantization if it has any",
            dtype={},
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
