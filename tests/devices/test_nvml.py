"""NVIDIA GPUs through a scripted NVML: which card is read, what it tells, and how it fails."""

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
from whisperbench.devices.device import Conditions, DeviceFacts, DeviceMemory
from whisperbench.devices.nvml import NvmlDevice
from whisperbench.devices.nvml_handles import find_handle
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
            "nvmlDeviceGetMemoryInfo": self._memory,
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

    def _memory(self, handle: Handle, version: int | None = None) -> Any:
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


@pytest.fixture
def device_of(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Give the device that torch knows by a UUID, over a scripted NVML."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def of(nvml: FakeNvml, uuid: str = f"GPU-{FIRST}") -> NvmlDevice:
        monkeypatch.setattr(
            "whisperbench.devices.nvml.torch_facts", lambda _name: torch_facts(uuid)
        )
        return NvmlDevice("cuda:0", library=nvml)

    return of


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


# Which card it is.


@pytest.mark.parametrize("prefix", ["GPU-", ""])
@pytest.mark.parametrize("order", [1, -1])
def test_a_card_is_found_by_its_uuid(device_of: Open, order: int, prefix: str) -> None:
    """Torch's device 0 may be NVML's 1: whatever the order, the UUID decides."""
    cards = [Card(f"GPU-{FIRST}", used=1), Card(f"GPU-{SECOND}", used=2)][::order]
    assert device_of(FakeNvml(*cards), prefix + FIRST).memory().used_bytes == 1
    assert device_of(FakeNvml(*cards), prefix + SECOND).memory().used_bytes == 2


@pytest.mark.parametrize("visible", ["0", "7", f"GPU-{SECOND}", f"MIG-{PARTS[0]}", ""])
def test_a_whole_card_does_not_depend_on_the_environment(
    monkeypatch: pytest.MonkeyPatch, device_of: Open, visible: str
) -> None:
    """Torch has obeyed CUDA_VISIBLE_DEVICES already; nothing is looked up by it again."""
    device = device_of(FakeNvml(Card(f"GPU-{SECOND}", used=2), Card(f"GPU-{FIRST}", used=1)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device.memory().used_bytes == 1


def test_a_card_that_nvml_does_not_show_is_an_error(device_of: Open) -> None:
    """A UUID that NVML lacks, as in a container, is one line with the UUID and the remedy."""
    with pytest.raises(DeviceError, match=f"no GPU .*{SECOND}.*--gpus") as caught:
        device_of(whole(), f"GPU-{SECOND}").memory()
    one_line_of(caught)


@pytest.mark.parametrize("prefix", ["MIG-", "GPU-"])
def test_a_part_that_torch_names_is_found(device_of: Open, prefix: str) -> None:
    """Where torch gives the UUID of a MIG part, under either prefix, that part is read."""
    device = device_of(divided(2), prefix + PARTS[1])
    assert device.memory().used_bytes == 2
    assert device.facts().mig is True


def test_the_only_part_is_meant(device_of: Open) -> None:
    """Where torch gives the card's UUID, and the card has one part, that part is read."""
    device = device_of(divided(1))
    assert device.memory().used_bytes == 1
    assert device.facts().mig is True


@pytest.mark.parametrize(
    "visible", [f"MIG-{PARTS[1]}", f"MIG-{PARTS[1]},MIG-{PARTS[0]}", f" MIG-{PARTS[1][:8]} "]
)
def test_the_part_that_cuda_is_told_is_meant(
    monkeypatch: pytest.MonkeyPatch, device_of: Open, visible: str
) -> None:
    """Of two parts, CUDA uses the first that CUDA_VISIBLE_DEVICES names, in full or by its start.

    Torch gives the card's UUID.
    """
    device = device_of(divided(2))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device.memory().used_bytes == 2


@pytest.mark.parametrize("visible", [None, "", "0", "MIG-", f"GPU-{FIRST}"])
def test_one_of_several_parts_is_not_guessed(
    monkeypatch: pytest.MonkeyPatch, device_of: Open, visible: str | None
) -> None:
    """With two parts and none named, the error names both, and the variable that chooses."""
    nvml = divided(2)
    device = device_of(nvml)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(DeviceError, match=r"into 2 parts.*CUDA_VISIBLE_DEVICES") as caught:
        device.memory()
    assert all(f"MIG-{part}" in one_line_of(caught) for part in PARTS)


def test_a_divided_card_without_parts_is_an_error(device_of: Open) -> None:
    """MIG that is on with no part set up runs nothing, and says so."""
    with pytest.raises(DeviceError, match="none is set up") as caught:
        device_of(divided(0)).memory()
    one_line_of(caught)


@pytest.mark.parametrize(
    "missing",
    [
        ("nvmlDeviceGetMigMode",),
        ("nvmlDeviceGetMigMode", "nvmlDeviceIsMigDeviceHandle"),
        (),
    ],
    ids=["card without MIG", "driver without MIG", "MIG off"],
)
def test_a_card_without_mig_is_whole(device_of: Open, missing: tuple[str, ...]) -> None:
    """A card that cannot be divided, or is not, is read as it is."""
    device = device_of(whole(used=5).fails(UNSUPPORTED, *missing))
    assert device.memory().used_bytes == 5
    assert device.facts().mig is False


def test_whether_a_card_is_divided_is_not_guessed(device_of: Open) -> None:
    """An unexplained failure to read the MIG mode does not make a divided card a whole one."""
    nvml = divided(1).fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlDeviceGetMigMode")
    with pytest.raises(DeviceError) as caught:
        device_of(nvml).memory()
    one_line_of(caught)


@pytest.mark.parametrize(
    "name", ["nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetUUID", "nvmlDeviceGetHandleByUUID"]
)
def test_a_lost_card_is_told_while_it_is_looked_for(device_of: Open, name: str) -> None:
    """A GPU that drops off the bus before it is found is not reported as a missing option."""
    with pytest.raises(DeviceError, match="dropped off the bus") as caught:
        device_of(divided(1).fails(GONE, name)).memory()
    one_line_of(caught)


def test_a_part_whose_card_is_not_shown_is_an_error(device_of: Open) -> None:
    """Where NVML does not lead from a part to its card, that is one line too."""
    nvml = divided(1).fails(
        pynvml.NVML_ERROR_NO_PERMISSION, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle"
    )
    with pytest.raises(DeviceError) as caught:
        device_of(nvml, f"MIG-{PARTS[0]}").memory()
    one_line_of(caught)


def test_a_handle_comes_with_its_card() -> None:
    """A whole card is its own card, the same object; a part's is the card around it."""
    nvml = divided(1)
    nvml.initialised = 1
    handle, card = find_handle(nvml, f"GPU-{SECOND}")
    assert handle is card
    for uuid in (f"MIG-{PARTS[0]}", f"GPU-{FIRST}"):
        assert find_handle(nvml, uuid) == (Handle(f"MIG-{PARTS[0]}"), Handle(f"GPU-{FIRST}"))


# Memory and processes.


def test_memory_tells_what_the_driver_reserves(device_of: Open) -> None:
    """The second version of the reading keeps the driver's own memory apart."""
    assert device_of(whole(used=7 * MIB)).memory() == DeviceMemory(
        used_bytes=7 * MIB, total_bytes=140_000 * MIB, reserved_bytes=500 * MIB
    )


@pytest.mark.parametrize("code", UNSUPPORTED_CODES)
def test_memory_of_an_old_driver(device_of: Open, code: int) -> None:
    """Without the second version the first is read, and nothing is said of what is reserved."""
    nvml = whole(used=7 * MIB)

    def first_only(handle: Handle, version: int | None = None) -> Any:
        if version is not None:
            raise pynvml.NVMLError(code)
        return nvml._memory(handle)

    nvml.functions["nvmlDeviceGetMemoryInfo"] = first_only
    assert device_of(nvml).memory() == DeviceMemory(
        used_bytes=507 * MIB, total_bytes=140_000 * MIB, reserved_bytes=None
    )


def test_memory_that_cannot_be_read_is_an_error(device_of: Open) -> None:
    """A failed reading is one line that says what failed, and never a zero."""
    nvml = whole().fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlDeviceGetMemoryInfo")
    with pytest.raises(DeviceError, match="memory: Unknown Error") as caught:
        device_of(nvml).memory()
    one_line_of(caught)
    assert nvml.calls.count("nvmlDeviceGetMemoryInfo") == 1, "the first version was tried too"


def test_memory_that_no_version_gives_is_an_error(device_of: Open) -> None:
    """Where neither version is supported, memory is not left out: it is what is measured."""
    with pytest.raises(DeviceError, match="memory: Not Supported"):
        device_of(whole().fails(UNSUPPORTED, "nvmlDeviceGetMemoryInfo")).memory()


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("nvmlDeviceGetMemoryInfo", NvmlDevice.memory),
        ("nvmlDeviceGetComputeRunningProcesses", lambda device: device.processes(1)),
        ("nvmlDeviceGetCurrentClocksEventReasons", NvmlDevice.conditions),
        ("nvmlDeviceGetFieldValues", NvmlDevice.conditions),
        ("nvmlDeviceGetClockInfo", NvmlDevice.conditions),
        ("nvmlDeviceGetTemperature", NvmlDevice.conditions),
        ("nvmlDeviceGetTotalEnergyConsumption", NvmlDevice.energy_j),
    ],
)
def test_a_lost_gpu_is_told_by_every_reading(
    device_of: Open, name: str, look: Callable[[NvmlDevice], object]
) -> None:
    """A GPU that has dropped off the bus is an error with the remedy, whatever is read."""
    with pytest.raises(DeviceError, match=r"dropped off the bus: .*reboot") as caught:
        look(device_of(whole().fails(GONE, name)))
    one_line_of(caught)


def test_processes_hold_memory(device_of: Open) -> None:
    """All of a card's processes are there, and none of another card's."""
    nvml = FakeNvml(
        Card(f"GPU-{SECOND}", held={3: 1}), Card(f"GPU-{FIRST}", held={12: 5 * MIB, 13: MIB})
    )
    assert device_of(nvml).processes(12) == {12: 5 * MIB, 13: MIB}
    assert device_of(nvml).processes(99) == {12: 5 * MIB, 13: MIB}


@pytest.mark.parametrize("hidden", [None, 0])
def test_a_hidden_figure_is_not_a_zero(device_of: Open, hidden: int | None) -> None:
    """Where the driver hides a figure (WSL, some containers), the process is there without one."""
    assert device_of(whole(held={12: hidden})).processes(12) == {12: None}


def test_two_processes_without_an_id_are_two(device_of: Open) -> None:
    """Processes whose ids a container hides do not collapse into one."""
    nvml = whole()
    hidden = [SimpleNamespace(pid=0, usedGpuMemory=None) for _ in range(2)]
    nvml.functions["nvmlDeviceGetComputeRunningProcesses"] = lambda _handle: hidden
    found = device_of(nvml).processes(12)
    assert len(found) == 2
    assert all(pid < 0 for pid in found)


def test_clients_of_mps_are_processes_too(device_of: Open) -> None:
    """Under MPS, NVML lists its clients apart from other processes; here they are one list."""
    nvml = whole(held={12: MIB})
    nvml.cards[0].held_by_mps = {13: 2 * MIB}
    assert device_of(nvml).processes(12) == {12: MIB, 13: 2 * MIB}


def test_a_parts_processes_are_its_own(device_of: Open) -> None:
    """On a part of a GPU, the processes of the other parts are not there."""
    nvml = divided(2)
    parts = nvml.cards[1].parts
    assert parts is not None
    nvml.cards[1].held = {1: None, 2: None}
    parts[0].held, parts[1].held = {1: MIB}, {2: MIB}
    assert device_of(nvml, f"MIG-{PARTS[0]}").processes(1) == {1: MIB}


@pytest.mark.parametrize("code", UNSUPPORTED_CODES)
def test_processes_that_are_not_told_are_none(device_of: Open, code: int) -> None:
    """A card that does not list its processes gives an empty list."""
    nvml = whole(held={12: 1}).fails(code, "nvmlDeviceGetComputeRunningProcesses")
    assert device_of(nvml).processes(12) == {}


def test_processes_of_a_driver_older_than_pynvml(device_of: Open) -> None:
    """A driver without the list's newest form, for which pynvml raises no NVMLError, lists none."""
    nvml = whole(held={12: 1})
    nvml.functions["nvmlDeviceGetComputeRunningProcesses"] = pynvml.NVMLLibraryMismatchError(
        "Unversioned function called and the pyNVML version does not match the NVML lib version."
    )
    assert device_of(nvml).processes(12) == {}


# Conditions and energy.


def test_conditions(device_of: Open) -> None:
    """Each reading is where it belongs, in the unit that its name says."""
    nvml = whole()
    nvml.functions["nvmlDeviceGetCurrentClocksEventReasons"] = (
        pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonHwThermalSlowdown
    )
    nvml.counts(SW_THERM_SLOWDOWN=7, HW_THERM_SLOWDOWN=8, HW_POWER_BRAKE_SLOWDOWN=2**40)
    assert device_of(nvml).conditions() == Conditions(
        reasons=frozenset({"power cap", "hardware thermal slowdown"}),
        slowdown_ns={
            "software thermal slowdown": 7,
            "hardware thermal slowdown": 8,
            "power brake": 2**40,
        },
        sm_clock_mhz=1980,
        temperature_c=41,
    )


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (pynvml.nvmlClocksEventReasonNone, set()),
        (pynvml.nvmlClocksEventReasonGpuIdle, {"idle"}),
        (pynvml.nvmlClocksEventReasonApplicationsClocksSetting, {"application clocks"}),
        (pynvml.nvmlClocksEventReasonSwPowerCap, {"power cap"}),
        (pynvml.nvmlClocksEventReasonHwSlowdown, {"hardware slowdown"}),
        (pynvml.nvmlClocksEventReasonSyncBoost, {"sync boost"}),
        (pynvml.nvmlClocksEventReasonSwThermalSlowdown, {"software thermal slowdown"}),
        (pynvml.nvmlClocksEventReasonHwThermalSlowdown, {"hardware thermal slowdown"}),
        (pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown, {"power brake"}),
        (pynvml.nvmlClocksEventReasonDisplayClockSetting, {"display clocks"}),
        (0x4000 | pynvml.nvmlClocksEventReasonSwPowerCap, {"power cap", "0x4000"}),
    ],
)
def test_event_reasons_have_names(device_of: Open, bits: int, names: set[str]) -> None:
    """Each bit of pynvml's has its name; a bit of a newer driver keeps its number."""
    nvml = whole()
    nvml.functions["nvmlDeviceGetCurrentClocksEventReasons"] = bits
    assert device_of(nvml).conditions().reasons == frozenset(names)


