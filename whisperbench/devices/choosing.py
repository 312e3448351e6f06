"""From what `--device` says to the device that is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whisperbench.devices import usable
from whisperbench.devices.registry import ACCELERATORS, AcceleratorRow
from whisperbench.errors import InputError
from whisperbench.results.environment import device_key

if TYPE_CHECKING:
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.devices.device import Device, DeviceFacts


def row_of(device: str) -> AcceleratorRow:
    """Return the row of a device's name, such as "cpu" or "cuda:1".

    Raises:
        InputError: the name is not one of a device.
    """
    kind, _, index = device.partition(":")
    row = ACCELERATORS.get(kind)
    if row is None or (device != kind and not (row.indexed and (not index or index.isdecimal()))):
        names = [name for known in reversed(ACCELERATORS.values()) for name in known.names()]
        raise InputError(f"--device {device}: choose {', '.join(names)} or auto")
    return row


def resolve(device: str) -> str:
    """Turn `--device`, which may be "auto", into a device's name, without importing torch.

    Raises:
        InputError: the name is not one of a device.
        DeviceError: there is a device that would be chosen, but it cannot be used.
    """
    if device == "auto":
        return next(row.kind for row in ACCELERATORS.values() if row.is_there())
    row_of(device)
    return device


def preferred() -> str:
    """Return the name of the device that `--device auto` looks for first, be it there or not."""
    return next(iter(ACCELERATORS))


def open_device(device: str) -> Device:
    """Give the readings of a device by its name.

    Raises:
        InputError: the name is not one of a device.
    """
    return row_of(device).open_device(device)


def open_accelerator(device: str) -> Accelerator:
    """Give what executes on a device by its name.

    Raises:
        InputError: the name is not one of a device.
    """
    return row_of(device).open_accelerator(device)


def profile_of(device: str) -> str:
    """Return the name of the profile of suite.toml that a device takes.

    Raises:
        InputError: the name is not one of a device.
    """
    return row_of(device).profile


def key_of(facts: DeviceFacts) -> str:
    """Return the device key of a device of this machine."""
    return device_key(
        facts.name,
        kind=facts.kind,
        capability=facts.compute_capability,
        memory_mib=facts.memory_mib,
        cores=usable.cores(),
        on_host=facts.on_host,
    )
