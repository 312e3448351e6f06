"""Accelerators as the suite sees them: facts from NVML behind a protocol, matched to torch's.

NVML numbers the cards of the machine and ignores CUDA_VISIBLE_DEVICES, so a torch device is
found in NVML by its UUID and never by its index.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from whisperbench.errors import DeviceError, one_line
from whisperbench.plan import device_kind
from whisperbench.units import mib

if TYPE_CHECKING:
    from types import ModuleType

    from whisperbench.precisions import DeviceKind


@dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """What a device is. Fields that a device has no notion of are None."""

    kind: DeviceKind
    torch_name: str
    """What torch calls it: "cpu" or "cuda:<index>"."""
    name: str
    memory_mib: int
    compute_capability: tuple[int, int] | None = None
    uuid: str | None = None
    driver: str | None = None
    cuda: str | None = None
    power_limit_w: float | None = None
    compute_mode: str | None = None
    mig: bool | None = None


class Device(Protocol):
    """A device that can be asked what it is."""

    def facts(self) -> DeviceFacts:
        """Return its facts.

        Raises:
            DeviceError: it cannot be used.
        """
        ...


class HostDevice:
    """The CPU."""

    def facts(self) -> DeviceFacts:
        """Return the host's facts."""
        import psutil

        return DeviceFacts(
            kind="cpu",
            torch_name="cpu",
            name=cpu_name(),
            memory_mib=round(mib(psutil.virtual_memory().total)),
        )


class NvmlDevice:
    """An NVIDIA GPU, used through torch and described by NVML."""

    def __init__(self, torch_name: str) -> None:
        self._torch_name = torch_name

    @staticmethod
    def any_visible() -> bool:
        """Whether a GPU is there for this process, found without importing torch."""
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        if hidden is not None and hidden.strip() in ("", "-1"):
            return False
        try:
            with _Nvml() as nvml:
                return int(nvml.nvmlDeviceGetCount()) > 0
        except DeviceError:
            return False

    def facts(self) -> DeviceFacts:
        """Return the facts of torch's device, NVML's added where it answers.

        Raises:
            DeviceError: torch has no such CUDA device.
        """
        import torch

        if not torch.cuda.is_available():
            why = (
                f"torch {torch.__version__} is built without CUDA: install a CUDA build"
                if torch.version.cuda is None
                else "torch finds no usable NVIDIA GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES"
            )
            raise DeviceError(f"--device {self._torch_name}: {why}, or pass --device cpu")
        index = torch.device(self._torch_name).index or 0
        if index >= torch.cuda.device_count():
            raise DeviceError(
                f"--device {self._torch_name}: torch sees {torch.cuda.device_count()} GPU(s); "
                f"the last is cuda:{torch.cuda.device_count() - 1}"
            )
        found = torch.cuda.get_device_properties(index)
        uuid = str(found.uuid)
        facts = DeviceFacts(
            kind="cuda",
            torch_name=f"cuda:{index}",
            name=found.name,
            memory_mib=round(mib(found.total_memory)),
            compute_capability=(found.major, found.minor),
            uuid=uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}",
            cuda=torch.version.cuda,
        )
        return _with_nvml(facts)


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


def cpu_name() -> str:
    """Name the CPU's model, as the system gives it."""
    import cpuinfo  # of py-cpuinfo or py-cpuinfo2, whichever pytest-benchmark brings

    return str(cpuinfo.get_cpu_info().get("brand_raw") or "unknown CPU")


class _Nvml:
    """NVML, initialised within a `with`; its errors come out as DeviceError."""

    def __enter__(self) -> ModuleType:
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception as error:
            raise DeviceError(f"NVML does not answer: {one_line(error)}") from error
        self._nvml = pynvml
        return cast("ModuleType", pynvml)

    def __exit__(self, *_: object) -> None:
        self._nvml.nvmlShutdown()


def _with_nvml(facts: DeviceFacts) -> DeviceFacts:
    """Add what only NVML knows. A device that NVML does not show keeps torch's facts."""
    try:
        with _Nvml() as nvml:
            modes = {
                nvml.NVML_COMPUTEMODE_DEFAULT: "default",
                nvml.NVML_COMPUTEMODE_PROHIBITED: "prohibited",
                nvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS: "exclusive process",
            }

            def ask(name: str, *args: object) -> Any:
                """Ask for a fact that not every card, driver or container gives."""
                try:
                    return getattr(nvml, name)(*args)
                except nvml.NVMLError:
                    return None

            facts = replace(facts, driver=ask("nvmlSystemGetDriverVersion"))
            handle = ask("nvmlDeviceGetHandleByUUID", (facts.uuid or "").encode())
            if handle is None:
                return facts
            memory: Any = ask("nvmlDeviceGetMemoryInfo", handle)
            limit_mw = ask("nvmlDeviceGetEnforcedPowerLimit", handle)
            mig_mode = ask("nvmlDeviceGetMigMode", handle)
            return replace(
                facts,
                memory_mib=round(mib(memory.total)) if memory else facts.memory_mib,
                power_limit_w=limit_mw / 1000 if limit_mw is not None else None,
                compute_mode=modes.get(ask("nvmlDeviceGetComputeMode", handle)),
                mig=bool(mig_mode[0]) if mig_mode is not None else False,
            )
    except DeviceError:
        return facts
