"""People's own code, which `--transcriber` names: docs/transcribers.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whisperbench.whisper.must import Must

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import torch


@dataclass(frozen=True)
class Own:
    """A `Backend` whose option `factory` names a function, as in "package.module:function".

    Nothing is known of its layers.
    """

    factory: str = "whisperbench.whisper.own_loading:load"
    saves_as: str = "its own"
    packages: tuple[str, ...] = ()
    holders: Mapping[str, Collection[str]] = field(default_factory=dict)
    in_torch: bool = False
    fixed_count: bool = False
    files: str = ""

    def loading_options(
        self,
        options: Mapping[str, Any],  # noqa: ARG002 - transformers does not load it
        dtype: torch.dtype,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return nothing: transformers does not load it."""
        return {}

    def must(
        self,
        options: Mapping[str, Any],  # noqa: ARG002
        dtype: str,  # noqa: ARG002
        *,
        on_host: bool,  # noqa: ARG002
    ) -> Must:
        """Return nothing: what it does is its own affair."""
        return Must()

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


BACKEND = Own()
