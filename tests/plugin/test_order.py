"""The order of benchmarks, and which of them hold a model for an early answer alone."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from whisperbench.asked.checkout import BENCHMARKS
from whisperbench.plugin.collecting import block_of, put_in_order

PLAN: Any = SimpleNamespace(checkpoints={"fp16": None, "int8": None})


class Item:
    """As much of a benchmark as its order needs."""

    def __init__(self, name: str, checkpoint: str, *needs: str) -> None:
        self.name, self.path = f"{name} {checkpoint}", BENCHMARKS / "test_made_up.py"
        own = "fresh_checkpoint" if "a fresh process" in needs else "loaded_model"
        self.callspec = SimpleNamespace(params={own: checkpoint})
        self.session = SimpleNamespace(items=[])
        self._marks = [SimpleNamespace(args=needs, kwargs={})]

    def iter_markers(self, _name: str) -> list[Any]:
        """Return what it needs."""
        return self._marks


def made() -> list[pytest.Item]:
    """Make up a benchmark of each kind in two precisions, in the order of files."""
    kinds: dict[str, tuple[str, ...]] = {
        "cost": (),
        "memory": ("a fresh process", "an idle device"),
        "numerics": ("a precision other than fp32",),
        "stages": (),
        "startup": ("a fresh process",),
        "transcribe": ("an early answer",),
    }
    return [
        cast("pytest.Item", Item(kind, checkpoint, *needs))
        for kind, needs in kinds.items()
        for checkpoint in PLAN.checkpoints
    ]


def names(items: Sequence[pytest.Item]) -> list[str]:
    """Return what the items are called."""
    return [item.name for item in items]


def test_start_up_comes_last_where_processes_share_the_device() -> None:
    """Memory, transcription, the rest of each checkpoint with words last, start-up."""
    items = made()
    put_in_order(PLAN, items)
    assert names(items) == [
        *("memory fp16", "memory int8", "transcribe fp16", "transcribe int8"),
        *("cost fp16", "stages fp16", "numerics fp16"),
        *("cost int8", "stages int8", "numerics int8"),
        *("startup fp16", "startup int8"),
    ]


def test_start_up_comes_before_a_model_where_one_process_has_the_device() -> None:
    """In the compute mode "exclusive process" no other can start once this one has a context."""
    items = made()
    put_in_order(PLAN, items, one_process=True)
    assert names(items)[2:5] == ["startup fp16", "startup int8", "transcribe fp16"]


def test_a_block_ends_where_another_checkpoint_is_loaded() -> None:
    """What one loading serves: the early answer alone where another precision follows it."""
    items = made()
    put_in_order(PLAN, items)
    for item in items:
        item.session.items = items
    assert names(block_of(items[2])) == ["transcribe fp16"]
    assert names(block_of(items[4])) == ["cost fp16", "stages fp16", "numerics fp16"]
    alone = [item for item in items if "int8" in item.name]
    for item in alone:
        item.session.items = alone
    assert names(block_of(alone[1])) == names(alone[1:])
