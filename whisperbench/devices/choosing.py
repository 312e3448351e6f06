"""From what `--device` says to the device that is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from whisperbench.asked.plan import device_kind
from whisperbench.devices import usable
from whisperbench.devices.host import HostDevice
from whisperbench.devices.nvml import NvmlDevice, gpus_are_hidden
from whisperbench.errors import DeviceError
from whisperbench.results.environment import device_key

if TYPE_CHECKING:
    from whisperbench.devices.device import Device, DeviceFacts


NODES = Path("/dev")
"""Where the driver shows its cards, NVML or not."""


def resolve(device: str) -> str:
    """Turn `--device`, which may be "auto", into a torch device name, without importing torch.

    Raises:
        InputError: the name is not one of a device.
        DeviceError: there is a GPU, but NVML does not show it.
    """
    if device == "auto":
        if NvmlDevice.any_visible():
            return "cuda"
        if not gpus_are_hidden() and any(NODES.glob("nvidia[0-9]*")):
            raise DeviceError(
                "there is an NVIDIA GPU, but NVML does not show it: check that nvidia-smi runs (in "
                "a container, with the driver capability `utility`), or pass --device cpu"
            )
        return "cpu"
    device_kind(device)
    return device


def open_device(device: str) -> Device:
    """Give the device of a torch name.

    Raises:
        InputError: the name is not one of a device.
    """
    return NvmlDevice(device) if device_kind(device) == "cuda" else HostDevice()


def key_of(facts: DeviceFacts) -> str:
    """Return the device key of a device of this machine."""
    return device_key(
        facts.name,
        capability=facts.compute_capability,
        memory_mib=facts.memory_mib,
        cores=usable.cores(),
    )
