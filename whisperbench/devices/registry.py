"""The registry of accelerators: a row for each kind of device that the suite runs on.

A new one is a module with its `Device` and its `Accelerator`, and a row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whisperbench.devices import nvml
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.cuda import CudaAccelerator
from whisperbench.devices.host import HostDevice

if TYPE_CHECKING:
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.devices.device import Device


@dataclass(frozen=True, kw_only=True)
class AcceleratorRow:
    """A kind of device: how it is found, opened and measured."""

    kind: str
    """As `--device` names it, in small letters and digits."""
    profile: str
    """Its default matrix: a profile of suite.toml."""
    indexed: bool
    """Whether `--device` may name one of several, as in "cuda:1"."""
    is_there: Callable[[], bool]
    """Whether this machine has one, found without importing torch. Raises DeviceError where it has
    one that cannot be used."""
    open_device: Callable[[str], Device]
    """Gives the readings of a device by its name; nothing is opened before the first."""
    open_accelerator: Callable[[str], Accelerator]
    """Gives what executes on it, by the same name."""

    def names(self) -> list[str]:
        """Return what `--device` may say."""
        return [self.kind, *([f"{self.kind}:<index>"] if self.indexed else [])]


ACCELERATORS: dict[str, AcceleratorRow] = {
    row.kind: row
    for row in (
        AcceleratorRow(
            kind="cuda",
            profile="cuda",
            indexed=True,
            is_there=nvml.is_there,
            open_device=nvml.NvmlDevice,
            open_accelerator=CudaAccelerator.named,
        ),
        AcceleratorRow(
            kind="cpu",
            profile="cpu",
            indexed=False,
            is_there=lambda: True,
            open_device=lambda _name: HostDevice(),
            open_accelerator=lambda _name: CpuAccelerator(),
        ),
    )
}
"""By kind. `--device auto` takes the first that is there."""
