"""Whether what was loaded is what its precision's name says: layers, dtypes and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from whisperbench.errors import InvalidMeasurementError

if TYPE_CHECKING:
    import torch

UNQUANTIZED = "proj_out"
"""The linear layer that no precision quantizes: its weights are the embedding's, too."""


class Expected(NamedTuple):
    """What must be true of the linear layers of a precision."""

    layer: str
    """Name of their class."""
    dtype: str
    """torch dtype of their weights."""
    bits: int
    """That a weight takes."""
    settings: Mapping[str, object]
    """Attributes of each layer, by their path from it, and their values."""


def expected_of(quantization: Mapping[str, Any], dtype: str) -> Expected:
    """Return what a precision's linear layers must be.

    Args:
        quantization: keyword arguments of transformers' BitsAndBytesConfig; empty: none.
        dtype: torch dtype of what is not quantized.
    """
    if quantization.get("load_in_8bit"):
        threshold = quantization.get("llm_int8_threshold", 6.0)
        return Expected("Linear8bitLt", "int8", 8, {"state.threshold": threshold})
    if quantization.get("load_in_4bit"):
        settings = {
            "weight.quant_type": quantization.get("bnb_4bit_quant_type", "fp4"),
            "weight.quant_state.nested": bool(quantization.get("bnb_4bit_use_double_quant")),
        }
        return Expected("Linear4bit", "uint8", 4, settings)
    return Expected("Linear", dtype, 32 if dtype == "float32" else 16, {})


def require_as_named(
    what: str, model: torch.nn.Module, quantization: Mapping[str, Any], dtype: str
) -> None:
    """Refuse a model that is not what its precision says.

    Args:
        what: the model and its precision, for the error.
        model: as it was loaded.
        quantization: as `expected_of` takes it.
        dtype: torch dtype of what is not quantized.

    Raises:
        InvalidMeasurementError: layers are of another class, weights of another dtype or size, or
            a layer has other settings; with what they are.
    """
    expected = expected_of(quantization, dtype)
    if wrong := Counter(_differences(model, expected, dtype, quantization)):
        (difference, count), *others = wrong.most_common()
        more = f"; and {sum(each for _, each in others)} more" if others else ""
        raise InvalidMeasurementError(
            f"{what}: {count} of its layers are not what that precision says: {difference}{more}; "
            "check the checkpoint's quantization_config, and the versions of transformers and "
            "bitsandbytes"
        )


def _differences(
    model: torch.nn.Module, expected: Expected, dtype: str, quantization: Mapping[str, Any]
) -> Iterator[str]:
    """Name what is otherwise, once a layer; alike where it is the same."""
    from torch import nn

    left_out = set(quantization.get("llm_int8_skip_modules") or ()) | {UNQUANTIZED}
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


def _of_linear(module: Any, expected: Expected) -> Iterator[str]:
    layer = type(module).__name__
    if layer != expected.layer:
        yield f"a {layer}, not a {expected.layer}"
        return
    weight = module.weight
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
        if found != value:
            yield f"{layer}'s {path} is {found!r}, not {value!r}"


def _dtype(name: str) -> torch.dtype:
    import torch

    found: torch.dtype = getattr(torch, name)
    return found


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
