"""Trials of a device: memory held, work done, an int8 product by bitsandbytes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from whisperbench.asked.precisions import PRECISIONS
from whisperbench.errors import one_line

if TYPE_CHECKING:
    from whisperbench.devices.accelerator import Accelerator

LOAD_S = 0.5
"""How long clocks are watched under load: they rise in tens of ms, NVML renews them every 100."""


class NativeLibrary(NamedTuple):
    """What bitsandbytes loaded of its own."""

    cuda: bool
    file: str
    trouble: str


def torch_version() -> str:
    """Return torch's version, with the build that it is."""
    import torch

    return torch.__version__


@contextmanager
def hold(accelerator: Accelerator, size_bytes: int) -> Iterator[None]:
    """Hold a block of a device's memory; give it back to the driver afterwards."""
    import torch

    block = torch.ones(size_bytes, dtype=torch.uint8, device=accelerator.torch_device)
    accelerator.synchronize()
    try:
        yield
    finally:
        del block
        accelerator.empty_cache()


def keep_busy(accelerator: Accelerator) -> Iterator[None]:
    """Keep a GPU at work for `LOAD_S`; yield, time and again, while it works."""
    import torch

    device = accelerator.torch_device
    matrix = torch.randn(4096, 4096, dtype=torch.float16, device=device)
    matrix @ matrix  # loads cuBLAS
    accelerator.synchronize()
    until_s = time.monotonic() + LOAD_S
    while time.monotonic() < until_s:
        for _ in range(16):  # 3 ms on an H200, 90 ms on a T4
            matrix @ matrix
        yield
        accelerator.synchronize()


def native_library() -> NativeLibrary:
    """Tell which library bitsandbytes loaded: where that fails it goes on with a stand-in."""
    with _hushed():
        from bitsandbytes.cextension import lib
    # The stand-in answers any name with a function, so ask for what only a real one has.
    file = getattr(getattr(lib, "_lib", None), "_name", "")
    trouble = "" if file else one_line(getattr(lib, "error_msg", ""))
    return NativeLibrary(lib.compiled_with_cuda, Path(file).name, trouble)


def int8_error(accelerator: Accelerator) -> float:
    """Return the relative error of an LLM.int8() product, outliers included, against fp32."""
    import torch

    with _hushed():
        from bitsandbytes.nn.modules import Linear8bitLt
    device = accelerator.torch_device
    name = PRECISIONS["int8"].dtype_on(on_host=accelerator.on_host, saved="")
    dtype: torch.dtype = getattr(torch, name)
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(256, 256, generator=random)
    inputs = torch.randn(32, 256, generator=random)
    inputs[:, 7] *= 20  # beyond the threshold: an outlier feature
    layer: Any = Linear8bitLt(256, 256, bias=False, has_fp16_weights=False, threshold=6.0)
    layer.load_state_dict({"weight": weights})
    with torch.no_grad(), _hushed():
        found = layer.to(device)(inputs.to(device, dtype)).float().cpu()
    wanted = inputs @ weights.T
    return float((found - wanted).norm() / wanted.norm())


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What the doctor's checks do with torch and bitsandbytes; tests replace what needs a GPU."""

    torch_version: Callable[[], str] = torch_version
    hold: Callable[[Accelerator, int], AbstractContextManager[None]] = hold
    keep_busy: Callable[[Accelerator], Iterable[None]] = keep_busy
    native_library: Callable[[], NativeLibrary] = native_library
    int8_error: Callable[[Accelerator], float] = int8_error


@contextmanager
def _hushed() -> Iterator[None]:
    """Hold back what bitsandbytes logs, tracebacks among it: a check's finding says it instead."""
    logger = logging.getLogger("bitsandbytes")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
