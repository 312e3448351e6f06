"""A third accelerator: the CPU in disguise, as its one module and its one row.

Fresh processes import this module for the class that is pickled to them, so pytest is not imported
here. A test puts the row among `ACCELERATORS`, and takes it out again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.host import HostDevice
from whisperbench.devices.registry import AcceleratorRow

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


ROW = AcceleratorRow(
    kind=KIND,
    profile="cpu",
    indexed=False,
    is_there=lambda: True,
    open_device=lambda _name: DisguisedDevice(),
    open_accelerator=lambda _name: DisguisedAccelerator(),
)
