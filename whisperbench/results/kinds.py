"""The kinds of metrics: how noisy each is, and so what counts as a regression; and who is which.

A metric that is to be gated needs one row in `METRICS`, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["exact", "device_time", "memory", "wall", "quality"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a figure of a kind has regressed."""

    share: float = 0.0
    """Growth that is allowed, as a share of the base,"""
    absolute: float = 0.0
    """and in the unit of the metric, added to it."""
    noise: float = 0.0
    """What unchanged code wobbles by, as a share: no tolerance may be finer,"""
    noise_absolute: float = 0.0
    """and in the unit of the metric."""
    statistical: bool = False
    """Whether processes differ so much that only several of them tell (docs/statistics.md)."""
    own_spread: float | None = None
    """Share by which the samples of one run, or its processes, may differ to be believed."""
    agree: float | None = None
    """Share by which the figures of processes may differ that must be the same."""
    positive: bool = False
    """Whether nothing can measure 0 of it: a 0 is a fault, and no improvement."""
    highest: bool = False
    """Whether the highest of several processes stands for them, and not the middle one."""
    other_card: float = 0.0
    """Added to the share where the GPU is another one of the same model."""
    same_device: bool = True
    """Whether base and head must have one device key. Counts say themselves what they need."""


KINDS: dict[Kind, Rule] = {
    "exact": Rule(same_device=False, agree=0.0),
    # A process on an H200 lies within 0.4 % of the median of others, three H200s within 1.6 %. All
    # of +1 % is to be caught, of which noise may so hide 0.4 %.
    "device_time": Rule(share=0.006, noise=0.004, own_spread=0.01, other_card=0.02, positive=True),
    "memory": Rule(share=0.02, absolute=8.0, noise_absolute=2.0, highest=True),
    # GPUs of one model differ by 8 % on average (Sinha et al., arXiv 2208.11035).
    "wall": Rule(share=0.08, noise=0.02, statistical=True, other_card=0.08, positive=True),
    "quality": Rule(agree=0.001),  # sums of floats may round otherwise
}

_STAGES = ("encoder", "decode")
COPY_DIRECTIONS = ("htod", "dtoh", "dtod", "ptop", "htoh", "other")
"""Which way a copy goes: from host or device to host or device, from one GPU to another, or as no
program of ours does."""
_COUNTS = (
    *("aten_ops", "other_ops", "python_calls", "allocations", "allocated_peak_mib"),
    *("kernels", "memsets", "stream_syncs", "device_syncs", "event_syncs"),
    *("weight_mib_read", "gflop"),
    *(f"copies_{direction}" for direction in COPY_DIRECTIONS),
    *(f"copy_bytes_{direction}" for direction in COPY_DIRECTIONS),
)
_PEAKS = tuple(
    f"{phase}peak_{what}_mib"
    for phase in ("", "load_", "first_call_", "steady_call_")
    for what in ("allocated", "reserved", "process", "device")
)

METRICS: dict[str, Kind] = {
    "latency_s": "wall",
    "tokens_per_s": "wall",
    "rtfx": "wall",
    "rtfx_fixed_tokens": "wall",
    "energy_j_per_audio_s": "wall",
    "overhead_ratio": "wall",
    "weight_mib": "exact",
    "wer": "quality",
    "cer": "quality",
    "wer_over_reference": "quality",
    "empty_clips": "quality",
    "looping_clips": "quality",
    "length_off_clips": "quality",
    "talking_silences": "quality",
    "logit_error": "quality",
    "top1_agreement": "quality",
    "worst_layer_error": "quality",
    **dict.fromkeys(("context_mib", "driver_reserved_mib", *_PEAKS), "memory"),
    **dict.fromkeys((f"{stage}_{count}" for stage in _STAGES for count in _COUNTS), "exact"),
    **dict.fromkeys((f"{stage}_gpu_time_ms" for stage in _STAGES), "device_time"),
}
"""Every metric of a result file, and its kind."""

PRESENT = frozenset(
    (
        *("weight_mib", "logit_error", "worst_layer_error", *_PEAKS),
        *(
            f"{stage}_{count}"
            for stage in _STAGES
            for count in (
                *("aten_ops", "python_calls", "allocations", "allocated_peak_mib"),
                *("weight_mib_read", "gflop"),
            )
        ),
    )
)
"""Metrics of which no cell can have 0, whatever their kind: what counted none was not looking."""

DERIVED = frozenset(("tokens_per_s", "rtfx", "rtfx_fixed_tokens", "wer_over_reference"))
"""Metrics that are another figure of their cell, divided by something: that one is judged."""


def can_be_zero(metric: str, kind: Kind) -> bool:
    """Whether 0 of a metric can be what was measured."""
    return not KINDS[kind].positive and metric not in PRESENT
