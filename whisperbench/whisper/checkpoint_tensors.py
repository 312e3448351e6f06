"""The tensors of a checkpoint's weights, by their headers: all there, all used, of which dtype."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whisperbench.errors import ModelError, one_line

if TYPE_CHECKING:
    from whisperbench.whisper.blueprint import Blueprint

TIED = "proj_out.weight"
"""The output projection's tensor, which is the decoder's embedding and need not be in a file."""

_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Dtypes of plain floats as safetensors and as torch call them."""

Headers = Mapping[str, tuple[str, tuple[int, ...]]]
"""dtype and shape of each tensor in the weights, by its name."""

_BESIDE_A_WEIGHT = re.compile(r"(\.weight)?\.(SCB|weight_format)$|\.weight\.[\w.]+$")
"""What bitsandbytes saves beside a quantized weight: scales and tables."""


def read_headers(weights: Sequence[Path]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Read what the weights hold, without reading them."""
    from safetensors import safe_open

    found = {}
    for path in weights:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                tensor = file.get_slice(name)
                found[name] = (tensor.get_dtype(), tuple(tensor.get_shape()))
    return found


def float_dtype(headers: Headers) -> str:
    """Return the torch dtype of the weights that are plain floats; empty of several."""
    kinds = {
        kind
        for name, (kind, _) in headers.items()
        if kind in _FLOATS and not _BESIDE_A_WEIGHT.search(name)
    }
    return _FLOATS[kinds.pop()] if len(kinds) == 1 else ""


def unused_tensors(where: str, headers: Headers, blueprint: Blueprint) -> Iterator[str]:
    """Name tensors that no layer of the model takes: transformers only logs them.

    Raises:
        ModelError: the weights are not those of the model that config.json describes: a tensor is
            missing, or of another shape, or they are quantized and it says nothing of it, or are
            not and it says that they are.
    """
    expected = _expected_shapes(blueprint)
    quantized = blueprint.quantization is not None
    if quantized and all(kind in _FLOATS for kind, _ in headers.values()):
        raise ModelError(
            f"{where}: config.json has a quantization_config, and the weights are plain floats; "
            "take quantization_config out of it"
        )
    # A checkpoint of the bare WhisperModel lacks the prefix.
    names = {name: f"model.{name}" if f"model.{name}" in expected else name for name in headers}
    if missing := expected.keys() - {TIED} - set(names.values()):
        raise ModelError(
            f"{where}: {len(missing)} tensors of the model that config.json describes are not in "
            f"its weights, such as {min(missing)}; the files are not of one model: copy it again"
        )
    strange = []
    for name, whole in names.items():
        kind, shape = headers[name]
        if whole not in expected:
            if not (quantized and _is_beside(whole, expected)):
                strange.append(name)
        elif not quantized and kind not in _FLOATS:
            raise ModelError(
                f"{where}: {name} is of {kind}, as quantized weights are, and config.json has no "
                "quantization_config; take the model that it was quantized from"
            )
        elif not quantized and shape != expected[whole]:
            raise ModelError(
                f"{where}: {name} is of shape {shape}, and of {expected[whole]} by config.json; "
                "the files are not of one model: copy it again"
            )
    if strange:
        them = f"{len(strange)} tensors of its weights are" if strange[1:] else "one tensor is"
        yield f"{them} of no layer that config.json describes (such as {one_line(strange[0])})"


def _is_beside(name: str, expected: Container[str]) -> bool:
    """Whether a tensor is what bitsandbytes saves beside a weight of the model."""
    beside = _BESIDE_A_WEIGHT.search(name)
    return beside is not None and f"{name[: beside.start()]}.weight" in expected


def _expected_shapes(blueprint: Blueprint) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors that the model has, by name."""
    import torch
    from transformers import WhisperForConditionalGeneration

    from whisperbench.whisper.transformers_config import model_config

    with torch.device("meta"):
        model = WhisperForConditionalGeneration(model_config(blueprint))
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
