"""A loop of fixed work before each round: how fast is the core just now?

Of three loops that were recorded before the same rounds on a shared H100 host, the one that waits
for the GPU after each small addition explains most of what processes differ by (docs/ab.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whisperbench.devices.accelerator import Accelerator

STEPS = 100
"""Additions of a tensor of one number, each waited for: about 1 ms on an H100's host."""


def reference_loop(
    accelerator: Accelerator, clock: Callable[[], float] = time.perf_counter
) -> Callable[[], float]:
    """Return the loop, which returns its own seconds."""
    import torch

    one = torch.zeros(1, device=accelerator.torch_device)

    def loop() -> float:
        started_s = clock()
        for _ in range(STEPS):
            one.add_(1.0)
            accelerator.synchronize()
        return clock() - started_s

    return loop
