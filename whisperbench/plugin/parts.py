"""The parts that `whisperbench ab` runs the suite in: what one execution decides, and wall time.

It starts pytest for each, and says by environment variables which part and, where two processes
take turns, how to reach it. Benchmarks of wall time have the marker `wall`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, get_args

import pytest

from whisperbench.measure.turns.messages import (
    PART_VARIABLE,
    TURNS_VARIABLE,
    Begin,
    Channel,
    Part,
)
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


def wait_for_pair(session: pytest.Session) -> Channel | None:
    """Import what all cells need, wait for the turn of this process's pair, and drop what is known.

    `whisperbench ab` starts the processes of a pair while the one before still measures, so nothing
    here touches a device.

    Returns:
        The channel to `whisperbench ab`; None where this process takes turns with nobody.

    Raises:
        pytest.UsageError: the environment variable is not what `whisperbench ab` sets.
        KeyboardInterrupt: `whisperbench ab` is gone, or needs this pair no more.
    """
    said = os.environ.get(TURNS_VARIABLE)
    if said is None:
        return None
    from whisperbench.measure.fresh import preload

    with _own_variable():
        read_fd, write_fd = map(int, said.split(","))
        channel = Channel(read_fd, write_fd)
        for descriptor in (read_fd, write_fd):
            os.fstat(descriptor)
    preload()
    with _own_variable():
        try:
            left_out = channel.receive(Begin).left_out
        except EOFError:
            raise KeyboardInterrupt from None
    known = [item for item in session.items if item.nodeid in left_out]
    if known:
        session.config.hook.pytest_deselected(items=known)
        session.items[:] = [item for item in session.items if item not in known]
    return channel


def partner_of(
    channel: Channel, items: Sequence[pytest.Item], accelerator: Accelerator, warmup_rounds: int
) -> Partner:
    """Return whom this process takes turns with, having said what it will time.

    Raises:
        pytest.UsageError: nobody listens.
    """
    from whisperbench.measure.turns.partner import Partner

    found = Partner(channel, accelerator)
    with _own_variable():
        found.introduce([item.nodeid for item in items if is_benchmark(item)], warmup_rounds)
    return found


@contextmanager
def _own_variable() -> Iterator[None]:
    """Refuse a variable that somebody else has set."""
    try:
        yield
    except (ValueError, OSError):
        raise pytest.UsageError(f"{TURNS_VARIABLE} is whisperbench ab's own: unset it") from None
