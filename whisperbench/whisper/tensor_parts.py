"""The plain tensors that hold what a tensor of a class of its own stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def held(tensor: torch.Tensor) -> torch.Tensor:
    """Return the largest of them: the values, where scales and the like are beside them."""
    return max(parts_of(tensor), key=lambda part: part.nbytes)


def parts_of(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the tensors that hold a tensor's data: itself, or those inside of one that has none.

    A class of tensors that wraps others, as torchao's are, names them by `__tensor_flatten__`. Its
    own dtype is the one that it computes in, and its storage is empty.
    """
    if not hasattr(tensor, "__tensor_flatten__"):
        yield tensor
        return
    wrapping: Any = tensor
    names, _ = wrapping.__tensor_flatten__()
    for name in names:
        yield from parts_of(getattr(tensor, name))
