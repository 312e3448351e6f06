"""The memory probe: how often it reads, what it keeps, and what its trace tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.measure.memory.probing import (
    FAST,
    OURS,
    STRANGER,
    WATCHED,
    pace,
    watch,
)
from tests.scripted import MIB, FakeClock, Script, ScriptedDevice, taken
from whisperbench.devices.device import DeviceMemory
from whisperbench.errors import DeviceError
from whisperbench.measure.memory.probe import COST_READINGS, DUTY, INTERVAL_S, Pace, Trace


@pytest.mark.parametrize(
    ("memory_cost_s", "processes_cost_s", "interval_s", "processes_every"),
    [
        (0.0, 0.0, 0.001, 100),
        (8e-6, 36e-6, 0.001, 100),  # an H200
        (100e-6, 100e-6, 0.001, 100),  # the dearest that allow 1 ms, and a look at each movement
        (8e-6, 1e-3, 0.001, 10),
        (8e-6, 4500e-6, 0.001, 45),  # a driver that is slow to list processes
        (500e-6, 10e-6, 0.005, 20),  # a dear memory reading slows the polls,
        (500e-6, 4500e-6, 0.005, 9),  # and then every ninth of them may look at the processes
        (0.2, 0.0, 2.0, 1),
        (None, 0.0, 0.001, 1),  # a host, whose only reading is that of the process
        (None, 1e-3, 0.010, 1),
    ],
)
def test_dear_readings_are_taken_more_rarely(
    memory_cost_s: float | None, processes_cost_s: float, interval_s: float, processes_every: int
) -> None:
    """What a reading costs sets how often it is taken, down from once in a millisecond."""
    chosen = Pace.choose(memory_cost_s, processes_cost_s)
    assert chosen.interval_s == pytest.approx(interval_s)
    assert chosen.processes_every == processes_every
    assert chosen.memory_cost_s == (memory_cost_s or 0.0)
    assert chosen.processes_cost_s == processes_cost_s


@pytest.mark.parametrize("memory_cost_s", [0.0, 1e-6, 99e-6, 101e-6, 3e-3, 1.0])
@pytest.mark.parametrize("processes_cost_s", [0.0, 1e-6, 99e-6, 101e-6, 3e-3, 1.0])
def test_reading_takes_no_more_than_its_share(
    memory_cost_s: float, processes_cost_s: float
) -> None:
    """Neither reading takes more than the duty of a core, and polls are at least 1 ms apart."""
    chosen = Pace.choose(memory_cost_s, processes_cost_s)
    assert chosen.interval_s >= INTERVAL_S
    assert chosen.processes_every >= 1
    assert memory_cost_s / chosen.interval_s <= DUTY * 1.0001
    assert processes_cost_s / (chosen.interval_s * chosen.processes_every) <= DUTY * 1.0001


def test_the_cost_of_readings_is_measured() -> None:
    """The pace is chosen from the median of some readings; the first, which opens, is not one."""
    clock = FakeClock()
    processes: Mapping[int, int | None] = {WATCHED: MIB}
    device = ScriptedDevice(
        memory=[clock.takes(cost_s, taken(1)) for cost_s in (3.0, 8e-6, 9e-6, 1.0, 7e-6, 8e-6)],
        processes=[clock.takes(cost_s, processes) for cost_s in (3.0, *[4500e-6] * 5)],
    )
    measured = Pace.measure(device, WATCHED, clock)
    assert measured.memory_cost_s == pytest.approx(8e-6)
    assert measured.processes_cost_s == pytest.approx(4500e-6)
    assert measured == Pace.choose(measured.memory_cost_s, measured.processes_cost_s)
    assert device.looks == {"memory": COST_READINGS + 1, "processes": COST_READINGS + 1}
    assert set(device.watched) == {WATCHED}


def test_a_device_that_does_not_answer_has_no_pace() -> None:
    """A reading that fails while its cost is measured is told at once."""
    for device in (
        ScriptedDevice(memory=DeviceError("memory is off")),
        ScriptedDevice(memory=taken(1), processes=[{}, DeviceError("memory is off")]),
    ):
        with pytest.raises(DeviceError, match="memory is off"):
            Pace.measure(device, WATCHED, FakeClock())


def test_samples_are_kept_in_order() -> None:
    """Each poll is there, in order, with its time and both of its figures."""
    device = ScriptedDevice(
        memory=[taken(10), taken(30), taken(20)],
        processes=[{WATCHED: 1 * MIB}, {WATCHED: 3 * MIB}, {WATCHED: 2 * MIB}],
    )
    trace = watch(device, 3)
    assert trace.device_bytes == [10 * MIB, 30 * MIB, 20 * MIB]
    assert trace.process_bytes == [1 * MIB, 3 * MIB, 2 * MIB]
    assert trace.times_s == pytest.approx([0.0, 0.001, 0.002])
    assert trace.failure == ""
    assert set(device.watched) == {WATCHED}


def test_polls_keep_their_interval() -> None:
    """The time that a reading takes is part of the interval, and does not add to it."""
    clock = FakeClock()
    device = ScriptedDevice(memory=clock.takes(0.004, taken(1)))
    trace = watch(device, 4, at=pace(interval_s=0.010), clock=clock)
    assert trace.times_s == pytest.approx([0.004, 0.014, 0.024, 0.034])
    assert clock.slept_s == pytest.approx([0.006] * 4)


def test_a_late_poll_is_a_gap() -> None:
    """What was missed while a reading hung stays missed: it is neither made up nor hidden."""
    clock = FakeClock()
    script: list[Callable[[], DeviceMemory | None]] = [
        clock.takes(cost_s, taken(1)) for cost_s in (0.0, 0.5, 0.0)
    ]
    trace = watch(ScriptedDevice(memory=[*script]), 5, at=pace(0.010), clock=clock)
    # The poll after the late one follows at once, and from then on the interval holds again.
    assert trace.times_s == pytest.approx([0.0, 0.510, 0.510, 0.520, 0.530])
    assert trace.longest_gap_s() == pytest.approx(0.510)


@pytest.mark.parametrize("every", [1, 3])
def test_processes_are_looked_at_every_so_often(every: int) -> None:
    """Between two looks at the processes their figure is not known, and not carried on."""
    device = ScriptedDevice(memory=taken(9), processes={WATCHED: MIB})
    trace = watch(device, 7, at=pace(processes_every=every))
    assert trace.process_bytes == [None if i % every else MIB for i in range(7)]
    assert trace.device_bytes == [9 * MIB] * 7
    assert device.looks["processes"] == len(range(0, 7, every))


@pytest.mark.parametrize("found", [{}, {WATCHED: None}, {STRANGER: MIB}])
def test_a_process_without_a_figure_has_none(found: dict[int, int | None]) -> None:
    """A watched process that is hidden or not on the device has None, and not a zero."""
    trace = watch(ScriptedDevice(memory=taken(1), processes=found), 2)
    assert trace.process_bytes == [None, None]


def test_a_device_without_a_figure_has_none() -> None:
    """On a host, where the fill says nothing, the process's figure stands alone."""
    trace = watch(ScriptedDevice(memory=None, processes={WATCHED: MIB}), 2)
    assert trace.device_bytes == [None, None]
    assert trace.process_bytes == [MIB, MIB]
    assert trace.reserved_bytes is None


