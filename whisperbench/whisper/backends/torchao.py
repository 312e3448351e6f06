"""torchao through transformers: int8 weights as tensors of a class of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whisperbench.errors import DeviceError
from whisperbench.whisper.backend import Backend
from whisperbench.whisper.must import Layers, Must

if TYPE_CHECKING:
    import torch

_WEIGHT = "Int8Tensor"
"""Class of a weight that either configuration makes."""

_NEWEST_FORMAT = 2
"""Of a configuration's `version`: the one that makes `_WEIGHT`, and the only one since 0.18."""


@dataclass(frozen=True)
class TorchAo(Backend):
    """Its options name a class of torchao.quantization, and its arguments."""

    saves_as: str = "torchao"
    packages: tuple[str, ...] = ("torchao",)

    def loading_options(
        self,
        options: Mapping[str, Any],
        dtype: torch.dtype,  # noqa: ARG002 - it follows the model's
    ) -> dict[str, Any]:
        """Return the quantization_config.

        Raises:
            DeviceError: this torchao is too old.
        """
        import torchao
        from torchao import quantization
        from transformers import TorchAoConfig

        told = dict(options)
        name = str(told.pop("config"))
        made: Any = getattr(quantization, name, None)
        if "version" not in getattr(made, "__dataclass_fields__", {}):
            raise DeviceError(
                f"torchao {torchao.__version__} makes no {_WEIGHT} by {name}; install a newer one: "
                "pip install 'whisperbench[torchao]'"
            )
        return {"quantization_config": TorchAoConfig(made(version=_NEWEST_FORMAT, **told))}

    def must(self, options: Mapping[str, Any], dtype: str, *, on_host: bool) -> Must:
        """Return torch's own layer, and the class of its weight.

        Which op multiplies depends on the device and on the rows: dynamic layers, where nothing is
        compiled, multiply fewer than 17 rows as 32-bit floats on a GPU, for which torch has no
        product of int8.
        """
        activations = "QuantizeTensorToInt8Kwargs" if _is_dynamic(options) else "NoneType"
        return Must(
            layers=Layers(
                name="Linear",
                dtype="int8",
                bits=8,
                settings={
                    "weight.__class__.__name__": _WEIGHT,
                    "weight.act_quant_kwargs.__class__.__name__": activations,
                },
                left_out=frozenset(options.get("modules_to_not_convert") or ()),
            ),
            holds=("int8",),
            computes_in=(self.matrix_dtype(options, dtype, on_host=on_host),),
            products=r"aten::(_int_mm|matmul|mm)$",
            kernels=("8-bit matrix products",) if _is_dynamic(options) else (),
            may_be_emulated=on_host,
        )

    def matrix_dtype(self, options: Mapping[str, Any], dtype: str, *, on_host: bool) -> str:
        """Return int8 where activations are int8 too, on a GPU; otherwise that of activations."""
        return "int8" if _is_dynamic(options) and not on_host else dtype

    def compile_mode(self, options: Mapping[str, Any], *, on_host: bool) -> str | None:
        """Return the mode that builds an int8 product of dynamic layers, on a GPU.

        In others, torch's own is compiled in, which takes no fewer than 17 rows: decoding one clip
        ends in "self.size(0) needs to be greater than 16, but got 1" (torch 2.11, an H100).
        """
        return "max-autotune" if _is_dynamic(options) and not on_host else None

    def bits(self, options: Mapping[str, Any]) -> int | None:
        """Return 8 of an int8 configuration; None of others."""
        return 8 if config_named(options).startswith("Int8") else None


def config_named(options: Mapping[str, Any]) -> str:
    """Return the name of a configuration: of a row's options, or of what a checkpoint has saved."""
    found: Any = options.get("config") or options.get("quant_type")
    for part in ("default", "_type"):
        found = found.get(part) if isinstance(found, Mapping) else found
    return found if isinstance(found, str) else ""


def _is_dynamic(options: Mapping[str, Any]) -> bool:
    """Whether activations are quantized at each call."""
    return "DynamicActivation" in config_named(options)


BACKEND = TorchAo()
