"""The parts that `whisperbench ab` runs the suite in: what one execution decides, and wall time.

It starts pytest for each, and says by environment variables which part and, where two processes
take turns, how to reach it. Benchmarks of wall time have the marker `wall`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

import pytest

from whisperbench.measure.turns.messages import PART_VARIABLE, TURNS_VARIABLE, Channel, Part
from whisperbench.plugin.needs import FRESH_PROCESS, needs_of
from whisperbench.plugin.session import is_benchmark, session_of
from whisperbench.record.runs import recorded

if TYPE_CHECKING:
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.measure.turns.partner import Partner


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "wall: the benchmark's figures are of wall time, which `whisperbench ab` measures apart "
        "from all others",
    )


def part() -> Part | None:
    """Return the part that this process is to run; None for all of the suite.

    Raises:
        pytest.UsageError: there is no such part, or `whisperbench ab` has not asked for it.
    """
    name = os.environ.get(PART_VARIABLE)
    if name is None:
        return None
    for known in get_args(Part):
        # One that is left over in an environment would leave out what nobody asked to leave out.
        if name == known and recorded():
            return known  # type: ignore[no-any-return]
    raise pytest.UsageError(f"{PART_VARIABLE} is whisperbench ab's own: unset it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what belongs to another part."""
    if session_of(config) is None or (mine := part()) is None:
        return
    left_out = [item for item in items if is_benchmark(item) and not _belongs(item, mine)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _belongs(item: pytest.Item, mine: Part) -> bool:
    wall = item.get_closest_marker("wall") is not None
    if mine == "counts":
        return not wall
    # What takes a fresh process for each round has no process that could take turns.
    timed = wall and FRESH_PROCESS not in needs_of(item)
    counted = "count_cost" in getattr(item, "fixturenames", ())
    return (timed and mine != "cost") or (counted and mine != "wall")


def partner_of(
    items: Sequence[pytest.Item], accelerator: Accelerator, warmup_rounds: int
) -> Partner | None:
    """Return whom this process takes turns with, having said what it will time; None for nobody.

    Raises:
        pytest.UsageError: the environment variable is not what `whisperbench ab` sets.
    """
    said = os.environ.get(TURNS_VARIABLE)
    if said is None:
        return None
    from whisperbench.measure.turns.partner import Partner

    try:
        read_fd, write_fd = map(int, said.split(","))
        found = Partner(Channel(read_fd, write_fd), accelerator)
        found.introduce([item.nodeid for item in items if is_benchmark(item)], warmup_rounds)
    except (ValueError, OSError):
        raise pytest.UsageError(f"{TURNS_VARIABLE} is whisperbench ab's own: unset it") from None
    return found
