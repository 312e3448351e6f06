"""Executions that nothing looks into: what they take, and what they ask a GPU's allocator for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.cost.encoder_hooks import around_encoder
from whisperbench.results.metric_row import STAGES

if TYPE_CHECKING:
    import torch

    from whisperbench.devices.accelerator import Accelerator


@dataclass(kw_only=True)
class UnprofiledStage:
    """What a stage took and asked for in one execution that nothing looked into."""

    wall_s: float = 0.0
    requests: int = 0
    """To a GPU's allocator."""
    peak_bytes: int = 0
    """The most that was requested and held, over what was when the stage first began."""

    def asked(self) -> tuple[int, int]:
        """Return what of it is a count."""
        return self.requests, self.peak_bytes


def run_unprofiled(
    execute: Callable[[], object], encoder: torch.nn.Module, accelerator: Accelerator
) -> dict[str, UnprofiledStage]:
    """Execute, and read the clock and a GPU's allocator wherever one stage follows another."""
    found: dict[str, UnprofiledStage] = {stage: UnprofiledStage() for stage in STAGES}
    held_at_start: dict[str, int] = {}
    current, since_s, requests_before = "", 0.0, 0

    def enter(stage: str) -> None:
        nonlocal current, since_s, requests_before
        accelerator.synchronize()
        now_s = time.perf_counter()
        requests, held, peak = accelerator.take_requests()
        if current:
            left = found[current]
            left.wall_s += now_s - since_s
            left.requests += requests - requests_before
            left.peak_bytes = max(left.peak_bytes, peak - held_at_start[current])
        held_at_start.setdefault(stage, held)
        current, since_s, requests_before = stage, time.perf_counter(), requests

    with around_encoder(encoder, lambda: enter("encoder"), lambda: enter("decode")):
        enter("decode")
        execute()
        enter("")
    return found


def require_same_requests(one: dict[str, UnprofiledStage], two: dict[str, UnprofiledStage]) -> None:
    """Refuse executions that asked the GPU's allocator for other things.

    Raises:
        InvalidMeasurementError: with the stage, and what each of them asked for.
    """
    for stage in STAGES:
        if one[stage].asked() != two[stage].asked():
            raise InvalidMeasurementError(
                f"two executions of the {stage} stage did not ask for the same memory: "
                f"{one[stage].requests} and {two[stage].requests} requests, at most "
                f"{one[stage].peak_bytes} and {two[stage].peak_bytes} bytes"
            )
