"""CTranslate2: a runtime of its own, which computes without torch what it has converted once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whisperbench.whisper.must import Must

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import torch


@dataclass(frozen=True)
class CTranslate2:
    """A `Backend` whose option `compute_type` is CTranslate2's name of the type it computes in."""

    factory: str = "whisperbench.whisper.ctranslate2_loading:load"
    saves_as: str = "ctranslate2"
    packages: tuple[str, ...] = ("ctranslate2",)
    holders: Mapping[str, Collection[str]] = field(default_factory=dict)
    in_torch: bool = False
    fixed_count: bool = True
    files: str = "whisperbench.whisper.ctranslate2_files:ensure_converted"

    def loading_options(
        self,
        options: Mapping[str, Any],  # noqa: ARG002 - transformers does not load it
        dtype: torch.dtype,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return nothing: transformers does not load it."""
        return {}

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

    def bits(self, options: Mapping[str, Any]) -> int | None:  # noqa: ARG002
        """Return None: no checkpoint of transformers is saved by it."""
        return None


BACKEND = CTranslate2()
