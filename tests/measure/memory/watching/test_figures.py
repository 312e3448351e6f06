"""The figures of the memory pass: each of its own phase and its own source."""

from __future__ import annotations

import os

import pytest

from tests.measure.memory.watching.made_up import (
    CONTEXT,
    FIRST,
    IDLE_MIB,
    SETTLE,
    START,
    STEADY,
    a_gpu,
    a_play,
    figures,
    levels,
    refused,
)
from tests.scripted import MIB, taken
from tests.workloads import Card, Step, play
from whisperbench.measure.memory import probe as probe_module
from whisperbench.measure.memory import watching
from whisperbench.measure.memory.plausibility import MIN_POLLS
from whisperbench.measure.memory.watched import PHASES
from whisperbench.measure.memory.watching import measure_memory
from whisperbench.results.metrics import figures as make_figures
from whisperbench.units import mib


@pytest.mark.parametrize("still_interval_s", [0.0, probe_module.STILL_INTERVAL_S])
def test_the_figures_of_a_known_script(
    card: Card, monkeypatch: pytest.MonkeyPatch, still_interval_s: float
) -> None:
    """Each figure is of its own phase and its own source, and none is left out or made up."""
    monkeypatch.setattr(probe_module, "STILL_INTERVAL_S", still_interval_s)
    footprint = measure_memory(a_play(card), a_gpu(card), target=play)
    assert figures(footprint) == {
        "weight_mib": 250,
        "context_mib": 298,  # without the block that torch holds
        "load_peak_allocated_mib": 360,
        "load_peak_reserved_mib": 390,
        "load_peak_process_mib": 700,
        "load_peak_device_mib": 707,
        "first_call_peak_allocated_mib": 410,
        "first_call_peak_reserved_mib": 480,
        "first_call_peak_process_mib": 800,
        "first_call_peak_device_mib": 807,
        "steady_call_peak_allocated_mib": 405,
        "steady_call_peak_reserved_mib": 420,
        "steady_call_peak_process_mib": 760,
        "steady_call_peak_device_mib": 767,
        "peak_allocated_mib": 410,
        "peak_reserved_mib": 480,
        "peak_process_mib": 800,
        "peak_device_mib": 807,
        "driver_reserved_mib": 50,
    }
    metrics = make_figures(footprint.values)
    assert {metric.unit for metric in metrics} == {"MiB"}
    assert {metric.better for metric in metrics} == {"lower"}
    assert [metric.name for metric in metrics if metric.kind != "memory"] == ["weight_mib"]
    assert footprint.ran_out == ""
    assert footprint.seconds > 0.0


def test_the_peak_of_loading_can_be_the_highest(card: Card) -> None:
    """A peak of the whole pass is the highest of its phases, whichever that is."""
    load = Step(900, 640, levels(280, 330, 850, 880))
    footprint = measure_memory(
        a_play(card, START, CONTEXT, load, SETTLE, FIRST, STEADY), a_gpu(card), target=play
    )
    found = figures(footprint)
    for kind, peak in {"allocated": 850, "reserved": 880, "process": 900, "device": 907}.items():
        assert found[f"load_peak_{kind}_mib"] == found[f"peak_{kind}_mib"] == peak
    assert found["first_call_peak_process_mib"] == 800


def test_the_result_says_how_it_was_measured(card: Card) -> None:
    """Which figure is judged, how often was polled and at what price, and the idle level."""
    device = a_gpu(card)
    found = measure_memory(a_play(card), device, target=play).found
    assert found.judged == "process (NVML)"
    assert found.idle_device_mib == IDLE_MIB
    # What was read before and after the pass is no poll.
    assert len(PHASES) * MIN_POLLS <= found.polls < device.looks["memory"] - watching.IDLE_READINGS
    assert (found.process_poll_interval_ms or 0.0) >= found.poll_interval_ms >= 1.0
    assert min(found.longest_gap_ms, found.poll_cost_us or 0.0, found.ready_s or 0.0) > 0.0


def test_only_the_cell_is_watched(card: Card) -> None:
    """The probe asks for the memory of the cell's process; this one's is asked for before it."""
    device = a_gpu(card)
    measure_memory(a_play(card), device, target=play)
    assert set(device.watched) == {os.getpid(), card.pid}
    assert device.watched[-1] == card.pid


def test_a_known_process_here_is_no_stranger(card: Card) -> None:
    """This process may be on the device itself; what it holds is part of the idle level."""
    device = a_gpu(card, processes=lambda found: {**found, os.getpid(): 20 * MIB})
    footprint = measure_memory(a_play(card), device, target=play)
    assert figures(footprint)["peak_process_mib"] == 800


def test_the_idle_level_is_no_outlier(card: Card) -> None:
    """One odd reading among those of the idle device moves nothing."""
    level = iter([500.0])
    device = a_gpu(card, memory=lambda read: taken(next(level, mib(read.used_bytes))))
    footprint = measure_memory(a_play(card), device, target=play)
    assert footprint.found.idle_device_mib == IDLE_MIB
    assert figures(footprint)["peak_device_mib"] == 807


def test_a_driver_that_tells_nothing_apart(card: Card) -> None:
    """Where the driver's own share is not told, there is no such figure, and no zero."""
    device = a_gpu(card, memory=lambda read: taken(mib(read.used_bytes)))
    found = figures(measure_memory(a_play(card), device, target=play))
    assert "driver_reserved_mib" not in found
    assert found["peak_device_mib"] == 807


def test_a_gpu_without_a_level_is_not_believed(card: Card) -> None:
    """A GPU that does not tell its fill cannot be held against anything, and is no host."""
    refused(a_play(card), a_gpu(card, memory=lambda _: None), "memory was not readable")
