"""NVIDIA GPUs through NVML: the only module that knows it.

NVML numbers the cards of the machine and ignores CUDA_VISIBLE_DEVICES, so a torch device is
found in NVML by its UUID and never by its index.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from whisperbench.devices.cuda import torch_facts
from whisperbench.devices.device import Conditions, DeviceFacts, DeviceMemory
from whisperbench.devices.nvml_handles import device_error, find_handle, means_unsupported
from whisperbench.devices.nvml_reasons import SLOWDOWN_FIELDS, event_reasons, reasons_of
from whisperbench.errors import DeviceError, one_line
from whisperbench.units import mib

NODES = Path("/dev")
"""Where the driver shows its cards, NVML or not."""


def gpus_are_hidden() -> bool:
    """Whether CUDA_VISIBLE_DEVICES hides every GPU from this process."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")


def is_there() -> bool:
    """Whether this process has a GPU, found without importing torch.

    Raises:
        DeviceError: there is a GPU, but NVML does not show it.
    """
    if NvmlDevice.any_visible():
        return True
    if not gpus_are_hidden() and any(NODES.glob("nvidia[0-9]*")):
        raise DeviceError(
            "there is an NVIDIA GPU, but NVML does not show it: check that nvidia-smi runs (in "
            "a container, with the driver capability `utility`), or pass --device cpu"
        )
    return False


