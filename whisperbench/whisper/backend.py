"""What the suite asks of a backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from whisperbench.whisper.must import Must


@dataclass(frozen=True)
class Backend(ABC):
    """A library that makes the layers of a precision. Its options stand in the precision's row.

    What a backend does not say otherwise is that of transformers alone, which quantizes nothing.
    """

    factory: str = "whisperbench.whisper.transformers_loading:load"
    """What loads its models, as "package.module:function"; `loading.Factory` has its type."""
    saves_as: str = ""
    """What the `quant_method` of a checkpoint that it has saved says; "" of plain floats."""
    packages: tuple[str, ...] = ()
    """Packages that are its own and are imported for it, beside torch and transformers."""
    holders: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Classes of its objects that hold weights beside a layer's parameters, by name.

    With the names of what they hold that is no weight."""
    in_torch: bool = True
    """Whether its models are modules of torch, so that torch counts their memory.

    Their layers have hooks then, given ids can be put through them, and they take the attention
    that is asked for."""
    fixed_count: bool = True
    """Whether it can decode a fixed number of tokens."""
    files: str = ""
    """What makes the files that it loads of a checkpoint's, as "package.module:function".

    `loading.Conversion` has its type; empty where it loads the checkpoint's own."""

    def loading_options(
        self,
        options: Mapping[str, Any],  # noqa: ARG002 - of those that have some
        dtype: torch.dtype,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return what transformers' `from_pretrained` is told beside the usual.

        Args:
            options: of the precision.
            dtype: of what is not quantized.
        """
        return {}

    @abstractmethod
    def must(self, options: Mapping[str, Any], dtype: str, *, on_host: bool) -> Must:
        """Return what must be true of the layers that were loaded, and of what they then do.

        Args:
            options: of the precision, or those that the checkpoint was saved with.
            dtype: torch's name of the dtype of what is not quantized.
            on_host: whether the device is the host itself.
        """

    def matrix_dtype(
        self,
        options: Mapping[str, Any],  # noqa: ARG002
        dtype: str,
        *,
        on_host: bool,  # noqa: ARG002
    ) -> str:
        """Return torch's name of the dtype that its layers multiply in.

        Args:
            options: as `must` takes them.
            dtype: likewise.
            on_host: whether the device is the host itself.
        """
        return dtype

    def compile_mode(
        self,
        options: Mapping[str, Any],  # noqa: ARG002
        *,
        on_host: bool,  # noqa: ARG002
    ) -> str | None:
        """Return torch.compile's mode without which its layers do not run; None where any will do.

        Args:
            options: as `must` takes them.
            on_host: whether the device is the host itself.
        """
        return None

    def bits(self, options: Mapping[str, Any]) -> int | None:  # noqa: ARG002
        """Return what a quantized weight takes by these options; None where none is quantized."""
        return None
