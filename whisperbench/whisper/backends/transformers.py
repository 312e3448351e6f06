"""transformers alone: layers of torch's own, nothing quantized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whisperbench.whisper.backend import Backend
from whisperbench.whisper.must import Layers, Must


@dataclass(frozen=True)
class Unquantized(Backend):
    """Changes nothing."""

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


BACKEND = Unquantized()
