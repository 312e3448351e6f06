"""Cells that run out of memory: how far they got is their result."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from fixtures.memory import MemoryOfCell
from tests import workloads
from tests.scripted import taken
from tests.workloads import Card, play
from whisperbench.errors import InvalidMeasurementError, OverLimitError
from whisperbench.measure.memory.watched import Failed
from whisperbench.measure.memory.watching import Footprint, measure_memory
from whisperbench.plugin.outcomes import failed_as
from whisperbench.results.passes import MemoryResult

if TYPE_CHECKING:
    from tests.workloads import Ending
from tests.measure.memory.watching.made_up import (
    CONTEXT,
    IDLE_MIB,
    LEFT_OR_ZERO,
    START,
    STEPS,
    STRANGER,
    a_gpu,
    a_play,
    figures,
    levels,
    refused,
)


def test_out_of_memory_in_loading(card: Card) -> None:
    """A card that is full is a result: how far the cell got, with the figures so far."""
    message = "loading made-up in int8 on cuda:0: out of memory on cuda:0"
    last = Failed(
        message=message, phase="load", out_of_memory=True, levels=levels(500, 520, 540, 560)
    )
    request = a_play(card, START, CONTEXT, ending=partial(workloads.overfill, 850.0, last))
    footprint = measure_memory(request, a_gpu(card), target=play)
    assert footprint.ran_out == (
        f"{message}; it got as far as the phase 'load' and 850 MiB (process), 857 MiB (device), "
        "560 MiB (reserved), 540 MiB (allocated)"
    )
    assert figures(footprint) == {
        "context_mib": 298,
        "load_peak_allocated_mib": 540,
        "load_peak_reserved_mib": 560,
        "load_peak_process_mib": 850,
        "load_peak_device_mib": 857,
        "peak_allocated_mib": 540,
        "peak_reserved_mib": 560,
        "peak_process_mib": 850,
        "peak_device_mib": 857,
        "driver_reserved_mib": 50,
    }
    assert footprint.found.judged == "process (NVML)"


def test_out_of_memory_in_the_first_call(card: Card) -> None:
    """What was measured before stays; the weights are not known where the cell was not through."""
    last = Failed(
        message="full", phase="first call", out_of_memory=True, levels=levels(300, 500, 600, 700)
    )
    request = a_play(card, *STEPS[:4], ending=partial(workloads.overfill, 880.0, last))
    footprint = measure_memory(request, a_gpu(card), target=play)
    assert "the phase 'first call' and 880 MiB (process), 887 MiB (device)" in footprint.ran_out
    found = figures(footprint)
    assert found["load_peak_process_mib"] == 700
    assert found["load_peak_allocated_mib"] == 360
    assert found["first_call_peak_process_mib"] == found["peak_process_mib"] == 880
    assert found["first_call_peak_allocated_mib"] == found["peak_allocated_mib"] == 600
    assert not [name for name in found if "steady" in name or "weight" in name]


def test_out_of_memory_on_a_shared_card_is_no_result(card: Card) -> None:
    """A card that somebody else has filled says nothing about this cell."""
    last = Failed(message="full", phase="load", out_of_memory=True, levels=None)
    request = a_play(card, START, CONTEXT, ending=partial(workloads.overfill, 850.0, last))
    device = a_gpu(
        card, processes=lambda found: {**found, STRANGER: None} if card.is_in("load") else found
    )
    refused(request, device, f"process {STRANGER} is on the device during the pass")


def test_out_of_memory_with_a_probe_that_reads_elsewhere(card: Card) -> None:
    """How far it got is held against torch's count too."""
    last = Failed(
        message="full", phase="load", out_of_memory=True, levels=levels(500, 520, 540, 560)
    )
    request = a_play(card, START, CONTEXT, ending=partial(workloads.overfill, 850.0, last))
    device = a_gpu(card, memory=lambda read: taken(IDLE_MIB) if card.is_in("load") else read)
    refused(request, device, f"phase 'load': .* memory grow by {LEFT_OR_ZERO} MiB while")


def test_out_of_memory_of_a_gpus_host_is_a_fault(card: Card) -> None:
    """The host's memory is not the card's: running out of it says nothing about the card."""
    message = "loading made-up in int8 on cuda:0: the host is out of memory"
    last = Failed(message=message, phase="load", out_of_memory=False)
    request = a_play(card, START, CONTEXT, ending=partial(workloads.say, last))
    refused(request, a_gpu(card), f"while in phase 'load': {message}")


def test_out_of_memory_fails_the_benchmark_over_its_limit() -> None:
    """The benchmark fails and says how far it got; in the manifest it stands as over a limit."""
    found = MemoryResult(judged="process (NVML)", polls=9, poll_interval_ms=1, longest_gap_ms=1)
    ran_out = "full in 'load' and 9 MiB"
    footprint = Footprint(values={}, found=found, ran_out=ran_out, seconds=1.0)
    cell: Any = MemoryOfCell(key=None, run=None, limits=None)  # type: ignore[arg-type]
    assert cell.judge(None, footprint) == ()
    with pytest.raises(OverLimitError, match="full in 'load' and 9 MiB") as caught:
        cell.require_kept(footprint, ())
    assert failed_as(caught.value) == "over-limit"


def test_a_failed_pass_spoils_no_other(card: Card) -> None:
    """After each way to fail, the next cell is measured as if nothing had been."""
    full = Failed(message="full", phase="load", out_of_memory=True)
    endings: tuple[Ending, ...] = (
        workloads.raise_error,
        partial(workloads.exit_with, 3),
        partial(workloads.signal_itself, signal.SIGKILL),
        partial(workloads.say, full),
        partial(workloads.say, Failed(message="x", phase="load", out_of_memory=False)),
    )
    first = figures(measure_memory(a_play(card), a_gpu(card), target=play))
    for ending in endings:
        failing = Card()
        request = a_play(failing, START, CONTEXT, ending=ending)
        try:
            assert measure_memory(request, a_gpu(failing), target=play).ran_out
        except InvalidMeasurementError:
            assert ending is not endings[3]
        fine = Card()
        assert figures(measure_memory(a_play(fine), a_gpu(fine), target=play)) == first
