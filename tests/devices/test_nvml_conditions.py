"""NVIDIA GPUs through a scripted NVML: conditions and energy."""

from __future__ import annotations

import pynvml
import pytest

from tests.devices.scripted_nvml import (
    FIRST,
    PARTS,
    UNSUPPORTED,
    Handle,
    Open,
    divided,
    whole,
)
from whisperbench.devices.device import Conditions


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