class NvmlDevice:
    """An NVIDIA GPU, used through torch and watched through NVML."""

    def __init__(self, torch_name: str, library: Any = None) -> None:
        """Name a GPU; nothing is opened yet.

        Args:
            torch_name: "cuda" or "cuda:<index>".
            library: what stands in for pynvml, in tests.
        """
        self._torch_name = torch_name
        self._library = library
        self._nvml: Any = None
        self._handle: Any = None
        self._card: Any = None
        self._facts: DeviceFacts | None = None

    @staticmethod
    def any_visible(library: Any = None) -> bool:
        """Whether a GPU is there for this process, found without importing torch."""
        if gpus_are_hidden():
            return False
        try:
            with opened(library) as nvml:
                try:
                    return int(nvml.nvmlDeviceGetCount()) > 0
                except nvml.NVMLError:
                    return False
        except DeviceError:
            return False

    def facts(self) -> DeviceFacts:
        """Return the facts of torch's device, with what NVML adds where it answers.

        Raises:
            DeviceError: torch has no such CUDA device.
        """
        if self._facts is None:
            facts = torch_facts(self._torch_name)
            try:
                self._facts = self._described(facts)
            except DeviceError:
                # Times can be taken without NVML. Whoever needs it, asks it and gets the error.
                return facts
        return self._facts

    def memory(self) -> DeviceMemory:
        """Return the memory that is taken, by NVML's second version where there is one.

        The first version counts what the driver reserves as used.

        Raises:
            DeviceError: NVML does not answer.
        """
        self._open()
        nvml = self._nvml
        try:
            found = nvml.nvmlDeviceGetMemoryInfo(self._handle, version=nvml.nvmlMemory_v2)
            reserved = int(found.reserved)
        except nvml.NVMLError as error:
            if not means_unsupported(nvml, error):
                raise device_error("memory", error) from error
            found, reserved = self._ask("memory", nvml.nvmlDeviceGetMemoryInfo, self._handle), None
        return DeviceMemory(
            used_bytes=int(found.used), total_bytes=int(found.total), reserved_bytes=reserved
        )

    def processes(self, pid: int) -> Mapping[int, int | None]:  # noqa: ARG002 - all of a GPU's
        """Return the bytes of every compute process on the GPU; None where the driver hides them.

        Raises:
            DeviceError: NVML does not answer.
        """
        self._open()
        nvml = self._nvml
        found: list[Any] = []
        for listing in (
            nvml.nvmlDeviceGetComputeRunningProcesses,
            nvml.nvmlDeviceGetMPSComputeRunningProcesses,  # clients of MPS stand in this one alone
        ):
            found += self._ask_optional("processes", listing, self._handle) or []
        # Some containers show a process without an id, or with nothing in it: a hidden figure is
        # not a zero, and two hidden processes are not one.
        return {
            int(process.pid) or -place: process.usedGpuMemory or None
            for place, process in enumerate(found, start=1)
        }

    def conditions(self) -> Conditions:
        """Return event reasons, slow-down counters, clock and temperature.

        Raises:
            DeviceError: NVML does not answer.
        """
        self._open()
        nvml, card = self._nvml, self._card
        bits = self._ask_optional("event reasons", event_reasons(nvml), card)
        return Conditions(
            reasons=None if bits is None else reasons_of(int(bits)),
            slowdown_ns=self._slowdowns(),
            sm_clock_mhz=self._ask_optional(
                "SM clock", nvml.nvmlDeviceGetClockInfo, card, nvml.NVML_CLOCK_SM
            ),
            temperature_c=self._ask_optional(
                "temperature", nvml.nvmlDeviceGetTemperature, card, nvml.NVML_TEMPERATURE_GPU
            ),
        )

    def energy_j(self) -> float | None:
        """Return the GPU's energy counter, which moves in steps of about 100 ms.

        Of a part of a GPU (MIG) it would be the whole card's, and is None.

        Raises:
            DeviceError: NVML does not answer.
        """
        self._open()
        if self._card is not self._handle:
            return None
        counted_mj = self._ask_optional(
            "energy", self._nvml.nvmlDeviceGetTotalEnergyConsumption, self._card
        )
        return None if counted_mj is None else counted_mj / 1000

    def close(self) -> None:
        """Shut NVML down. What was read stays true when that fails, so a failure is not raised."""
        nvml, self._nvml = self._nvml, None
        self._handle = self._card = None
        if nvml is not None:
            _shut_down(nvml)

    def _open(self) -> None:
        """Initialise NVML, once, and find the GPU in it."""
        if self._handle is None:
            facts = self._facts or torch_facts(self._torch_name)
            self._find(facts)

    def _find(self, facts: DeviceFacts) -> None:
        nvml = _initialised(self._library)
        try:
            self._handle, self._card = find_handle(nvml, facts.uuid or "")
        except nvml.NVMLError as error:
            _shut_down(nvml)
            raise device_error("which GPU it is", error) from error
        except BaseException:
            _shut_down(nvml)
            raise
        self._nvml = nvml

    def _described(self, facts: DeviceFacts) -> DeviceFacts:
        """Add what only NVML knows."""
        if self._handle is None:
            self._find(facts)
        nvml, card = self._nvml, self._card
        modes = {
            nvml.NVML_COMPUTEMODE_DEFAULT: "default",
            nvml.NVML_COMPUTEMODE_PROHIBITED: "prohibited",
            nvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS: "exclusive process",
        }

        def ask(name: str, *arguments: Any) -> Any:
            return self._ask_optional(name, getattr(nvml, name), *arguments)

        limit_mw = ask("nvmlDeviceGetEnforcedPowerLimit", card)
        default_mw = ask("nvmlDeviceGetPowerManagementDefaultLimit", card)
        persistence = ask("nvmlDeviceGetPersistenceMode", card)
        return replace(
            facts,
            memory_mib=round(mib(self.memory().total_bytes)),
            driver=ask("nvmlSystemGetDriverVersion"),
            power_limit_w=None if limit_mw is None else limit_mw / 1000,
            default_power_limit_w=None if default_mw is None else default_mw / 1000,
            compute_mode=modes.get(ask("nvmlDeviceGetComputeMode", card)),
            persistence_mode=None if persistence is None else bool(persistence),
            max_sm_clock_mhz=ask("nvmlDeviceGetMaxClockInfo", card, nvml.NVML_CLOCK_SM),
            mig=self._card is not self._handle,
        )

    def _slowdowns(self) -> dict[str, int]:
        """Read the slow-down counters that this driver keeps."""
        values = self._ask_optional(
            "slow-down counters",
            self._nvml.nvmlDeviceGetFieldValues,
            self._card,
            list(SLOWDOWN_FIELDS),
        )
        return {
            name: int(value.value.ullVal)
            for name, value in zip(SLOWDOWN_FIELDS.values(), values or (), strict=False)
            if value.nvmlReturn == self._nvml.NVML_SUCCESS
        }

    def _ask(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._nvml.NVMLError as error:
            raise device_error(what, error) from error

    def _ask_optional(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Ask for what not every card, driver or container gives; None where it does not."""
        try:
            return function(*arguments)
        except self._nvml.NVMLError as error:
            if means_unsupported(self._nvml, error):
                return None
            raise device_error(what, error) from error
        except self._nvml.NVMLLibraryMismatchError:
            return None  # pynvml's own, of a driver without a function's newest version


@contextmanager
def opened(library: Any = None) -> Iterator[Any]:
    """Give pynvml, initialised, and shut it down in the end.

    Args:
        library: what stands in for pynvml, in tests.

    Raises:
        DeviceError: there is no NVML, or no driver behind it.
    """
    nvml = _initialised(library)
    try:
        yield nvml
    finally:
        _shut_down(nvml)


def _initialised(library: Any) -> Any:
    """Return pynvml, initialised.

    Raises:
        DeviceError: there is no NVML, or no driver behind it.
    """
    try:
        if library is None:
            import pynvml

            library = pynvml
        library.nvmlInit()
    except Exception as error:  # ctypes and the package's own, by what is missing
        raise DeviceError(
            f"NVML does not answer: {one_line(error)}; check that nvidia-smi runs, in this "
            "container too"
        ) from error
    return library


def _shut_down(nvml: Any) -> None:
    with suppress(nvml.NVMLError):
        nvml.nvmlShutdown()
