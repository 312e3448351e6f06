"""The bytes of a model's weights, as loaded: all of them, or by dtype."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from whisperbench.whisper.backend_choice import BACKENDS
from whisperbench.whisper.tensor_parts import parts_of

if TYPE_CHECKING:
    import torch

_HOLDERS = {name: left for row in BACKENDS.values() for name, left in row.holders.items()}


def bytes_by_dtype(modules: Iterable[torch.nn.Module]) -> dict[str, int]:
    """Sum the bytes of the weights that modules hold themselves, by torch's name of their dtype.

    Parameters, buffers and quantization constants. Shared storage counts once, so a tied output
    projection adds nothing. Backends keep scales and tables beside the parameters, where
    `get_memory_footprint()` misses them.
    """
    seen: dict[int, tuple[str, int]] = {}
    for module in modules:
        for holder in (module._parameters, module._buffers, vars(module)):  # noqa: SLF001
            for tensor in _tensors(holder):
                storage = tensor.untyped_storage()
                seen[storage.data_ptr()] = str(tensor.dtype), storage.nbytes()
    found: Counter[str] = Counter()
    for dtype, size in seen.values():
        found[dtype.removeprefix("torch.")] += size
    return dict(found)


def own_weight_bytes(modules: Iterable[torch.nn.Module]) -> int:
    """Sum the bytes of the weights that modules hold themselves, not through those inside them."""
    return sum(bytes_by_dtype(modules).values())


def _tensors(holder: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    """Yield the tensors of a namespace, and those that a backend hangs onto its objects."""
    import torch

    for value in holder.values():
        if isinstance(value, torch.Tensor) and hasattr(value, "__tensor_flatten__"):
            yield from parts_of(value)
        elif isinstance(value, torch.Tensor):
            yield value
            # Int8Params has CB and SCB beside its data, Params4bit a quant_state.
            yield from _tensors(vars(value))
        elif (left_out := _HOLDERS.get(type(value).__name__)) is not None:
            held = {name: part for name, part in vars(value).items() if name not in left_out}
            yield from _tensors(held)
