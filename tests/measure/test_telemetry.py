"""Telemetry: what a GPU went through between the rounds, and when that is trouble."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec
import pytest

from tests.scripted import MIB, ScriptedDevice, taken
from whisperbench.devices.device import Conditions
from whisperbench.devices.host import HostDevice
from whisperbench.devices.nvml_reasons import EVENT_REASONS
from whisperbench.errors import DeviceError
from whisperbench.measure.telemetry import SLOWDOWNS, Telemetry

OWN = os.getpid()
STRANGER = 2**22 + 1
"""A process id that Linux never gives."""

OTHER = STRANGER + 1

Listed = Mapping[int, int | None]


def reasons(
    *names: str, sm_clock_mhz: int | None = None, temperature_c: int | None = None
) -> Conditions:
    """Return a reading with these event reasons."""
    return Conditions(
        reasons=frozenset(names), sm_clock_mhz=sm_clock_mhz, temperature_c=temperature_c
    )


def watched(
    *conditions: Conditions, processes: list[Listed] | None = None, unnamed: int | None = None
) -> Telemetry:
    """Look once at each of these conditions, and at the processes in step with them."""
    lists: list[Listed] = [{OWN: MIB}] if processes is None else processes
    looks = max(len(conditions), len(lists))
    device = ScriptedDevice(
        conditions=[*(conditions or (reasons(),))],
        processes=[*lists],
        facts=AssertionError(),
        memory=taken(1),
    )
    telemetry = (
        Telemetry(device=device) if unnamed is None else Telemetry(device=device, unnamed=unnamed)
    )
    for _ in range(looks):
        telemetry.look()
    assert device.looks == {"conditions": looks, "processes": looks}
    return telemetry


# Slow-downs.


@pytest.mark.parametrize(
    "reason",
    [
        "hardware slowdown",
        "hardware thermal slowdown",
        "power brake",
        "software thermal slowdown",
    ],
)
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_a_slowdown_at_any_reading_is_trouble(reason: str, turn: int) -> None:
    """Each of the slow-downs is trouble by its name, before the first round, between, or after."""
    rows = [reasons(), reasons(), reasons()]
    rows[turn] = reasons(reason, "power cap")
    assert watched(*rows).trouble() == f"the GPU was slowed down ({reason})"


def test_what_a_card_always_does_is_no_trouble() -> None:
    """A power cap, idling, application clocks and the like do not spoil a time."""
    harmless = set(EVENT_REASONS.values()) - SLOWDOWNS
    assert {"idle", "application clocks", "power cap", "sync boost"} <= harmless
    for reason in harmless:
        assert watched(reasons(reason)).trouble() == ""
    assert set(EVENT_REASONS.values()) >= SLOWDOWNS, "a name that NVML's bits never give"


def test_several_slowdowns_are_all_named() -> None:
    """What two readings showed stands together, each once."""
    rows = (reasons("power brake"), reasons("power brake", "hardware slowdown"))
    assert watched(*rows).trouble() == "the GPU was slowed down (hardware slowdown, power brake)"


def test_a_slowdown_between_two_readings_is_counted() -> None:
    """The driver's own counter tells of one that was over before a reading could see it."""
    before, after = (
        Conditions(
            reasons=frozenset(),
            slowdown_ns={"power brake": at_ns, "software thermal slowdown": 5_000_000},
        )
        for at_ns in (40_000_000, 52_000_000)
    )
    assert watched(before, after).trouble() == "the GPU was slowed down (power brake for 12 ms)"
    middle = reasons("power brake")
    assert "(power brake for 12 ms)" in watched(before, middle, after).trouble()


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ({"power brake": 7_000_000}, {"power brake": 7_000_000}),
        ({}, {"power brake": 7_000_000}),
        ({"power brake": 7_000_000}, {}),
        ({"power brake": 7_000_000}, {"power brake": 0}),  # the driver was loaded again
    ],
)
def test_a_counter_that_has_not_grown_is_no_trouble(
    first: dict[str, int], last: dict[str, int]
) -> None:
    """What was counted before the first round, or cannot be compared, is not held against it."""
    assert watched(Conditions(slowdown_ns=first), Conditions(slowdown_ns=last)).trouble() == ""


# Strangers.


def test_ours_alone_is_no_trouble() -> None:
    """This process may hold the device, with a figure or without one."""
    assert watched(processes=[{OWN: MIB}]).trouble() == ""
    assert watched(processes=[{OWN: None}]).trouble() == ""
    assert watched(processes=[{}]).trouble() == ""


