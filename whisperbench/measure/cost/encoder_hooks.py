"""Hooks around the encoder, which tell the stages of a decode apart while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@contextmanager
def around_encoder(
    encoder: torch.nn.Module, begin: Callable[[], object], end: Callable[[], object]
) -> Iterator[None]:
    """Call something before and after each forward pass of the encoder."""

    def before(*_: Any) -> None:  # what a hook returns would replace its module's input or output
        begin()

    def after(*_: Any) -> None:
        end()

    hooks = [encoder.register_forward_pre_hook(before), encoder.register_forward_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
