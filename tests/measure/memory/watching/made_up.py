"""A made-up cell with made-up memory of a made-up card, and the scripted device that sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests import workloads
from tests.scripted import MIB, ScriptedDevice, taken
from tests.workloads import Card, Play, Step, play
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import read_manifest
from whisperbench.asked.precisions import precision_named
from whisperbench.devices.accelerator import AllocatorLevels
from whisperbench.devices.cuda import CudaAccelerator
from whisperbench.devices.device import DeviceMemory
from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.memory.watched import Done
from whisperbench.measure.memory.watching import Footprint, measure_memory
from whisperbench.plugin.outcomes import failed_as
from whisperbench.results.ran import Ran
from whisperbench.results.records import Measurement
from whisperbench.units import mib

if TYPE_CHECKING:
    from tests.workloads import Ending


IDLE_MIB = 100.0
DRIVER_MIB = 50.0
EXTRA_MIB = 7.0
"""What the made-up driver takes for a process beside what it counts as the process's."""
STRANGER = 2**22 + 1
"""Above the highest process id that Linux gives: nobody here."""
HANG_S = 30.0
"""Far more than any wait here takes: one that reaches it hangs."""


def levels(
    allocated: float, reserved: float, peak_allocated: float, peak_reserved: float
) -> AllocatorLevels:
    """Return what torch counts, given in MiB."""
    return AllocatorLevels(
        allocated_bytes=round(allocated * MIB),
        reserved_bytes=round(reserved * MIB),
        peak_allocated_bytes=round(peak_allocated * MIB),
        peak_reserved_bytes=round(peak_reserved * MIB),
    )


START = Step()
CONTEXT = Step(300, 300, levels(0.5, 2, 0.5, 2))
LOAD = Step(700, 640, levels(280, 330, 360, 390))
SETTLE = Step(640, 600, levels(270, 290, 280, 330))
FIRST = Step(800, 750, levels(275, 400, 410, 480))
STEADY = Step(760, 760, levels(275, 405, 405, 420))
LEFT_OR_ZERO = "(0|307)"
"""Growth that is seen in loading where the device does not move then: the poll that the phase
begins with may still see what the context left."""
STEPS = (START, CONTEXT, LOAD, SETTLE, FIRST, STEADY)
DONE = Done(weight_bytes=250 * MIB, ran=Ran(weights={"float16": 250 * MIB}, computes_in="float16"))
FINE = partial(workloads.say, DONE)


def a_play(card: Card, *steps: Step, ending: Ending = FINE) -> Play:
    """Ask for a made-up cell; without steps for one that goes through all phases."""
    return Play(
        model="made-up",
        folder="",
        precision=precision_named("int8"),
        attention="sdpa",
        accelerator=CudaAccelerator("cuda:0"),
        clip=read_manifest(CLIPS_FOLDER)["yes"],
        batch_size=1,
        tokens=2,
        card=card,
        steps=steps or STEPS,
        ending=ending,
    )


Processes = Mapping[int, int | None]


def a_gpu(
    card: Card,
    *,
    memory: Callable[[DeviceMemory], DeviceMemory | None] = lambda memory: memory,
    processes: Callable[[Processes], Processes] = lambda processes: processes,
) -> ScriptedDevice:
    """Return a GPU on which the cell of a card runs.

    Args:
        card: what the cell holds.
        memory: makes another reading of the true one.
        processes: the same for the processes.
    """

    def read_memory() -> DeviceMemory | None:
        held = mib(card.held)
        return memory(taken(IDLE_MIB + held + (EXTRA_MIB if held else 0.0), DRIVER_MIB))

    def read_processes() -> Processes:
        found = processes({card.pid: card.held} if card.held else {})
        card.looked()
        return found

    return ScriptedDevice(memory=read_memory, processes=read_processes)


def figures(footprint: Footprint | Measurement) -> dict[str, float]:
    """Return the values of the metrics by name."""
    if isinstance(footprint, Footprint):
        return footprint.values
    return {metric.name: metric.value or 0.0 for metric in footprint.metrics}


def refused(
    request: CellRequest, device: Any, match: str, *, timeout_s: float = HANG_S
) -> InvalidMeasurementError:
    """Run a pass that is invalid, for a reason that is one line and names the cell."""
    with pytest.raises(InvalidMeasurementError, match=match) as caught:
        measure_memory(request, device, target=play, timeout_s=timeout_s)
    assert str(caught.value).startswith("memory of made-up in int8")
    assert "\n" not in str(caught.value)
    assert failed_as(caught.value) == "invalid"
    if isinstance(request, Play) and request.card.pid:
        assert not psutil.pid_exists(request.card.pid)
    return caught.value