def test_no_reason_is_not_the_same_as_none_told(device_of: Open) -> None:
    """An unsupported reading is None, and not an empty set that looks like full speed."""
    nvml = whole().fails(UNSUPPORTED, "nvmlDeviceGetCurrentClocksEventReasons")
    assert device_of(nvml).conditions().reasons is None


def test_event_reasons_of_an_old_pynvml(device_of: Open) -> None:
    """A pynvml with the reading's old name alone gives the same names."""
    nvml = whole()
    del nvml.functions["nvmlDeviceGetCurrentClocksEventReasons"]
    nvml.functions["nvmlDeviceGetCurrentClocksThrottleReasons"] = 4
    assert device_of(nvml).conditions().reasons == frozenset({"power cap"})


def test_event_reasons_of_an_old_driver(device_of: Open) -> None:
    """A driver before 535 lacks the new name, which pynvml has all the same: the old is read."""
    nvml = whole().fails(
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, "nvmlDeviceGetCurrentClocksEventReasons"
    )
    nvml.functions["nvmlDeviceGetCurrentClocksThrottleReasons"] = 4
    assert device_of(nvml).conditions().reasons == frozenset({"power cap"})


def test_a_counter_that_is_not_kept_is_left_out(device_of: Open) -> None:
    """Of the slow-down counters, those that the card has are there under their own names."""
    nvml = whole()
    nvml.counts(SW_THERM_SLOWDOWN=0, HW_POWER_BRAKE_SLOWDOWN=9)
    assert device_of(nvml).conditions().slowdown_ns == {
        "software thermal slowdown": 0,
        "power brake": 9,
    }


