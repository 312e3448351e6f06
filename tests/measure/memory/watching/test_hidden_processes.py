"""Drivers and containers that hide the cell's process, or what it holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.measure.memory.watching.made_up import (
    STRANGER,
    Processes,
    a_gpu,
    a_play,
    figures,
    refused,
)
from tests.scripted import MIB
from tests.workloads import Card, play
from whisperbench.measure.memory.watched import Phase
from whisperbench.measure.memory.watching import measure_memory


@pytest.mark.parametrize(
    "shown",
    [
        lambda pid: {pid: None},  # Windows and WSL
        lambda _pid: {},
        lambda _pid: {0: None},  # a container that sees the host's processes,
        lambda _pid: {STRANGER: None},  # by the host's ids,
        lambda _pid: {STRANGER: 600 * MIB},  # with figures or without
    ],
)
def test_a_hidden_process_is_judged_by_the_device(
    card: Card, shown: Callable[[int], Processes]
) -> None:
    """Where the process has no figure here, the device's growth stands for it, and is said to.

    The one foreign id that comes with the cell is the cell.
    """
    device = a_gpu(card, processes=lambda found: shown(card.pid) if found else {})
    footprint = measure_memory(a_play(card), device, target=play)
    found = figures(footprint)
    assert not [name for name in found if "process" in name]
    assert found["context_mib"] == 305
    assert found["load_peak_device_mib"] == 707
    assert found["peak_device_mib"] == 807
    judged = footprint.found.judged
    assert judged == "device delta (NVML), process figures are hidden"


@pytest.mark.parametrize("ids", [(STRANGER, STRANGER + 1), (-1, STRANGER)])
def test_two_strangers_are_never_one_cell(card: Card, ids: tuple[int, ...]) -> None:
    """Of two foreign ids, at least one is somebody else."""
    device = a_gpu(card, processes=lambda found: dict.fromkeys(ids) if found else {})
    error = refused(a_play(card), device, "are on the device during the pass; stop what else")
    for pid in ids:
        assert (f"process {pid}" if pid > 0 else "a process without an id") in str(error)


@pytest.mark.parametrize("phase", ["start", "settle", "first call"])
def test_a_stranger_that_comes_at_another_time_is_not_the_cell(card: Card, phase: Phase) -> None:
    """A hidden cell comes to the device with its context: who comes before or after is not it."""

    def processes(_found: Processes) -> Processes:
        return {STRANGER: None} if card.is_in(phase) else {}

    refused(a_play(card), a_gpu(card, processes=processes), f"process {STRANGER} is on the device")


def test_a_figure_that_is_hidden_half_way_is_no_peak(card: Card) -> None:
    """A process that is only seen while it holds little leaves no low peak that looks measured."""

    def processes(found: Processes) -> Processes:
        return found if card.is_in("context") else dict.fromkeys(found)

    request = a_play(card)
    refused(request, a_gpu(card, processes=processes), "process('s memory was not readable| hold )")
