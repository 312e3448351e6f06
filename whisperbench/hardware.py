"""From what `--device` says to the device that is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whisperbench.environment import device_key
from whisperbench.host import HostDevice
from whisperbench.nvml import NvmlDevice
from whisperbench.plan import device_kind

if TYPE_CHECKING:
    from whisperbench.device import Device, DeviceFacts


def resolve(device: str) -> str:
    """Turn `--device`, which may be "auto", into a torch device name, without importing torch.

    Raises:
        InputError: the name is not one of a device.
    """
    if device == "auto":
        return "cuda" if NvmlDevice.any_visible() else "cpu"
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
    import psutil

    return device_key(
        facts.name,
        capability=facts.compute_capability,
        memory_mib=facts.memory_mib,
        cores=psutil.cpu_count(logical=True) or 1,
    )
