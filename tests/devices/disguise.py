"""A third accelerator: the CPU in disguise, as its one module and its one row.

A pytest plugin, by `-p tests.devices.disguise`. Fresh processes import this module for the class
that is pickled to them, so pytest is not imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.host import HostDevice
from whisperbench.devices.registry import ACCELERATORS, AcceleratorRow

if TYPE_CHECKING:
    from whisperbench.devices.device import DeviceFacts

KIND = "disguise"


@dataclass(frozen=True)
class DisguisedAccelerator(CpuAccelerator):
    """What runs on the CPU under another name."""

    kind: str = KIND


class DisguisedDevice(HostDevice):
    """The readings of the CPU under another name."""

    def facts(self) -> DeviceFacts:
        """Return the host's facts, but for what it is."""
        return replace(super().facts(), kind=KIND, name="Masked One")


ACCELERATORS[KIND] = AcceleratorRow(
    kind=KIND,
    profile="cpu",
    indexed=False,
    is_there=lambda: True,
    open_device=lambda _name: DisguisedDevice(),
    open_accelerator=lambda _name: DisguisedAccelerator(),
)
