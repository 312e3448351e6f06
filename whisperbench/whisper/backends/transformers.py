"""transformers alone: layers of torch's own, nothing quantized."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whisperbench.whisper.must import Layers, Must

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import torch


@dataclass(frozen=True)
class Unquantized:
    """A `Backend` that changes nothing."""

    factory: str = "whisperbench.whisper.transformers_loading:load"
    saves_as: str = ""
    packages: tuple[str, ...] = ()
    holders: Mapping[str, Collection[str]] = field(default_factory=dict)
    in_torch: bool = True
    fixed_count: bool = True
    files: str = ""

    def loading_options(
        self,
        options: Mapping[str, Any],  # noqa: ARG002 - it has none
        dtype: torch.dtype,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def must(
        self,
        options: Mapping[str, Any],  # noqa: ARG002
        dtype: str,
        *,
        on_host: bool,
    ) -> Must:
        """Return torch's layers, in the dtype of all else."""
        return Must(
            layers=Layers(name="Linear", dtype=dtype, bits=32 if dtype == "float32" else 16),
            holds=(dtype,),
            computes_in=(dtype,),
            products=r"aten::(linear|addmm|mm)$",
            may_be_emulated=on_host,
        )

    def matrix_dtype(
        self,
        options: Mapping[str, Any],  # noqa: ARG002
        dtype: str,
        *,
        on_host: bool,  # noqa: ARG002
    ) -> str:
        """Return the dtype of all else."""
        return dtype

    def bits(self, options: Mapping[str, Any]) -> int | None:  # noqa: ARG002
        """Return None."""
        return None


BACKEND = Unquantized()