def test_a_card_that_tells_nothing(device_of: Open) -> None:
    """A card without any of the readings has conditions in which nothing is known."""
    nvml = whole().fails(
        UNSUPPORTED,
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetClockInfo",
        "nvmlDeviceGetTemperature",
    )
    assert device_of(nvml).conditions() == Conditions()


def test_conditions_of_a_part_are_its_cards(device_of: Open) -> None:
    """Temperature and clocks are asked of the card, which has them, and not of the part."""
    nvml = divided(1)
    asked: list[Handle] = []

    def temperature(handle: Handle, _sensor: int) -> int:
        asked.append(handle)
        return 41

    nvml.functions["nvmlDeviceGetTemperature"] = temperature
    assert device_of(nvml).conditions().temperature_c == 41
    assert asked == [Handle(f"GPU-{FIRST}")]


def test_energy_is_in_joules(device_of: Open) -> None:
    """NVML counts millijoules."""
    assert device_of(whole()).energy_j() == 5.5


def test_energy_that_is_not_counted_is_none(device_of: Open) -> None:
    """A card older than Volta has no counter, and no zero in its place."""
    nvml = whole().fails(UNSUPPORTED, "nvmlDeviceGetTotalEnergyConsumption")
    assert device_of(nvml).energy_j() is None


