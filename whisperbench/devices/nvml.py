"""NVIDIA GPUs through NVML: the only module that knows it.

NVML numbers the cards of the machine and ignores CUDA_VISIBLE_DEVICES, so a torch device is
found in NVML by its UUID and never by its index.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from whisperbench.devices.device import Conditions, DeviceFacts, DeviceMemory
from whisperbench.errors import DeviceError, one_line
from whisperbench.units import mib

EVENT_REASONS: dict[int, str] = {
    0x001: "idle",
    0x002: "application clocks",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "software thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "power brake",
    0x100: "display clocks",
}
"""NVML API reference, "NvmlClocksEventReasons": why the clocks are not at their highest."""

SLOWDOWN_FIELDS: dict[int, str] = {
    269: "software thermal slowdown",
    270: "hardware thermal slowdown",
    271: "power brake",
}
"""NVML_FI_DEV_CLOCKS_EVENT_REASON_*: nanoseconds that each of them has lasted in all."""


def gpus_are_hidden() -> bool:
    """Whether CUDA_VISIBLE_DEVICES hides every GPU from this process."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")


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
            nvml = _initialised(library)
        except DeviceError:
            return False
        try:
            return int(nvml.nvmlDeviceGetCount()) > 0
        except nvml.NVMLError:
            return False
        finally:
            _shut_down(nvml)

    def facts(self) -> DeviceFacts:
        """Return the facts of torch's device, with what NVML adds where it answers.

        Raises:
            DeviceError: torch has no such CUDA device.
        """
        if self._facts is None:
            facts = _torch_facts(self._torch_name)
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
            if not _means_unsupported(nvml, error):
                raise _device_error("memory", error) from error
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
        bits = self._ask_optional("event reasons", _event_reasons(nvml), card)
        return Conditions(
            reasons=None if bits is None else _reasons(int(bits)),
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
            facts = self._facts or _torch_facts(self._torch_name)
            self._find(facts)

    def _find(self, facts: DeviceFacts) -> None:
        nvml = _initialised(self._library)
        try:
            self._handle, self._card = find_handle(nvml, facts.uuid or "")
        except nvml.NVMLError as error:
            _shut_down(nvml)
            raise _device_error("which GPU it is", error) from error
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
            raise _device_error(what, error) from error

    def _ask_optional(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Ask for what not every card, driver or container gives; None where it does not."""
        try:
            return function(*arguments)
        except self._nvml.NVMLError as error:
            if _means_unsupported(self._nvml, error):
                return None
            raise _device_error(what, error) from error
        except self._nvml.NVMLLibraryMismatchError:
            return None  # pynvml's own, of a driver without a function's newest version


def find_handle(nvml: Any, uuid: str) -> tuple[Any, Any]:
    """Find a torch device in NVML.

    Args:
        nvml: pynvml, initialised.
        uuid: what torch says, which has no prefix and may be the instance's or the card's where
            the GPU is divided.

    Returns:
        The handle whose memory and processes are the device's, and the card's own, which knows
        clocks, power and temperature. The two are one object unless MIG has divided the GPU.

    Raises:
        DeviceError: NVML does not show it, or cannot tell which part of a divided GPU it is.
    """
    plain = uuid.removeprefix("GPU-").removeprefix("MIG-")
    for prefix in ("MIG-", "GPU-"):
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(f"{prefix}{plain}".encode())
        except nvml.NVMLError as error:
            if error.value == nvml.NVML_ERROR_GPU_IS_LOST:
                raise
            continue
        if _is_part(nvml, handle):
            return handle, nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
        parts = _mig_parts(nvml, handle)
        return (_only_part(parts), handle) if parts is not None else (handle, handle)
    raise DeviceError(
        f"NVML shows no GPU of the UUID that torch names ({plain}); in a container, pass the whole "
        "GPU in (--gpus), with the driver capability `utility`"
    )


def _is_part(nvml: Any, handle: Any) -> bool:
    """Whether a handle is of a part of a GPU that MIG has divided."""
    try:
        return bool(nvml.nvmlDeviceIsMigDeviceHandle(handle))
    except nvml.NVMLError:
        return False  # a driver without the notion of MIG


def _mig_parts(nvml: Any, card: Any) -> dict[str, Any] | None:
    """Return the parts of a divided GPU by their UUIDs; None where it is whole."""
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(card)
    except nvml.NVMLError as error:
        if not _means_unsupported(nvml, error):
            raise
        return None  # a card without the notion of MIG
    if not current:
        return None
    parts = {}
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(card)):
        try:
            part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, index)
        except nvml.NVMLError:
            continue  # fewer parts than there can be
        parts[str(nvml.nvmlDeviceGetUUID(part))] = part
    return parts


def _only_part(parts: Mapping[str, Any]) -> Any:
    """Tell which part of a divided GPU torch uses: CUDA shows a process one part at most."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    chosen = [part for name, part in parts.items() if visible and name.startswith(visible)]
    if len(chosen) == 1:
        return chosen[0]
    if len(parts) == 1:
        return next(iter(parts.values()))
    raise DeviceError(
        f"the GPU is divided by MIG into {len(parts)} parts, and NVML cannot tell which is meant; "
        f"set CUDA_VISIBLE_DEVICES to one of {', '.join(parts) or 'the parts (none is set up)'}"
    )


def _torch_facts(torch_name: str) -> DeviceFacts:
    """Return what torch knows of a device. Makes no context on it."""
    import torch

    if not torch.cuda.is_available():
        why = (
            f"torch {torch.__version__} is built without CUDA: install a CUDA build"
            if torch.version.cuda is None
            else "torch finds no usable NVIDIA GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES"
        )
        raise DeviceError(f"--device {torch_name}: {why}, or pass --device cpu")
    index = torch.device(torch_name).index or 0
    if index >= torch.cuda.device_count():
        raise DeviceError(
            f"--device {torch_name}: torch sees {torch.cuda.device_count()} GPU(s); "
            f"the last is cuda:{torch.cuda.device_count() - 1}"
        )
    found = torch.cuda.get_device_properties(index)
    uuid = str(found.uuid)
    return DeviceFacts(
        kind="cuda",
        torch_name=f"cuda:{index}",
        name=found.name,
        memory_mib=round(mib(found.total_memory)),
        compute_capability=(found.major, found.minor),
        uuid=uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}",
        cuda=torch.version.cuda,
    )


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


def _event_reasons(nvml: Any) -> Callable[[Any], int]:
    """Return the function that reads event reasons: it was renamed with driver 535."""
    names = "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"
    functions = [getattr(nvml, name) for name in names if hasattr(nvml, name)]

    def read(card: Any) -> int:
        for function in functions[:-1]:
            try:
                return int(function(card))
            except nvml.NVMLError as error:
                if error.value != nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                    raise
        return int(functions[-1](card))

    return read


def _reasons(bits: int) -> frozenset[str]:
    """Name the set bits; a bit that has no name here keeps its number."""
    single = [1 << place for place in range(bits.bit_length()) if bits >> place & 1]
    return frozenset(EVENT_REASONS.get(bit, f"{bit:#x}") for bit in single)


def _means_unsupported(nvml: Any, error: Any) -> bool:
    """Whether NVML says that this card, driver or user does not get a reading."""
    return error.value in (
        nvml.NVML_ERROR_NOT_SUPPORTED,
        nvml.NVML_ERROR_NO_PERMISSION,
        nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    )


def _device_error(what: str, error: Exception) -> DeviceError:
    text = f"NVML fails to read {what}: {one_line(error)}"
    if type(error).__name__ == "NVMLError_GpuIsLost":
        text += "; the GPU has dropped off the bus: look at dmesg and reboot"
    return DeviceError(text)
