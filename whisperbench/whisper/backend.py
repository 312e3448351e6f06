"""What the suite asks of a backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import torch

    from whisperbench.whisper.must import Must


class Backend(Protocol):
    """A library that makes the layers of a precision. Its options stand in the precision's row."""

    @property
    def factory(self) -> str:
        """What loads its models, as "package.module:function"; `loading.Factory` has its type."""
        ...

    @property
    def saves_as(self) -> str:
        """What the `quant_method` of a checkpoint that it has saved says; "" of plain floats."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages that are its own and are imported for it, beside torch and transformers."""
        ...

    @property
    def holders(self) -> Mapping[str, Collection[str]]:
        """Classes of its objects that hold weights beside a layer's parameters, by name.

        With the names of what they hold that is no weight.
        """
        ...

    @property
    def in_torch(self) -> bool:
        """Whether its models are modules of torch, so that torch counts their memory.

        Their layers have hooks then, given ids can be put through them, and they take the
        attention that is asked for.
        """
        ...

    @property
    def fixed_count(self) -> bool:
        """Whether it can decode a fixed number of tokens."""
        ...

    @property
    def files(self) -> str:
        """What makes the files that it loads of a checkpoint's, as "package.module:function".

        `loading.Conversion` has its type; empty where it loads the checkpoint's own.
        """
        ...

    def loading_options(self, options: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
        """Return what transformers' `from_pretrained` is told beside the usual.

        Args:
            options: of the precision.
            dtype: of what is not quantized.
        """
        ...

    def must(self, options: Mapping[str, Any], dtype: str, *, on_host: bool) -> Must:
        """Return what must be true of the layers that were loaded, and of what they then do.

        Args:
            options: of the precision, or those that the checkpoint was saved with.
            dtype: torch's name of the dtype of what is not quantized.
            on_host: whether the device is the host itself.
        """
        ...

    def matrix_dtype(self, options: Mapping[str, Any], dtype: str, *, on_host: bool) -> str:
        """Return torch's name of the dtype that its layers multiply in.

        Args:
            options: as `must` takes them.
            dtype: likewise.
            on_host: whether the device is the host itself.
        """
        ...

    def bits(self, options: Mapping[str, Any]) -> int | None:
        """Return what a quantized weight takes by these options; None where none is quantized."""
        ...
