"""bitsandbytes through transformers: LLM.int8() and 4-bit layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whisperbench.whisper.backend import Backend
from whisperbench.whisper.must import Layers, Must

if TYPE_CHECKING:
    import torch


_INT8_AS_FLOATS = {
    r"aten::matmul in bitsandbytes::int8_linear_matmul$": "bitsandbytes multiplied int8 as 32-bit "
    "floats, as it does where cuBLASLt has no way of its own"
}


def _holders() -> Mapping[str, Collection[str]]:
    # `idx` is no weight: where the last call's outliers were.
    return {"MatmulLtState": ("idx",), "QuantState": ("idx",)}


@dataclass(frozen=True)
class BitsAndBytes(Backend):
    """Its options are keyword arguments of transformers' BitsAndBytesConfig."""

    saves_as: str = "bitsandbytes"
    packages: tuple[str, ...] = ("bitsandbytes",)
    holders: Mapping[str, Collection[str]] = field(default_factory=_holders)

    def loading_options(self, options: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
        """Return the quantization_config."""
        from transformers import BitsAndBytesConfig

        told = dict(options)
        if options.get("load_in_4bit"):
            told["bnb_4bit_compute_dtype"] = dtype
        return {"quantization_config": BitsAndBytesConfig(**told)}

    def must(self, options: Mapping[str, Any], dtype: str, *, on_host: bool) -> Must:
        """Return the class of its layers, what they are told, and the ops that they multiply by."""
        left_out = frozenset(options.get("llm_int8_skip_modules") or ())
        if options.get("load_in_8bit"):
            threshold = options.get("llm_int8_threshold", 6.0)
            return Must(
                layers=Layers(
                    name="Linear8bitLt",
                    dtype="int8",
                    bits=8,
                    settings={"state.threshold": threshold},
                    left_out=left_out,
                ),
                holds=("int8",),
                computes_in=(self.matrix_dtype(options, dtype, on_host=on_host),),
                products="bitsandbytes::int8_linear_matmul$",
                # A CPU without AVX-512 has no other way.
                never={} if on_host else _INT8_AS_FLOATS,
                kernels=("8-bit matrix products",),
                may_be_emulated=on_host,
            )
        settings: dict[str, object] = {
            "weight.quant_type": options.get("bnb_4bit_quant_type", "fp4"),
            "weight.quant_state.nested": bool(options.get("bnb_4bit_use_double_quant")),
        }
        if "bnb_4bit_compute_dtype" not in options:  # what was saved says its own
            settings["compute_dtype"] = dtype
        return Must(
            layers=Layers(
                name="Linear4bit", dtype="uint8", bits=4, settings=settings, left_out=left_out
            ),
            holds=("uint8",),
            computes_in=(dtype,),
            products=r"bitsandbytes::(gemm|gemv|dequantize)_4bit$",
            may_be_emulated=on_host,
        )

    def matrix_dtype(self, options: Mapping[str, Any], dtype: str, *, on_host: bool) -> str:
        """Return int8 of LLM.int8() on a GPU; of 4 bits the dtype that they are unpacked to.

        On a CPU an int8 layer is held to the rate of its activations: not every CPU has a faster
        one.
        """
        return "int8" if options.get("load_in_8bit") and not on_host else dtype

    def bits(self, options: Mapping[str, Any]) -> int | None:
        """Return 8 or 4; None of options that say neither, as a broken config.json may."""
        return next((bits for bits in (8, 4) if options.get(f"load_in_{bits}bit") is True), None)


BACKEND = BitsAndBytes()
