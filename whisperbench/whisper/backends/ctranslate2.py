"""CTranslate2: a runtime of its own, which computes without torch what it has converted once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whisperbench.whisper.backend import Backend
from whisperbench.whisper.must import Must


@dataclass(frozen=True)
class CTranslate2(Backend):
    """Its option `compute_type` is CTranslate2's name of the type that it computes in."""

    factory: str = "whisperbench.whisper.ctranslate2_loading:load"
    saves_as: str = "ctranslate2"
    packages: tuple[str, ...] = ("ctranslate2",)
    in_torch: bool = False
    files: str = "whisperbench.whisper.ctranslate2_files:ensure_converted"

    def must(
        self,
        options: Mapping[str, Any],
        dtype: str,
        *,
        on_host: bool,  # noqa: ARG002 - its types are the same everywhere
    ) -> Must:
        """Return the types that it holds its weights in and computes in; it shows no layers."""
        compute_type = str(options["compute_type"])
        held = "int8" if compute_type.startswith("int8") else dtype
        return Must(holds=(held,), computes_in=(compute_type,))

    def matrix_dtype(
        self,
        options: Mapping[str, Any],
        dtype: str,
        *,
        on_host: bool,  # noqa: ARG002 - its int8 is int8 on a CPU, too
    ) -> str:
        """Return int8 where its matrices are, or the dtype of all else."""
        return "int8" if str(options["compute_type"]).startswith("int8") else dtype


BACKEND = CTranslate2()
