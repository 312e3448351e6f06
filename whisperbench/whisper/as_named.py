"""Whether a model in memory is what its precision's name says: layers, dtypes and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from whisperbench.errors import InvalidMeasurementError
from whisperbench.whisper.tensor_parts import held

if TYPE_CHECKING:
    import torch

    from whisperbench.whisper.must import Layers

UNQUANTIZED = "proj_out"
"""The linear layer that no precision quantizes: its weights are the embedding's, too."""


def require_as_named(what: str, model: torch.nn.Module, expected: Layers, dtype: str) -> None:
    """Refuse a model that is not what its precision says.

    Args:
        what: the model and its precision, for the error.
        model: as it was loaded.
        expected: what its backend says of its layers (`Must.layers`).
        dtype: torch dtype of what is not quantized.

    Raises:
        InvalidMeasurementError: layers are of another class, weights of another dtype or size, or
            a layer has other settings; with what they are.
    """
    if wrong := Counter(_differences(model, expected, dtype)):
        (difference, count), *others = wrong.most_common()
        more = f"; and {sum(each for _, each in others)} more" if others else ""
        raise InvalidMeasurementError(
            f"{what}: {count} of its layers are not what that precision says: {difference}{more}; "
            "check the checkpoint's quantization_config, and the versions of transformers and of "
            "the library that quantizes"
        )


def _differences(model: torch.nn.Module, expected: Layers, dtype: str) -> Iterator[str]:
    """Name what is otherwise, once a layer; alike where it is the same."""
    from torch import nn

    left_out = expected.left_out | {UNQUANTIZED}
    for name, module in model.named_modules():
        linear = isinstance(module, nn.Linear)
        plain = not linear or any(name == each or name.endswith(f".{each}") for each in left_out)
        if linear and not plain:
            yield from _of_linear(module, expected)
        elif linear and type(module).__name__ != "Linear":
            yield f"{name} is a {type(module).__name__}, not a Linear"
        for key, tensor in module.named_parameters(recurse=False):
            if (plain or key == "bias") and tensor.dtype != _dtype(dtype):
                yield f"{type(module).__name__}.{key} is {_name(tensor.dtype)}, not {dtype}"


def _of_linear(module: Any, expected: Layers) -> Iterator[str]:
    layer = type(module).__name__
    if layer != expected.name:
        yield f"a {layer}, not a {expected.name}"
        return
    weight = held(module.weight)
    if weight.dtype != _dtype(expected.dtype):
        yield f"{layer}.weight is {_name(weight.dtype)}, not {expected.dtype}"
        return
    wanted = module.in_features * module.out_features * expected.bits // 8
    if weight.nbytes != wanted:
        yield f"{layer}.weight takes {weight.nbytes} bytes, not {wanted}"
    for path, value in expected.settings.items():
        found = module
        for part in path.split("."):
            found = getattr(found, part, None)
        if (found := _plain(found)) != value:
            yield f"{layer}'s {path} is {found!r}, not {value!r}"


def layers_of(model: torch.nn.Module) -> dict[str, int]:
    """Count the linear layers of a model by their class and the dtype of their weights."""
    from torch import nn

    found = Counter(
        f"{type(module).__name__} of {_name(held(module.weight).dtype)}"
        for module in model.modules()
        if isinstance(module, nn.Linear)
    )
    return dict(found.most_common())


def _plain(found: Any) -> Any:
    """Return a dtype by its name, and all else as it is."""
    import torch

    return _name(found) if isinstance(found, torch.dtype) else found


def _dtype(name: str) -> torch.dtype:
    import torch

    found: torch.dtype = getattr(torch, name)
    return found


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