@pytest.mark.parametrize("unnamed", [0, 1])
def test_a_stranger_beside_us_is_trouble(unnamed: int) -> None:
    """Where ours is listed by its id, any other is somebody else, and is named."""
    telemetry = watched(processes=[{OWN: MIB, STRANGER: None}], unnamed=unnamed)
    assert telemetry.trouble() == f"another process used the GPU ({STRANGER})"


def test_a_stranger_of_one_reading_is_trouble() -> None:
    """One that came and went is as bad, in whichever reading ours is listed."""
    for lists in (
        [{OWN: MIB}, {OWN: MIB, STRANGER: MIB}, {OWN: MIB}],
        [{STRANGER: MIB}, {OWN: MIB}],
        [{OWN: MIB}, {STRANGER: MIB}],
    ):
        assert str(STRANGER) in watched(processes=[*lists]).trouble()


def test_in_a_container_one_unknown_process_is_ours() -> None:
    """Where ids are the host's, ours goes by one that is not known here; a second is not ours."""
    assert watched(processes=[{STRANGER: MIB}]).trouble() == ""
    both = {OTHER: MIB, STRANGER: MIB}
    assert (
        watched(processes=[both]).trouble() == f"another process used the GPU ({STRANGER}, {OTHER})"
    )
    one_after_the_other: list[Listed] = [{STRANGER: MIB}, {OTHER: MIB}]
    assert str(OTHER) in watched(processes=one_after_the_other).trouble()


def test_where_nothing_of_ours_runs_any_process_is_a_stranger() -> None:
    """Between fresh processes no unknown id can be ours."""
    assert watched(processes=[{}], unnamed=0).trouble() == ""
    telemetry = watched(processes=[{STRANGER: MIB}], unnamed=0)
    assert telemetry.trouble() == f"another process used the GPU ({STRANGER})"


def test_both_troubles_are_said() -> None:
    """A slow-down does not hide a stranger."""
    telemetry = watched(reasons("power brake"), processes=[{OWN: MIB, STRANGER: MIB}])
    assert telemetry.trouble() == (
        f"the GPU was slowed down (power brake) and another process used the GPU ({STRANGER})"
    )


# What is kept.


def test_the_conditions_are_kept() -> None:
    """The median and lowest clock, the highest temperature, and every reason that was seen."""
    telemetry = watched(
        reasons("idle", sm_clock_mhz=345, temperature_c=40),
        reasons("power cap", sm_clock_mhz=1980, temperature_c=71),
        reasons("power cap", "idle", sm_clock_mhz=1950, temperature_c=70),
    )
    assert msgspec.to_builtins(telemetry.conditions()) == {
        "others": "visible",
        "sm_clock_mhz": 1950,
        "lowest_sm_clock_mhz": 345,
        "highest_temperature_c": 71,
        "event_reasons": "idle, power cap",
    }


def test_readings_that_are_missing_now_and_then_are_left_out() -> None:
    """A reading without a figure takes nothing from the others."""
    telemetry = watched(
        Conditions(), reasons(sm_clock_mhz=1900), Conditions(temperature_c=0), Conditions()
    )
    assert msgspec.to_builtins(telemetry.conditions()) == {
        "others": "visible",
        "sm_clock_mhz": 1900,
        "lowest_sm_clock_mhz": 1900,
        "highest_temperature_c": 0,
        "event_reasons": "none",
    }


def test_what_could_not_be_seen_is_noted() -> None:
    """A GPU that hides its processes and its reasons says so in the result."""
    telemetry = watched(Conditions(), processes=[{}])
    assert telemetry.trouble() == ""
    assert msgspec.to_builtins(telemetry.conditions()) == {
        "others": "hidden",
        "event_reasons": "not readable",
    }


def test_a_host_tells_nothing_and_has_no_trouble() -> None:
    """On a CPU there is nothing to note, and its hundreds of processes are not strangers."""
    telemetry = Telemetry(device=HostDevice())
    telemetry.look()
    telemetry.look()
    assert telemetry.trouble() == ""
    assert msgspec.to_builtins(telemetry.conditions()) == {}


@pytest.mark.parametrize("reading", ["conditions", "processes"])
def test_a_device_that_does_not_answer_is_told(reading: str) -> None:
    """A lost GPU is not mistaken for one without trouble."""
    failure = DeviceError("GPU is lost")
    device = (
        ScriptedDevice(conditions=failure)
        if reading == "conditions"
        else ScriptedDevice(processes=failure)
    )
    with pytest.raises(DeviceError, match="GPU is lost"):
        Telemetry(device=device).look()
