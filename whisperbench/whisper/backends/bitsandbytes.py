"""bitsandbytes through transformers: LLM.int8() and 4-bit layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whisperbench.whisper.as_named import Expected

if TYPE_CHECKING:
    import torch


def _holders() -> Mapping[str, Collection[str]]:
    # `idx` is no weight: where the last call's outliers were.
    return {"MatmulLtState": ("idx",), "QuantState": ("idx",)}


@dataclass(frozen=True)
class BitsAndBytes:
    """A `Backend` whose options are keyword arguments of transformers' BitsAndBytesConfig."""

    factory: str = "whisperbench.whisper.transformers_loading:load"
    saves_as: str = "bitsandbytes"
    packages: tuple[str, ...] = ("bitsandbytes",)
    holders: Mapping[str, Collection[str]] = field(default_factory=_holders)
    in_torch: bool = True
    fixed_count: bool = True
    files: str = ""

    def loading_options(self, options: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
        """Return the quantization_config."""
        from transformers import BitsAndBytesConfig

        told = dict(options)
        if options.get("load_in_4bit"):
            told["bnb_4bit_compute_dtype"] = dtype
        return {"quantization_config": BitsAndBytesConfig(**told)}

    def expected(self, options: Mapping[str, Any], dtype: str) -> Expected:  # noqa: ARG002
        """Return the class of its layers, and what they are told of thresholds and tables."""
        left_out = frozenset(options.get("llm_int8_skip_modules") or ())
        if options.get("load_in_8bit"):
            threshold = options.get("llm_int8_threshold", 6.0)
            return Expected("Linear8bitLt", "int8", 8, {"state.threshold": threshold}, left_out)
        settings = {
            "weight.quant_type": options.get("bnb_4bit_quant_type", "fp4"),
            "weight.quant_state.nested": bool(options.get("bnb_4bit_use_double_quant")),
        }
        return Expected("Linear4bit", "uint8", 4, settings, left_out)

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
