"""NVML without a driver: cards that a test sets up, and what pynvml would answer of them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from tests.scripted import MIB
from whisperbench.devices.device import DeviceFacts
from whisperbench.devices.nvml import NvmlDevice
from whisperbench.errors import DeviceError

FIRST = "11111111-aaaa-bbbb-cccc-000000000001"
SECOND = "22222222-aaaa-bbbb-cccc-000000000002"
PARTS = ("33333333-aaaa-bbbb-cccc-000000000003", "44444444-aaaa-bbbb-cccc-000000000004")
GONE = pynvml.NVML_ERROR_GPU_IS_LOST
UNSUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
UNSUPPORTED_CODES = [
    UNSUPPORTED,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
]
MAX_PARTS = 7


@dataclass(frozen=True)
class Handle:
    """What NVML gives for a UUID: a new object each time."""

    uuid: str


@dataclass
class Card:
    """A card of the machine, or a part of one."""

    uuid: str
    used: int = 0
    held: dict[int, int | None] = field(default_factory=dict)
    held_by_mps: dict[int, int | None] = field(default_factory=dict)
    """By clients of MPS, whom NVML lists apart."""
    parts: tuple[Card, ...] | None = None
    """Of a card that MIG divides; None where it is whole."""


class FakeNvml:
    """pynvml, without a driver: its constants and errors, over cards that a test sets up.

    As the library does, it answers nothing before it is initialised.
    """

    def __init__(self, *cards: Card) -> None:
        self.cards = list(cards)
        self.initialised = 0
        self.calls: list[str] = []
        self.functions: dict[str, Any] = {
            "nvmlInit": self._init,
            "nvmlShutdown": self._shutdown,
            "nvmlSystemGetDriverVersion": "580.95.05",
            "nvmlDeviceGetCount": lambda: len(self.cards),
            "nvmlDeviceGetHandleByUUID": self._handle_by_uuid,
            "nvmlDeviceGetUUID": lambda handle: handle.uuid,
            "nvmlDeviceIsMigDeviceHandle": self._is_part,
            "nvmlDeviceGetMigMode": self._mig_mode,
            "nvmlDeviceGetMaxMigDeviceCount": MAX_PARTS,
            "nvmlDeviceGetMigDeviceHandleByIndex": self._part,
            "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": self._card_of,
            "nvmlDeviceGetMemoryInfo": self.memory_of,
            "nvmlDeviceGetComputeRunningProcesses": self._processes,
            "nvmlDeviceGetCurrentClocksEventReasons": 0,
            "nvmlDeviceGetFieldValues": partial(self._fields, {}),
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetTemperature": 41,
            "nvmlDeviceGetMPSComputeRunningProcesses": self._mps_processes,
            "nvmlDeviceGetEnforcedPowerLimit": 600000,
            "nvmlDeviceGetPowerManagementDefaultLimit": 700000,
            "nvmlDeviceGetPersistenceMode": 1,
            "nvmlDeviceGetComputeMode": pynvml.NVML_COMPUTEMODE_DEFAULT,
            "nvmlDeviceGetTotalEnergyConsumption": 5500,
        }
        """By name: a value, a function, or what is raised."""

    def __getattr__(self, name: str) -> Any:
        if name in self.functions:
            return partial(self._call, name)
        if name.startswith(("NVML", "nvmlMemory_v2")):
            return getattr(pynvml, name)
        raise AttributeError(name)

    def fails(self, code: int, *names: str) -> FakeNvml:
        """Let these functions fail so; returns itself."""
        self.functions |= dict.fromkeys(names, pynvml.NVMLError(code))
        return self

    def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        self.calls.append(name)
        if name != "nvmlInit" and not self.initialised:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        answer = self.functions[name]
        if isinstance(answer, Exception):
            raise answer
        return answer(*arguments, **named) if callable(answer) else answer

    def _init(self) -> None:
        self.initialised += 1

    def _shutdown(self) -> None:
        self.initialised -= 1

    def _owner(self, handle: Handle) -> tuple[Card, Card]:
        """Find the card or part of a handle, and the card that it is on."""
        for card in self.cards:
            for found in (card, *(card.parts or ())):
                if found.uuid == handle.uuid:
                    return found, card
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)

    def _handle_by_uuid(self, uuid: bytes) -> Handle:
        return Handle(self._owner(Handle(uuid.decode()))[0].uuid)

    def _is_part(self, handle: Handle) -> Any:
        found, card = self._owner(handle)
        return ctypes.c_uint(found is not card)  # pynvml forgets to unpack it

    def _mig_mode(self, handle: Handle) -> list[int]:
        divided = int(self._owner(handle)[0].parts is not None)
        return [divided, divided]

    def _part(self, handle: Handle, index: int) -> Handle:
        parts = self._owner(handle)[0].parts or ()
        # Parts need not fill the first places.
        places = dict(enumerate(parts, MAX_PARTS - len(parts)))
        if index not in places:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return Handle(places[index].uuid)

    def _card_of(self, handle: Handle) -> Handle:
        return Handle(self._owner(handle)[1].uuid)

    def memory_of(self, handle: Handle, version: int | None = None) -> Any:
        """Read the memory of a card or a part, in either version of NVML's answer."""
        found = self._owner(handle)[0]
        reserved = 500 * MIB
        if version is None:
            return pynvml.c_nvmlMemory_t(total=140_000 * MIB, used=found.used + reserved)
        assert version == pynvml.nvmlMemory_v2
        return pynvml.c_nvmlMemory_v2_t(
            version=version, total=140_000 * MIB, reserved=reserved, used=found.used
        )

    def _mps_processes(self, handle: Handle) -> list[Any]:
        held = self._owner(handle)[0].held_by_mps
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in held.items()]

    def _processes(self, handle: Handle) -> list[Any]:
        held = self._owner(handle)[0].held
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in held.items()]

    def _fields(self, counters: dict[int, int], _handle: Handle, fields: list[int]) -> Any:
        """Fill in the counters by their ids; the others are not supported."""
        values = (pynvml.c_nvmlFieldValue_t * len(fields))()
        for value, wanted in zip(values, fields, strict=True):
            value.fieldId = wanted
            value.nvmlReturn = pynvml.NVML_SUCCESS if wanted in counters else UNSUPPORTED
            value.value.ullVal = counters.get(wanted, 0)
        return values

    def counts(self, **counters: int) -> None:
        """Keep these slow-down counters, named as in NVML_FI_DEV_CLOCKS_EVENT_REASON_*."""
        prefix = "NVML_FI_DEV_CLOCKS_EVENT_REASON_"
        ids = {getattr(pynvml, prefix + name): count for name, count in counters.items()}
        self.functions["nvmlDeviceGetFieldValues"] = partial(self._fields, ids)


def torch_facts(uuid: str) -> DeviceFacts:
    """Return what torch would say of a device."""
    return DeviceFacts(
        kind="cuda",
        torch_name="cuda:0",
        name="NVIDIA H200",
        memory_mib=139_000,
        compute_capability=(9, 0),
        uuid=uuid,
        cuda="12.8",
    )


Open = Callable[..., NvmlDevice]


def whole(**changes: Any) -> FakeNvml:
    """Return an NVML of one whole card."""
    return FakeNvml(Card(f"GPU-{FIRST}", **changes))


def divided(parts: int) -> FakeNvml:
    """Return an NVML of a card that MIG divides, beside a whole one; used bytes tell them apart."""
    return FakeNvml(
        Card(f"GPU-{SECOND}", used=9),
        Card(
            f"GPU-{FIRST}",
            used=100,
            parts=tuple(
                Card(f"MIG-{uuid}", used=used) for used, uuid in enumerate(PARTS[:parts], start=1)
            ),
        ),
    )


def one_line_of(caught: pytest.ExceptionInfo[DeviceError]) -> str:
    """Return an error's text, once it is sure to be one line."""
    text = str(caught.value)
    assert "\n" not in text
    return text
