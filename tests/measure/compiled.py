"""Functions that torch compiles, for a test: each in a file, since their source is read."""

from __future__ import annotations

import torch


def helper(x: torch.Tensor) -> torch.Tensor:
    """Is called by what torch.jit compiles."""
    return x + 1


def scripted(x: torch.Tensor) -> torch.Tensor:
    """Is compiled by torch.jit."""
    return helper(x) * 2


def inlined(x: torch.Tensor) -> torch.Tensor:
    """Is compiled into what calls it."""
    return x - 1


def outer(x: torch.Tensor) -> torch.Tensor:
    """Is compiled by torch.compile."""
    return inlined(x) * 3
