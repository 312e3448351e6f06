"""The kinds of metrics: how noisy each is, and so what counts as a regression."""

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
    in_turns: float = 0.0
    """The share where base and head were measured in turns, which shows finer growth."""
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
    required: bool = True
    """Whether a figure that cannot be decided fails a comparison; suite.toml's [gate] may say
    otherwise."""
    same_device: bool = True
    """Whether base and head must have one device key. Counts say themselves what they need."""


KINDS: dict[Kind, Rule] = {
    "exact": Rule(same_device=False, agree=0.0),
    # A process on an H200 lies within 0.4 % of the median of others, three H200s within 1.6 %. All
    # of +1 % is to be caught, of which noise may so hide 0.4 %.
    "device_time": Rule(share=0.006, noise=0.004, own_spread=0.01, other_card=0.02, positive=True),
    "memory": Rule(share=0.02, absolute=8.0, noise_absolute=2.0, highest=True),
    # GPUs of one model differ by 8 % on average (Sinha et al., arXiv 2208.11035).
    # On a shared host unchanged code leaves most of its wall figures undecided, and a gate that is
    # always red is switched off: so it is not required.
    # In turns, pairs that differ by 2.5 % show 98 % of +5 % and all of +8 % within 16 of them, and
    # unchanged code to be within 5 % in 6 (docs/statistics.md).
    "wall": Rule(
        share=0.08,
        in_turns=0.05,
        noise=0.02,
        statistical=True,
        other_card=0.08,
        positive=True,
        required=False,
    ),
    "quality": Rule(agree=0.001),  # sums of floats may round otherwise
}
