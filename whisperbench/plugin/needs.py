"""The marker by which a benchmark declares what it needs: @pytest.mark.needs("words").

A benchmark without one is asked of each checkpoint that is timed, which is loaded in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.nodes import Node

WORDS = "words"
OTHER_PRECISION = "a precision other than fp32"
BOTH_LENGTHS = "both lengths"
FRESH_PROCESS = "a fresh process"
IDLE_DEVICE = "an idle device"
OTHERS_BESIDE = "its other precisions"
EARLY_ANSWER = "an early answer"
DURATIONS = "speech of several durations"

NEEDS = {
    WORDS: "a trained model and clips with a text; it runs for the checkpoints that are heard for "
    "their words, and not for those that are timed",
    OTHER_PRECISION: "a precision that can be held against the model's own 32-bit floats; it runs "
    "for the checkpoints that are timed and those that are heard, but not in fp32 or as-saved",
    BOTH_LENGTHS: "to run with the fixed token count and, for a trained model, at natural "
    "length; the benchmark's argument `decoding` says which",
    FRESH_PROCESS: "processes of its own: it runs while this process holds no model, after all "
    "others, and its argument `fresh_checkpoint` is the id of its checkpoint",
    OTHERS_BESIDE: "to be measured by the process that measures the precisions that limits compare "
    "it with: one shard has them all",
    EARLY_ANSWER: "to run before the other benchmarks that hold a model, for it answers what is "
    "asked first: each checkpoint is loaded for it, and again for the others",
    DURATIONS: "speech of each of the profile's durations in place of its clips; its argument "
    "`audio` is one of them",
    IDLE_DEVICE: "a device that this process has not touched: it runs before all others "
    "in place of after them",
}
"""What a benchmark can need, and what that means for it."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, with what it can say."""
    values = "; ".join(f'"{name}": {meaning}' for name, meaning in NEEDS.items())
    config.addinivalue_line("markers", f"needs(*what): what a benchmark needs. {values}")


def needs_of(node: Node) -> frozenset[str]:
    """Return what a benchmark declares that it needs.

    Raises:
        pytest.Collector.CollectError: it names something that nothing is known of.
    """
    found = [(mark, value) for mark in node.iter_markers("needs") for value in mark.args]
    for mark, value in found:
        if value not in NEEDS or mark.kwargs:
            known = ", ".join(f'"{name}"' for name in NEEDS)
            raise pytest.Collector.CollectError(
                f"{node.name}: @pytest.mark.needs({value!r}): unknown; choose from {known}"
            )
    return frozenset(value for _, value in found)