@pytest.mark.parametrize("uuid", [f"MIG-{PARTS[0]}", f"GPU-{FIRST}"])
def test_a_parts_energy_is_none(device_of: Open, uuid: str) -> None:
    """A part has no counter of its own, and its card's is not taken for it."""
    nvml = divided(1)
    assert device_of(nvml, uuid).energy_j() is None
    assert "nvmlDeviceGetTotalEnergyConsumption" not in nvml.calls


# Facts.


def test_facts_are_filled_in(device_of: Open) -> None:
    """NVML adds driver, limits, modes and clocks to what torch knows, and its memory is NVML's."""
    assert device_of(whole()).facts() == DeviceFacts(
        kind="cuda",
        torch_name="cuda:0",
        name="NVIDIA H200",
        memory_mib=140_000,
        compute_capability=(9, 0),
        uuid=f"GPU-{FIRST}",
        driver="580.95.05",
        cuda="12.8",
        power_limit_w=600.0,
        default_power_limit_w=700.0,
        compute_mode="default",
        persistence_mode=True,
        max_sm_clock_mhz=1980,
        mig=False,
    )


def test_facts_that_a_card_lacks_are_none(device_of: Open) -> None:
    """What a card does not tell, such as a laptop's power limit, is None beside what it does."""
    nvml = whole().fails(
        UNSUPPORTED,
        "nvmlDeviceGetEnforcedPowerLimit",
        "nvmlDeviceGetPowerManagementDefaultLimit",
        "nvmlDeviceGetPersistenceMode",
        "nvmlDeviceGetComputeMode",
        "nvmlDeviceGetMaxClockInfo",
    )
    facts = device_of(nvml).facts()
    assert (facts.power_limit_w, facts.default_power_limit_w) == (None, None)
    assert (facts.persistence_mode, facts.compute_mode, facts.max_sm_clock_mhz) == (None,) * 3
    assert (facts.driver, facts.memory_mib, facts.mig) == ("580.95.05", 140_000, False)


