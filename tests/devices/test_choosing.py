"""What `--device` says, and the device that is meant."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from whisperbench.devices.choosing import open_accelerator, open_device, profile_of, resolve
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.cuda import CudaAccelerator
from whisperbench.devices.host import HostDevice
from whisperbench.devices.nvml import NvmlDevice
from whisperbench.devices.registry import ACCELERATORS
from whisperbench.errors import InputError
from whisperbench.results.scalars import DeviceName


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:-1", "cpu:0", "mps", ""])
def test_unknown_devices(device: str) -> None:
    """A device is cpu, cuda or cuda with an index, whoever asks."""
    for ask in (resolve, open_device, open_accelerator, profile_of):
        with pytest.raises(InputError, match="choose cpu, cuda, cuda:<index> or auto"):
            ask(device)


@pytest.mark.parametrize(
    ("name", "torch_device", "reads"),
    [
        ("cpu", "cpu", HostDevice),
        ("cuda", "cuda:0", NvmlDevice),
        ("cuda:0", "cuda:0", NvmlDevice),
        ("cuda:3", "cuda:3", NvmlDevice),
    ],
)
def test_a_name_gives_readings_and_execution(name: str, torch_device: str, reads: type) -> None:
    """Both are of the device that is named, and of its kind; neither touches it."""
    accelerator = open_accelerator(name)
    assert accelerator.torch_device == torch_device
    assert accelerator.kind == profile_of(name) == name.partition(":")[0]
    assert isinstance(open_device(name), reads)


@pytest.mark.parametrize("accelerator", [CpuAccelerator(), CudaAccelerator("cuda:1")])
def test_a_fresh_process_gets_the_same_accelerator(
    accelerator: CpuAccelerator | CudaAccelerator,
) -> None:
    """An accelerator is a plain value that goes through a pipe."""
    assert pickle.loads(pickle.dumps(accelerator)) == accelerator  # noqa: S301 - its own


def test_kinds_are_names_that_a_result_can_hold() -> None:
    """Each row is kept by its kind, which is its accelerator's, and which a result file takes."""
    for kind, row in ACCELERATORS.items():
        assert row.kind == kind == row.open_accelerator(kind).kind
        assert msgspec.convert(kind, DeviceName) == kind
    for name in ("", "CPU", "cuda:0", "a b", "1"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(name, DeviceName)
