"""Counting Python calls, by whichever means this Python has."""

from __future__ import annotations

import sys
import threading

import pytest

from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.cost.python_calls import call_counter


def leaf() -> int:
    """Call nothing."""
    return 1


def tree(depth: int) -> int:
    """Call itself twice, down to the leaves."""
    return leaf() if depth == 0 else tree(depth - 1) + tree(depth - 1)


class Leaf:
    """Has a method."""

    def value(self) -> int:
        """Call nothing."""
        return 1


def counted(times: int) -> int:
    """Count the calls of some trees."""
    counter = call_counter()
    counter.start()
    for _ in range(times):
        tree(3)
    counter.stop()
    tree(3)  # after it: not counted
    return counter.calls.total()


def test_calls_are_counted_exactly() -> None:
    """A tree of depth 3 is 15 calls and 8 leaves, each time."""
    assert counted(2) - counted(1) == 23
    assert counted(5) == counted(5)


def test_calls_are_told_apart_by_function() -> None:
    """A function is named by its file and its place there, one within another and a method too."""

    def inner() -> int:
        return Leaf().value()

    counter = call_counter()
    counter.start()
    inner()
    counter.stop()
    assert counter.calls["test_python_calls.Leaf.value"] == 1
    assert counter.calls["test_python_calls.test_calls_are_told_apart_by_function.inner"] == 1


def test_other_threads_do_not_count() -> None:
    """What another thread calls meanwhile is not the work's."""
    counter = call_counter()
    others = [threading.Thread(target=tree, args=(8,)) for _ in range(2)]
    for other in others:
        other.start()
    counter.start()
    tree(3)
    counter.stop()
    for other in others:
        other.join()
    assert 23 <= counter.calls.total() <= 25


def test_counting_goes_on_where_it_stopped() -> None:
    """A counter that is stopped and started again adds up."""
    counter = call_counter()
    for _ in range(2):
        counter.start()
        tree(3)
        counter.stop()
    assert counter.calls["test_python_calls.tree"] == 30
    assert counter.calls["test_python_calls.leaf"] == 16


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
def test_without_a_free_slot_nothing_is_counted() -> None:
    """Where other tools hold all slots, that is said; their slots stay theirs."""
    monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    taken = [slot for slot in range(6) if monitoring.get_tool(slot) is None]
    for slot in taken:
        monitoring.use_tool_id(slot, "another")
    try:
        with pytest.raises(InvalidMeasurementError, match="coverage or profilers"):
            call_counter().start()
    finally:
        for slot in taken:
            monitoring.free_tool_id(slot)