@pytest.mark.parametrize(
    "name", ["nvmlInit", "nvmlDeviceGetHandleByUUID", "nvmlSystemGetDriverVersion"]
)
def test_facts_without_nvml_are_torchs(device_of: Open, name: str) -> None:
    """Times can be taken without NVML, so facts do not need it."""
    nvml = whole().fails(pynvml.NVML_ERROR_UNKNOWN, name)
    assert device_of(nvml).facts() == torch_facts(f"GPU-{FIRST}")


def test_facts_are_asked_again_after_a_failure(device_of: Open) -> None:
    """What NVML did not answer once is not kept; what it did is."""
    nvml = whole()
    driver = nvml.functions["nvmlSystemGetDriverVersion"]
    device = device_of(nvml.fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlSystemGetDriverVersion"))
    assert device.facts().driver is None
    nvml.functions["nvmlSystemGetDriverVersion"] = driver
    assert device.facts().driver == driver
    nvml.fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlSystemGetDriverVersion")
    assert device.facts().driver == driver


def test_an_absent_gpu_stays_torchs_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch has no such device, facts and readings say so, and NVML is not asked."""

    def absent(_name: str) -> DeviceFacts:
        raise DeviceError("--device cuda:5: torch sees 1 GPU(s)")

    monkeypatch.setattr("whisperbench.devices.nvml.torch_facts", absent)
    nvml = whole()
    for look in (NvmlDevice.facts, NvmlDevice.memory):
        with pytest.raises(DeviceError, match="torch sees 1"):
            look(NvmlDevice("cuda:5", library=nvml))
    assert nvml.calls == []


# Opening and letting go.


def test_nvml_that_does_not_start_is_an_error(device_of: Open) -> None:
    """Without a driver each reading is one line that says what to check."""
    nvml = whole().fails(pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "nvmlInit")
    with pytest.raises(DeviceError, match=r"Driver Not Loaded; .*nvidia-smi") as caught:
        device_of(nvml).memory()
    one_line_of(caught)


@pytest.mark.parametrize(
    "error",
    [
        pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND),
        OSError("libnvidia-ml.so.1: cannot open\nshared object file"),
    ],
)
def test_without_nvml_no_gpu_is_visible(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Where NVML does not start, for whatever reason, no GPU is there, and no error."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml = whole()
    nvml.functions["nvmlInit"] = error
    assert NvmlDevice.any_visible(nvml) is False
    assert "nvmlShutdown" not in nvml.calls


def test_visible_gpus_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card is visible, none is not, and NVML is left as it was found."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for nvml, expected in ((whole(), True), (FakeNvml(), False)):
        assert NvmlDevice.any_visible(nvml) is expected
        assert nvml.initialised == 0


@pytest.mark.parametrize("hidden", ["", "-1", " "])
def test_hidden_gpus_are_not_visible(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    """What CUDA_VISIBLE_DEVICES hides is not there, whatever NVML shows."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert NvmlDevice.any_visible(whole()) is False


@pytest.mark.parametrize(
    ("name", "visible"), [("nvmlDeviceGetCount", False), ("nvmlShutdown", True)]
)
def test_looking_for_a_gpu_never_fails(
    monkeypatch: pytest.MonkeyPatch, name: str, visible: bool
) -> None:
    """A driver that fails at being counted has no GPU to use; one that fails at the end had."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml = whole().fails(pynvml.NVML_ERROR_UNKNOWN, name)
    assert NvmlDevice.any_visible(nvml) is visible
    assert nvml.initialised == (name == "nvmlShutdown")


def test_nvml_is_opened_once_and_closed(device_of: Open) -> None:
    """However much is read, NVML is initialised once, and shut down by close."""
    nvml = whole()
    device = device_of(nvml)
    assert nvml.calls == [], "naming a device opened it"
    device.facts()
    device.memory()
    device.processes(1)
    device.conditions()
    device.energy_j()
    assert (nvml.calls.count("nvmlInit"), nvml.initialised) == (1, 1)
    device.close()
    device.close()
    assert (nvml.calls.count("nvmlShutdown"), nvml.initialised) == (1, 0)


def test_a_closed_device_opens_again(device_of: Open) -> None:
    """A reading after close initialises NVML again, and finds the card again."""
    nvml = whole(used=3)
    device = device_of(nvml)
    assert device.memory().used_bytes == 3
    device.close()
    nvml.cards.insert(0, Card(f"GPU-{SECOND}", used=4))
    assert device.memory().used_bytes == 3
    device.close()
    assert (nvml.calls.count("nvmlInit"), nvml.initialised) == (2, 0)


def test_a_failing_shutdown_is_not_raised(device_of: Open) -> None:
    """What was read stays true when NVML fails to shut down, and it can be read again."""
    nvml = whole(used=3)
    device = device_of(nvml)
    device.memory()
    nvml.fails(GONE, "nvmlShutdown")
    device.close()
    assert device.memory().used_bytes == 3
    assert nvml.calls.count("nvmlInit") == 2


@pytest.mark.parametrize("look", [NvmlDevice.memory, NvmlDevice.facts])
def test_nvml_is_shut_down_where_the_card_is_not_found(
    device_of: Open, look: Callable[[NvmlDevice], object]
) -> None:
    """Each search for a card that is not there leaves NVML as it found it."""
    nvml = whole()
    device = device_of(nvml, f"GPU-{SECOND}")
    for _ in range(2):
        if look is NvmlDevice.memory:
            with pytest.raises(DeviceError, match="no GPU"):
                look(device)
        else:
            look(device)
        assert nvml.initialised == 0
    assert nvml.calls.count("nvmlInit") == nvml.calls.count("nvmlShutdown") == 2
    device.close()
    assert nvml.initialised == 0


def test_a_search_that_fails_twice_tells_the_first_reason(device_of: Open) -> None:
    """A shutdown that fails after the search has, does not hide why the card was not found."""
    nvml = whole().fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlShutdown")
    with pytest.raises(DeviceError, match="no GPU"):
        device_of(nvml, f"GPU-{SECOND}").memory()


def test_a_reading_that_fails_leaves_the_device_to_be_closed(device_of: Open) -> None:
    """After a failed reading the device is still open: it can be read again, and closed."""
    nvml = whole(used=3)
    reading = nvml.functions["nvmlDeviceGetMemoryInfo"]
    device = device_of(nvml.fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlDeviceGetMemoryInfo"))
    with pytest.raises(DeviceError):
        device.memory()
    nvml.functions["nvmlDeviceGetMemoryInfo"] = reading
    assert device.memory().used_bytes == 3
    assert (nvml.calls.count("nvmlInit"), nvml.initialised) == (1, 1)
    device.close()
    assert nvml.initialised == 0
