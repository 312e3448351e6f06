"""What a stage must do at least: the arithmetic of its layers, and the weights that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whisperbench.measure.cost.encoder_hooks import around_encoder
from whisperbench.results.metric_row import STAGES
from whisperbench.results.passes import Bound
from whisperbench.whisper.weights import own_weight_bytes

if TYPE_CHECKING:
    import torch


@dataclass(kw_only=True)
class LeastWork:
    """Least work of a stage, whatever kernels do it."""

    layer_flops: int = 0
    """Floating-point (or integer) operations of the layers that have weights, two a
    multiplication and addition."""
    attention_flops: int = 0
    """Those of attention, which has no weights and stays in the model's dtype."""
    weight_bytes: int = 0
    """Weights read: all of a layer's in each of its calls, of an embedding the rows."""


def count_work(call: Callable[[], object], encoder: torch.nn.Module) -> dict[str, LeastWork]:
    """Run a call and count the work of its stages: `encoder`, and `decode` for the rest.

    A causal mask saves half of a prompt's attention at best, which four tokens do not show.
    """
    work: dict[str, LeastWork] = {stage: LeastWork() for stage in STAGES}
    current = "decode"

    def begin() -> None:
        nonlocal current
        current = "encoder"

    def end() -> None:
        nonlocal current
        current = "decode"

    def layer(module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        flops, read = _of_layer(module, inputs, output)
        work[current].layer_flops += flops
        work[current].weight_bytes += read

    def attention(flops: int) -> None:
        work[current].attention_flops += flops

    from torch.nn.modules.module import register_module_forward_hook

    hook = register_module_forward_hook(layer)
    try:
        with around_encoder(encoder, begin, end), _attention_seen(attention):
            call()
    finally:
        hook.remove()
    return work


def _of_layer(module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> tuple[int, int]:
    """Return a layer's operations and the bytes of weights that it reads; of a container, none."""
    from torch import nn

    if isinstance(module, nn.Embedding):
        rows = output.numel() // output.shape[-1]
        return 0, rows * output.shape[-1] * module.weight.element_size()
    size = own_weight_bytes([module])
    if isinstance(module, nn.Linear):  # bitsandbytes' layers are such, too
        rows = inputs[0].numel() // module.in_features
        return 2 * rows * module.in_features * module.out_features, size
    if isinstance(module, nn.Conv1d):
        each = module.in_channels // module.groups * module.kernel_size[0]
        return 2 * output.numel() * each, size
    return 0, size


@contextmanager
def _attention_seen(tell: Callable[[int], object]) -> Iterator[None]:
    """Tell the operations of each product of two activations: attention, fused or not."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Products(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            made = func(*args, **(kwargs or {}))
            if func is torch.nn.functional.scaled_dot_product_attention:
                query, key = args[0], args[1]
                tell(4 * query.numel() * key.shape[-2])
            elif func in (torch.matmul, torch.bmm, torch.Tensor.matmul) and args[1].dim() > 2:
                tell(2 * args[0].numel() * args[1].shape[-1])
            return made

    with Products():
        yield


def floor_s(
    work: LeastWork, *, bytes_per_s: float, layer_flops_per_s: float, attention_flops_per_s: float
) -> tuple[float, Bound]:
    """Return the least time that a device needs for some work, and what bounds it.

    The roofline of Williams, Waterman and Patterson, CACM 52(4), 2009: the greater of reading the
    weights once and doing the arithmetic, for the whole of a stage.

    Raises:
        ValueError: a rate is not above 0.
    """
    if not all(rate > 0 for rate in (bytes_per_s, layer_flops_per_s, attention_flops_per_s)):
        raise ValueError("rates must be above 0")
    reading = work.weight_bytes / bytes_per_s
    computing = work.layer_flops / layer_flops_per_s + work.attention_flops / attention_flops_per_s
    return (reading, "memory") if reading >= computing else (computing, "arithmetic")