def test_strangers_are_noted_when_they_are_first_seen() -> None:
    """A foreign process is kept with its first time; those of ours are not strangers.

    One that goes away and comes back keeps its first time.
    """
    alone: dict[int, int | None] = {WATCHED: MIB, OURS: MIB}
    device = ScriptedDevice(
        memory=taken(1),
        processes=[alone, alone | {STRANGER: None}, alone, alone | {STRANGER: MIB, 7: MIB}],
    )
    trace = watch(device, 6)
    assert trace.strangers == pytest.approx({STRANGER: 0.001, 7: 0.003})


@pytest.mark.parametrize(
    ("script", "listed"),
    [
        ([{WATCHED: MIB}], True),
        ([{WATCHED: None}], True),
        ([{}, {WATCHED: MIB}, {}], True),
        ([{}], False),
        ([{OURS: MIB, STRANGER: MIB}], False),
    ],
)
def test_whether_the_watched_process_was_listed(
    script: list[Mapping[int, int | None]], listed: bool
) -> None:
    """A process whose figure is hidden is listed; one that goes by another id is not."""
    assert watch(ScriptedDevice(memory=taken(1), processes=[*script]), 4).listed is listed


def test_the_peak_of_what_the_driver_reserves_is_kept() -> None:
    """The most that was reserved at any poll is kept, past polls without such a figure."""
    script: Script[DeviceMemory | None] = [taken(1, 500), taken(1, 600), taken(1), taken(1, 550)]
    assert watch(ScriptedDevice(memory=script), 5).reserved_bytes == 600 * MIB
    assert watch(ScriptedDevice(memory=taken(1, 0)), 2).reserved_bytes == 0
    assert watch(ScriptedDevice(memory=taken(1)), 2).reserved_bytes is None


def trace_at(*times_s: float) -> Trace:
    """Return a trace of polls at these times."""
    return Trace(
        pace=FAST,
        times_s=list(times_s),
        device_bytes=[None] * len(times_s),
        process_bytes=[None] * len(times_s),
    )


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (1.0, 3.0, range(1, 4)),  # both ends are in
        (0.5, 3.5, range(1, 4)),
        (1.1, 1.9, range(0)),  # between two polls
        (2.0, 2.0, range(2, 3)),
        (-9.0, 99.0, range(5)),
        (5.0, 9.0, range(0)),
        (-9.0, -1.0, range(0)),
        (3.0, 1.0, range(0)),
    ],
)
def test_polls_between_two_times(start_s: float, end_s: float, expected: range) -> None:
    """A span of time has the polls from the first to the last inside it, or none."""
    assert trace_at(0.0, 1.0, 2.0, 3.0, 4.0).between(start_s, end_s) == expected


def test_an_empty_trace_has_nothing_between() -> None:
    """A trace without polls has none at any time."""
    assert list(trace_at().between(0.0, 9.0)) == []


def test_polls_at_the_same_time_are_all_inside() -> None:
    """A clock too coarse to tell two polls apart loses neither."""
    assert trace_at(0.0, 1.0, 1.0, 2.0).between(1.0, 1.0) == range(1, 3)


@pytest.mark.parametrize(
    ("times_s", "gap_s"),
    [((), 0.0), ((5.0,), 0.0), ((5.0, 5.5), 0.5), ((0.0, 1.0, 5.0, 6.0), 4.0)],
)
def test_the_longest_gap(times_s: tuple[float, ...], gap_s: float) -> None:
    """The longest time between two polls; fewer than two polls have none between them."""
    assert trace_at(*times_s).longest_gap_s() == gap_s
