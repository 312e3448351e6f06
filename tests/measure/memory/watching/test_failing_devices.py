"""A device that fails, before, during and after the pass."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests import workloads
from tests.measure.memory.watching.made_up import (
    CONTEXT,
    LOAD,
    START,
    Processes,
    a_gpu,
    a_play,
    refused,
)
from tests.scripted import ScriptedDevice, taken
from tests.workloads import GONE, Card, play
from whisperbench.devices.device import DeviceMemory
from whisperbench.errors import DeviceError
from whisperbench.measure.memory import watching
from whisperbench.measure.memory.probe import COST_READINGS
from whisperbench.measure.memory.watched import PHASES, Phase
from whisperbench.measure.memory.watching import measure_memory
from whisperbench.plugin.outcomes import failed_as


def test_a_device_that_fails_at_the_beginning(card: Card) -> None:
    """A driver that does not answer is told as it is, and nothing is started."""
    lost = DeviceError("NVML does not answer")
    for device in (ScriptedDevice(memory=lost), ScriptedDevice(memory=taken(1), processes=lost)):
        with pytest.raises(DeviceError, match="NVML does not answer"):
            measure_memory(a_play(card), device, target=play)
    assert card.pid == 0
    assert failed_as(lost) == "invalid"


def fail_in(card: Card, place: int, error: BaseException) -> Callable[[DeviceMemory], DeviceMemory]:
    """Return a reading of the memory that fails once the cell is so far."""

    def read(true: DeviceMemory) -> DeviceMemory:
        if card.pid and card.place >= place:
            raise error
        return true

    return read


@pytest.mark.parametrize(
    ("phase", "error", "told"),
    [
        ("start", DeviceError("NVML fails to read memory:\nGPU is lost"), "memory: GPU is lost"),
        ("load", OSError("library unloaded"), "OSError: library unloaded"),
        ("steady call", DeviceError("GPU is lost"), "GPU is lost"),
    ],
)
def test_a_device_that_is_lost_in_mid_pass(
    card: Card, phase: Phase, error: Exception, told: str
) -> None:
    """The pass is invalid, with what was seen until then, and the cell is stopped."""
    device = a_gpu(card, memory=fail_in(card, PHASES.index(phase), error))
    found = refused(a_play(card), device, f"the probe died after [0-9]+ polls: .*{told}")
    polls = int(str(found).partition("after ")[2].split()[0])
    before_the_cell = watching.IDLE_READINGS + 1 + COST_READINGS
    assert polls == device.looks["memory"] - before_the_cell - 1


def test_a_process_list_that_is_lost_in_mid_pass(card: Card) -> None:
    """It is no matter which reading fails."""

    def processes(found: Processes) -> Processes:
        if card.is_in("load"):
            raise DeviceError("NVML fails to read processes: Unknown Error")
        return found

    device = a_gpu(card, processes=processes)
    refused(a_play(card), device, "the probe died after [0-9]+ polls: NVML fails to read processes")


def test_a_device_that_is_lost_while_the_cell_computes(card: Card) -> None:
    """A probe that dies is noticed at once, and not when the cell has its next word."""
    device = a_gpu(card, memory=fail_in(card, 2, DeviceError("GPU is lost")))
    refused(a_play(card, START, CONTEXT, ending=workloads.hang), device, "probe died.*GPU is lost")


def test_a_device_that_is_lost_after_the_pass(card: Card) -> None:
    """A device that fails once the cell is through leaves its growth without a second end."""
    device = a_gpu(card, memory=fail_in(card, GONE, DeviceError("GPU is lost")))
    with pytest.raises(DeviceError, match="GPU is lost"):
        measure_memory(a_play(card), device, target=play)
    other = Card()
    device = a_gpu(other, memory=lambda read: None if other.place == GONE else read)
    with pytest.raises(DeviceError, match="memory was not readable after the pass"):
        measure_memory(a_play(other), device, target=play)


def test_a_device_that_hangs(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that does not come back is given up on, and not waited for afterwards either."""
    monkeypatch.setattr(watching, "PROBE_TIMEOUT_S", 0.3)
    leave = threading.Event()
    waited_out = []

    def hangs(read: DeviceMemory) -> DeviceMemory:
        if card.is_in("load"):
            waited_out.append(not leave.wait(3.0))
        return read

    steps = (START, CONTEXT, LOAD._replace(seen=False))
    device = a_gpu(card, memory=hangs)
    refused(
        a_play(card, *steps),
        device,
        r"the probe died after [0-9]+ polls: no reading within 0\.?3? s",
    )
    leave.set()
    assert waited_out in ([], [False])
