"""NVIDIA GPUs through a scripted NVML: memory, and the processes that hold it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from tests.devices.scripted_nvml import (
    FIRST,
    GONE,
    PARTS,
    SECOND,
    UNSUPPORTED,
    UNSUPPORTED_CODES,
    Card,
    FakeNvml,
    Handle,
    Open,
    divided,
    one_line_of,
    whole,
)
from tests.scripted import MIB
from whisperbench.devices.device import DeviceMemory
from whisperbench.devices.nvml import NvmlDevice
from whisperbench.errors import DeviceError


def test_memory_tells_what_the_driver_reserves(device_of: Open) -> None:
    """The second version of the reading keeps the driver's own memory apart."""
    assert device_of(whole(used=7 * MIB)).memory() == DeviceMemory(
        used_bytes=7 * MIB, total_bytes=140_000 * MIB, reserved_bytes=500 * MIB
    )


@pytest.mark.parametrize("code", UNSUPPORTED_CODES)
def test_memory_of_an_old_driver(device_of: Open, code: int) -> None:
    """Without the second version the first is read, and nothing is said of what is reserved."""
    nvml = whole(used=7 * MIB)

    def first_only(handle: Handle, version: int | None = None) -> Any:
        if version is not None:
            raise pynvml.NVMLError(code)
        return nvml.memory_of(handle)

    nvml.functions["nvmlDeviceGetMemoryInfo"] = first_only
    assert device_of(nvml).memory() == DeviceMemory(
        used_bytes=507 * MIB, total_bytes=140_000 * MIB, reserved_bytes=None
    )


def test_memory_that_cannot_be_read_is_an_error(device_of: Open) -> None:
    """A failed reading is one line that says what failed, and never a zero."""
    nvml = whole().fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlDeviceGetMemoryInfo")
    with pytest.raises(DeviceError, match="memory: Unknown Error") as caught:
        device_of(nvml).memory()
    one_line_of(caught)
    assert nvml.calls.count("nvmlDeviceGetMemoryInfo") == 1, "the first version was tried too"


def test_memory_that_no_version_gives_is_an_error(device_of: Open) -> None:
    """Where neither version is supported, memory is not left out: it is what is measured."""
    with pytest.raises(DeviceError, match="memory: Not Supported"):
        device_of(whole().fails(UNSUPPORTED, "nvmlDeviceGetMemoryInfo")).memory()


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("nvmlDeviceGetMemoryInfo", NvmlDevice.memory),
        ("nvmlDeviceGetComputeRunningProcesses", lambda device: device.processes(1)),
        ("nvmlDeviceGetCurrentClocksEventReasons", NvmlDevice.conditions),
        ("nvmlDeviceGetFieldValues", NvmlDevice.conditions),
        ("nvmlDeviceGetClockInfo", NvmlDevice.conditions),
        ("nvmlDeviceGetTemperature", NvmlDevice.conditions),
        ("nvmlDeviceGetTotalEnergyConsumption", NvmlDevice.energy_j),
    ],
)
def test_a_lost_gpu_is_told_by_every_reading(
    device_of: Open, name: str, look: Callable[[NvmlDevice], object]
) -> None:
    """A GPU that has dropped off the bus is an error with the remedy, whatever is read."""
    with pytest.raises(DeviceError, match=r"dropped off the bus: .*reboot") as caught:
        look(device_of(whole().fails(GONE, name)))
    one_line_of(caught)


def test_processes_hold_memory(device_of: Open) -> None:
    """All of a card's processes are there, and none of another card's."""
    nvml = FakeNvml(
        Card(f"GPU-{SECOND}", held={3: 1}), Card(f"GPU-{FIRST}", held={12: 5 * MIB, 13: MIB})
    )
    assert device_of(nvml).processes(12) == {12: 5 * MIB, 13: MIB}
    assert device_of(nvml).processes(99) == {12: 5 * MIB, 13: MIB}


@pytest.mark.parametrize("hidden", [None, 0])
def test_a_hidden_figure_is_not_a_zero(device_of: Open, hidden: int | None) -> None:
    """Where the driver hides a figure (WSL, some containers), the process is there without one."""
    assert device_of(whole(held={12: hidden})).processes(12) == {12: None}


def test_two_processes_without_an_id_are_two(device_of: Open) -> None:
    """Processes whose ids a container hides do not collapse into one."""
    nvml = whole()
    hidden = [SimpleNamespace(pid=0, usedGpuMemory=None) for _ in range(2)]
    nvml.functions["nvmlDeviceGetComputeRunningProcesses"] = lambda _handle: hidden
    found = device_of(nvml).processes(12)
    assert len(found) == 2
    assert all(pid < 0 for pid in found)


def test_clients_of_mps_are_processes_too(device_of: Open) -> None:
    """Under MPS, NVML lists its clients apart from other processes; here they are one list."""
    nvml = whole(held={12: MIB})
    nvml.cards[0].held_by_mps = {13: 2 * MIB}
    assert device_of(nvml).processes(12) == {12: MIB, 13: 2 * MIB}


def test_a_parts_processes_are_its_own(device_of: Open) -> None:
    """On a part of a GPU, the processes of the other parts are not there."""
    nvml = divided(2)
    parts = nvml.cards[1].parts
    assert parts is not None
    nvml.cards[1].held = {1: None, 2: None}
    parts[0].held, parts[1].held = {1: MIB}, {2: MIB}
    assert device_of(nvml, f"MIG-{PARTS[0]}").processes(1) == {1: MIB}


@pytest.mark.parametrize("code", UNSUPPORTED_CODES)
def test_processes_that_are_not_told_are_none(device_of: Open, code: int) -> None:
    """A card that does not list its processes gives an empty list."""
    nvml = whole(held={12: 1}).fails(code, "nvmlDeviceGetComputeRunningProcesses")
    assert device_of(nvml).processes(12) == {}


def test_processes_of_a_driver_older_than_pynvml(device_of: Open) -> None:
    """A driver without the list's newest form, for which pynvml raises no NVMLError, lists none."""
    nvml = whole(held={12: 1})
    nvml.functions["nvmlDeviceGetComputeRunningProcesses"] = pynvml.NVMLLibraryMismatchError(
        "Unversioned function called and the pyNVML version does not match the NVML lib version."
    )
    assert device_of(nvml).processes(12) == {}
