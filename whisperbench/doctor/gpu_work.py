"""What the doctor does to a device to see how it takes it, with torch and bitsandbytes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from whisperbench.asked.precisions import PRECISIONS
from whisperbench.errors import one_line

LOAD_S = 0.5
"""How long clocks are watched under load: they rise in tens of ms, NVML renews them every 100."""


class NativeLibrary(NamedTuple):
    """What bitsandbytes loaded of its own."""

    cuda: bool
    file: str
    trouble: str


@contextmanager
def hold(torch_name: str, size_bytes: int) -> Iterator[None]:
    """Hold a block of a GPU's memory; give it back to the driver afterwards."""
    import torch

    block = torch.ones(size_bytes, dtype=torch.uint8, device=torch_name)
    torch.cuda.synchronize(torch_name)
    try:
        yield
    finally:
        del block
        torch.cuda.empty_cache()


def keep_busy(torch_name: str) -> Iterator[None]:
    """Keep a GPU at work for `LOAD_S`; yield, time and again, while it works."""
    import torch

    matrix = torch.randn(4096, 4096, dtype=torch.float16, device=torch_name)
    matrix @ matrix  # loads cuBLAS
    torch.cuda.synchronize(torch_name)
    until_s = time.monotonic() + LOAD_S
    while time.monotonic() < until_s:
        for _ in range(16):  # 3 ms on an H200, 90 ms on a T4
            matrix @ matrix
        yield
        torch.cuda.synchronize(torch_name)


def native_library() -> NativeLibrary:
    """Tell which library bitsandbytes loaded: where that fails it goes on with a stand-in."""
    with _hushed():
        from bitsandbytes.cextension import lib
    # The stand-in answers any name with a function, so ask for what only a real one has.
    file = getattr(getattr(lib, "_lib", None), "_name", "")
    trouble = "" if file else one_line(getattr(lib, "error_msg", ""))
    return NativeLibrary(lib.compiled_with_cuda, Path(file).name, trouble)


def int8_error(torch_name: str) -> float:
    """Return the relative error of an LLM.int8() product, outliers included, against fp32."""
    import torch

    with _hushed():
        from bitsandbytes.nn.modules import Linear8bitLt
    kind = torch.device(torch_name).type
    dtype = getattr(torch, PRECISIONS["int8"].dtype[kind])  # type: ignore[index]
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(256, 256, generator=random)
    inputs = torch.randn(32, 256, generator=random)
    inputs[:, 7] *= 20  # beyond the threshold: an outlier feature
    layer: Any = Linear8bitLt(256, 256, bias=False, has_fp16_weights=False, threshold=6.0)
    layer.load_state_dict({"weight": weights})
    with torch.no_grad(), _hushed():
        found = layer.to(torch_name)(inputs.to(torch_name, dtype)).float().cpu()
    wanted = inputs @ weights.T
    return float((found - wanted).norm() / wanted.norm())


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the checks do with torch and bitsandbytes; tests replace what needs a GPU."""

    hold: Callable[[str, int], AbstractContextManager[None]] = hold
    keep_busy: Callable[[str], Iterable[None]] = keep_busy
    native_library: Callable[[], NativeLibrary] = native_library
    int8_error: Callable[[str], float] = int8_error


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
