"""NVIDIA GPUs through a scripted NVML: opening it, letting go, and looking for a GPU."""

from __future__ import annotations

from collections.abc import Callable

import pynvml
import pytest

from tests.devices.scripted_nvml import (
    GONE,
    SECOND,
    Card,
    FakeNvml,
    Open,
    one_line_of,
    whole,
)
from whisperbench.devices.nvml import NvmlDevice
from whisperbench.errors import DeviceError


def test_nvml_that_does_not_start_is_an_error(device_of: Open) -> None:
    """Without a driver each reading is one line that says what to check."""
    nvml = whole().fails(pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "nvmlInit")
    with pytest.raises(DeviceError, match=r"Driver Not Loaded; .*nvidia-smi") as caught:
        device_of(nvml).memory()
    one_line_of(caught)


@pytest.mark.parametrize(
    "error",
    [
        pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND),
        OSError("libnvidia-ml.so.1: cannot open\nshared object file"),
    ],
)
def test_without_nvml_no_gpu_is_visible(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Where NVML does not start, for whatever reason, no GPU is there, and no error."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml = whole()
    nvml.functions["nvmlInit"] = error
    assert NvmlDevice.any_visible(nvml) is False
    assert "nvmlShutdown" not in nvml.calls


def test_visible_gpus_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card is visible, none is not, and NVML is left as it was found."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for nvml, expected in ((whole(), True), (FakeNvml(), False)):
        assert NvmlDevice.any_visible(nvml) is expected
        assert nvml.initialised == 0


@pytest.mark.parametrize("hidden", ["", "-1", " "])
def test_hidden_gpus_are_not_visible(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    """What CUDA_VISIBLE_DEVICES hides is not there, whatever NVML shows."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert NvmlDevice.any_visible(whole()) is False


@pytest.mark.parametrize(
    ("name", "visible"), [("nvmlDeviceGetCount", False), ("nvmlShutdown", True)]
)
def test_looking_for_a_gpu_never_fails(
    monkeypatch: pytest.MonkeyPatch, name: str, visible: bool
) -> None:
    """A driver that fails at being counted has no GPU to use; one that fails at the end had."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml = whole().fails(pynvml.NVML_ERROR_UNKNOWN, name)
    assert NvmlDevice.any_visible(nvml) is visible
    assert nvml.initialised == (name == "nvmlShutdown")


def test_nvml_is_opened_once_and_closed(device_of: Open) -> None:
    """However much is read, NVML is initialised once, and shut down by close."""
    nvml = whole()
    device = device_of(nvml)
    assert nvml.calls == [], "naming a device opened it"
    device.facts()
    device.memory()
    device.processes(1)
    device.conditions()
    device.energy_j()
    assert (nvml.calls.count("nvmlInit"), nvml.initialised) == (1, 1)
    device.close()
    device.close()
    assert (nvml.calls.count("nvmlShutdown"), nvml.initialised) == (1, 0)


def test_a_closed_device_opens_again(device_of: Open) -> None:
    """A reading after close initialises NVML again, and finds the card again."""
    nvml = whole(used=3)
    device = device_of(nvml)
    assert device.memory().used_bytes == 3
    device.close()
    nvml.cards.insert(0, Card(f"GPU-{SECOND}", used=4))
    assert device.memory().used_bytes == 3
    device.close()
    assert (nvml.calls.count("nvmlInit"), nvml.initialised) == (2, 0)


def test_a_failing_shutdown_is_not_raised(device_of: Open) -> None:
    """What was read stays true when NVML fails to shut down, and it can be read again."""
    nvml = whole(used=3)
    device = device_of(nvml)
    device.memory()
    nvml.fails(GONE, "nvmlShutdown")
    device.close()
    assert device.memory().used_bytes == 3
    assert nvml.calls.count("nvmlInit") == 2


@pytest.mark.parametrize("look", [NvmlDevice.memory, NvmlDevice.facts])
def test_nvml_is_shut_down_where_the_card_is_not_found(
    device_of: Open, look: Callable[[NvmlDevice], object]
) -> None:
    """Each search for a card that is not there leaves NVML as it found it."""
    nvml = whole()
    device = device_of(nvml, f"GPU-{SECOND}")
    for _ in range(2):
        if look is NvmlDevice.memory:
            with pytest.raises(DeviceError, match="no GPU"):
                look(device)
        else:
            look(device)
        assert nvml.initialised == 0
    assert nvml.calls.count("nvmlInit") == nvml.calls.count("nvmlShutdown") == 2
    device.close()
    assert nvml.initialised == 0


def test_a_search_that_fails_twice_tells_the_first_reason(device_of: Open) -> None:
    """A shutdown that fails after the search has, does not hide why the card was not found."""
    nvml = whole().fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlShutdown")
    with pytest.raises(DeviceError, match="no GPU"):
        device_of(nvml, f"GPU-{SECOND}").memory()


def test_a_reading_that_fails_leaves_the_device_to_be_closed(device_of: Open) -> None:
    """After a failed reading the device is still open: it can be read again, and closed."""
    nvml = whole(used=3)
    reading = nvml.functions["nvmlDeviceGetMemoryInfo"]
    device = device_of(nvml.fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlDeviceGetMemoryInfo"))
    with pytest.raises(DeviceError):
        device.memory()
    nvml.functions["nvmlDeviceGetMemoryInfo"] = reading
    assert device.memory().used_bytes == 3
    assert (nvml.calls.count("nvmlInit"), nvml.initialised) == (1, 1)
    device.close()
    assert nvml.initialised == 0
