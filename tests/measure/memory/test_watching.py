"""The memory pass: its figures, and everything that makes them invalid, without a GPU.

A made-up cell (tests/workloads.py) runs in a real fresh process and holds made-up memory of a
made-up card; the pass watches it through a scripted device.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil
import pytest

from fixtures.memory import MemoryOfCell
from tests import workloads
from tests.conftest import RunSuite
from tests.scripted import MIB, ScriptedDevice, taken
from tests.workloads import GONE, Card, Play, Step, play
from whisperbench.asked.clips import read_manifest
from whisperbench.asked.suite import CLIPS_FOLDER, ROOT
from whisperbench.devices import usable
from whisperbench.devices.device import DeviceMemory
from whisperbench.devices.host import HostDevice
from whisperbench.errors import DeviceError, InvalidMeasurementError, OverLimitError
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.fresh import start_process
from whisperbench.measure.memory import plausibility, watching
from whisperbench.measure.memory import probe as probe_module
from whisperbench.measure.memory.observation import Observation, Span
from whisperbench.measure.memory.plausibility import MIN_POLLS, require_believable
from whisperbench.measure.memory.probe import COST_READINGS, Pace, Trace
from whisperbench.measure.memory.watched import PHASES, AllocatorLevels, Done, Failed, Mark, Phase
from whisperbench.measure.memory.watching import Footprint, measure_memory
from whisperbench.plugin.outcomes import failed_as
from whisperbench.results.records import Measurement
from whisperbench.results.run_file import read_run
from whisperbench.units import mib
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.loading import load_model

if TYPE_CHECKING:
    from tests.workloads import Ending

IDLE_MIB = 100.0
DRIVER_MIB = 50.0
EXTRA_MIB = 7.0
"""What the made-up driver takes for a process beside what it counts as the process's."""

STRANGER = 2**22 + 1
"""Above the highest process id that Linux gives: nobody here."""

HANG_S = 30.0
"""Far more than any wait here takes: one that reaches it hangs."""


def levels(
    allocated: float, reserved: float, peak_allocated: float, peak_reserved: float
) -> AllocatorLevels:
    """Return what torch counts, given in MiB."""
    return AllocatorLevels(
        allocated_bytes=round(allocated * MIB),
        reserved_bytes=round(reserved * MIB),
        peak_allocated_bytes=round(peak_allocated * MIB),
        peak_reserved_bytes=round(peak_reserved * MIB),
    )


START = Step()
CONTEXT = Step(300, 300, levels(0.5, 2, 0.5, 2))
LOAD = Step(700, 640, levels(280, 330, 360, 390))
SETTLE = Step(640, 600, levels(270, 290, 280, 330))
FIRST = Step(800, 750, levels(275, 400, 410, 480))
STEADY = Step(760, 760, levels(275, 405, 405, 420))
LEFT_OR_ZERO = "(0|307)"
"""Growth that is seen in loading where the device does not move then: the poll that the phase
begins with may still see what the context left."""

STEPS = (START, CONTEXT, LOAD, SETTLE, FIRST, STEADY)

DONE = Done(weight_bytes=250 * MIB)
FINE = partial(workloads.say, DONE)


def a_play(card: Card, *steps: Step, ending: Ending = FINE) -> Play:
    """Ask for a made-up cell; without steps for one that goes through all phases."""
    return Play(
        model="made-up",
        folder="",
        precision="int8",
        attention="sdpa",
        device="cuda:0",
        clip=read_manifest(CLIPS_FOLDER)["yes"],
        batch_size=1,
        tokens=2,
        card=card,
        steps=steps or STEPS,
        ending=ending,
    )


Processes = Mapping[int, int | None]


def a_gpu(
    card: Card,
    *,
    memory: Callable[[DeviceMemory], DeviceMemory | None] = lambda memory: memory,
    processes: Callable[[Processes], Processes] = lambda processes: processes,
) -> ScriptedDevice:
    """Return a GPU on which the cell of a card runs.

    Args:
        card: what the cell holds.
        memory: makes another reading of the true one.
        processes: the same for the processes.
    """

    def read_memory() -> DeviceMemory | None:
        held = mib(card.held)
        return memory(taken(IDLE_MIB + held + (EXTRA_MIB if held else 0.0), DRIVER_MIB))

    def read_processes() -> Processes:
        found = processes({card.pid: card.held} if card.held else {})
        card.looked()
        return found

    return ScriptedDevice(memory=read_memory, processes=read_processes)


def figures(footprint: Footprint | Measurement) -> dict[str, float]:
    """Return the values of the metrics by name."""
    return {metric.name: metric.value or 0.0 for metric in footprint.metrics}


@pytest.fixture
def card() -> Card:
    """A card that nobody uses."""
    return Card()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the processes in every poll: a phase then takes 5 ms, and not 300."""
    monkeypatch.setattr(probe_module, "STILL_INTERVAL_S", 0.0)
    monkeypatch.setattr(probe_module, "PROCESSES_INTERVAL_S", 0.0)

    def start(target: Any, request: CellRequest, *, forked: bool) -> Any:
        """Fork a made-up cell also where a real one would be spawned, which takes a second."""
        return start_process(target, request, forked=forked or isinstance(request, Play))

    monkeypatch.setattr(watching, "start_process", start)


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    """Whatever becomes of a pass, its process is gone afterwards."""
    yield
    left = multiprocessing.active_children()
    for process in left:
        process.kill()
    assert not left


def refused(
    request: CellRequest, device: Any, match: str, *, timeout_s: float = HANG_S
) -> InvalidMeasurementError:
    """Run a pass that is invalid, for a reason that is one line and names the cell."""
    with pytest.raises(InvalidMeasurementError, match=match) as caught:
        measure_memory(request, device, target=play, timeout_s=timeout_s)
    assert str(caught.value).startswith("memory of made-up in int8")
    assert "\n" not in str(caught.value)
    assert failed_as(caught.value) == "invalid"
    if isinstance(request, Play) and request.card.pid:
        assert not psutil.pid_exists(request.card.pid)
    return caught.value


# Figures.


@pytest.mark.parametrize("still_interval_s", [0.0, probe_module.STILL_INTERVAL_S])
def test_the_figures_of_a_known_script(
    card: Card, monkeypatch: pytest.MonkeyPatch, still_interval_s: float
) -> None:
    """Each figure is of its own phase and its own source, and none is left out or made up."""
    monkeypatch.setattr(probe_module, "STILL_INTERVAL_S", still_interval_s)
    footprint = measure_memory(a_play(card), a_gpu(card), target=play)
    assert figures(footprint) == {
        "weight_mib": 250,
        "context_mib": 298,  # without the block that torch holds
        "load_peak_allocated_mib": 360,
        "load_peak_reserved_mib": 390,
        "load_peak_process_mib": 700,
        "load_peak_device_mib": 707,
        "first_call_peak_allocated_mib": 410,
        "first_call_peak_reserved_mib": 480,
        "first_call_peak_process_mib": 800,
        "first_call_peak_device_mib": 807,
        "steady_call_peak_allocated_mib": 405,
        "steady_call_peak_reserved_mib": 420,
        "steady_call_peak_process_mib": 760,
        "steady_call_peak_device_mib": 767,
        "peak_allocated_mib": 410,
        "peak_reserved_mib": 480,
        "peak_process_mib": 800,
        "peak_device_mib": 807,
        "driver_reserved_mib": 50,
    }
    assert {metric.unit for metric in footprint.metrics} == {"MiB"}
    assert {metric.better for metric in footprint.metrics} == {"lower"}
    exact = [metric.name for metric in footprint.metrics if metric.kind != "memory"]
    assert exact == ["weight_mib"]
    assert footprint.ran_out == ""
    assert footprint.seconds > 0.0


def test_the_peak_of_loading_can_be_the_highest(card: Card) -> None:
    """A peak of the whole pass is the highest of its phases, whichever that is."""
    load = Step(900, 640, levels(280, 330, 850, 880))
    footprint = measure_memory(
        a_play(card, START, CONTEXT, load, SETTLE, FIRST, STEADY), a_gpu(card), target=play
    )
    found = figures(footprint)
    for kind, peak in {"allocated": 850, "reserved": 880, "process": 900, "device": 907}.items():
        assert found[f"load_peak_{kind}_mib"] == found[f"peak_{kind}_mib"] == peak
    assert found["first_call_peak_process_mib"] == 800


def test_the_notes_say_how_it_was_measured(card: Card) -> None:
    """Which figure is judged, how often was polled and at what price, and the idle level."""
    device = a_gpu(card)
    notes = measure_memory(a_play(card), device, target=play).notes
    assert notes["judged"] == "process (NVML)"
    assert notes["idle_device_mib"] == IDLE_MIB
    polls, gap_ms, interval_ms = (
        float(notes[name]) for name in ("polls", "longest_gap_ms", "poll_interval_ms")
    )
    # What was read before and after the pass is no poll.
    assert len(PHASES) * MIN_POLLS <= polls < device.looks["memory"] - watching.IDLE_READINGS
    assert interval_ms >= 1.0
    assert float(notes["process_poll_interval_ms"]) >= interval_ms
    assert gap_ms > 0.0
    assert float(notes["poll_cost_us"]) > 0.0
    assert float(notes["ready_s"]) > 0.0


def test_only_the_cell_is_watched(card: Card) -> None:
    """The probe asks for the memory of the cell's process; this one's is asked for before it."""
    device = a_gpu(card)
    measure_memory(a_play(card), device, target=play)
    assert set(device.watched) == {os.getpid(), card.pid}
    assert device.watched[-1] == card.pid


def test_a_known_process_here_is_no_stranger(card: Card) -> None:
    """This process may be on the device itself; what it holds is part of the idle level."""
    device = a_gpu(card, processes=lambda found: {**found, os.getpid(): 20 * MIB})
    footprint = measure_memory(a_play(card), device, target=play)
    assert figures(footprint)["peak_process_mib"] == 800


def test_the_idle_level_is_no_outlier(card: Card) -> None:
    """One odd reading among those of the idle device moves nothing."""
    level = iter([500.0])
    device = a_gpu(card, memory=lambda read: taken(next(level, mib(read.used_bytes))))
    footprint = measure_memory(a_play(card), device, target=play)
    assert footprint.notes["idle_device_mib"] == IDLE_MIB
    assert figures(footprint)["peak_device_mib"] == 807


def test_a_driver_that_tells_nothing_apart(card: Card) -> None:
    """Where the driver's own share is not told, there is no such figure, and no zero."""
    device = a_gpu(card, memory=lambda read: taken(mib(read.used_bytes)))
    found = figures(measure_memory(a_play(card), device, target=play))
    assert "driver_reserved_mib" not in found
    assert found["peak_device_mib"] == 807


def test_a_gpu_without_a_level_is_not_believed(card: Card) -> None:
    """A GPU that does not tell its fill cannot be held against anything, and is no host."""
    refused(a_play(card), a_gpu(card, memory=lambda _: None), "memory was not readable")


# Drivers and containers that hide the process.


@pytest.mark.parametrize(
    "shown",
    [
        lambda pid: {pid: None},  # Windows and WSL
        lambda _pid: {},
        lambda _pid: {0: None},  # a container that sees the host's processes,
        lambda _pid: {STRANGER: None},  # by the host's ids,
        lambda _pid: {STRANGER: 600 * MIB},  # with figures or without
    ],
)
def test_a_hidden_process_is_judged_by_the_device(
    card: Card, shown: Callable[[int], Processes]
) -> None:
    """Where the process has no figure here, the device's growth stands for it, and is said to.

    The one foreign id that comes with the cell is the cell.
    """
    device = a_gpu(card, processes=lambda found: shown(card.pid) if found else {})
    footprint = measure_memory(a_play(card), device, target=play)
    found = figures(footprint)
    assert not [name for name in found if "process" in name]
    assert found["context_mib"] == 305
    assert found["load_peak_device_mib"] == 707
    assert found["peak_device_mib"] == 807
    judged = footprint.notes["judged"]
    assert judged == "device delta (NVML), process figures are hidden"


@pytest.mark.parametrize("ids", [(STRANGER, STRANGER + 1), (-1, STRANGER)])
def test_two_strangers_are_never_one_cell(card: Card, ids: tuple[int, ...]) -> None:
    """Of two foreign ids, at least one is somebody else."""
    device = a_gpu(card, processes=lambda found: dict.fromkeys(ids) if found else {})
    error = refused(a_play(card), device, "are on the device during the pass; stop what else")
    for pid in ids:
        assert (f"process {pid}" if pid > 0 else "a process without an id") in str(error)


@pytest.mark.parametrize("phase", ["start", "settle", "first call"])
def test_a_stranger_that_comes_at_another_time_is_not_the_cell(card: Card, phase: Phase) -> None:
    """A hidden cell comes to the device with its context: who comes before or after is not it."""

    def processes(_found: Processes) -> Processes:
        return {STRANGER: None} if card.is_in(phase) else {}

    refused(a_play(card), a_gpu(card, processes=processes), f"process {STRANGER} is on the device")


def test_a_figure_that_is_hidden_half_way_is_no_peak(card: Card) -> None:
    """A process that is only seen while it holds little leaves no low peak that looks measured."""

    def processes(found: Processes) -> Processes:
        return found if card.is_in("context") else dict.fromkeys(found)

    request = a_play(card)
    refused(request, a_gpu(card, processes=processes), "process('s memory was not readable| hold )")


# Other users of the device.


def test_a_used_device_is_refused_before_anything_starts(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody on the device, and still there after a while, is named, and nothing is started."""
    monkeypatch.setattr(watching, "IDLE_TIMEOUT_S", 0.1)
    device = a_gpu(card, processes=lambda found: {**found, os.getppid(): 20 * MIB, STRANGER: None})
    error = refused(a_play(card), device, "are on the device already; stop it, or measure on")
    assert f"process {os.getppid()} ({psutil.Process(os.getppid()).name()})" in str(error)
    assert f"process {STRANGER} " in str(error)
    assert card.pid == 0


@pytest.mark.parametrize("phase", PHASES)
def test_a_stranger_in_mid_pass_is_named(card: Card, phase: Phase) -> None:
    """Somebody who is on the device in any phase, and be it for a moment, spoils the pass."""
    device = a_gpu(
        card,
        processes=lambda found: {**found, STRANGER: 9 * MIB} if card.is_in(phase) else found,
    )
    refused(a_play(card), device, f"process {STRANGER} is on the device during the pass; stop")


@pytest.mark.parametrize(("moved_mib", "text"), [(9, r"\+9 MiB"), (-9, "-9 MiB")])
def test_a_device_that_is_not_idle_again(
    card: Card, monkeypatch: pytest.MonkeyPatch, moved_mib: float, text: str
) -> None:
    """Where the level afterwards is another than before, the level between is not the cell's."""
    monkeypatch.setattr(watching, "IDLE_TIMEOUT_S", 0.05)

    def moved(read: DeviceMemory) -> DeviceMemory:
        return taken(mib(read.used_bytes) + moved_mib) if card.place == GONE else read

    refused(a_play(card), a_gpu(card, memory=moved), f"in use is {text} from what it was before")


@pytest.mark.parametrize("moved_mib", [8, -8])
def test_a_level_moves_a_little(card: Card, moved_mib: float) -> None:
    """A few MiB are the driver's own business."""

    def moved(read: DeviceMemory) -> DeviceMemory:
        return taken(mib(read.used_bytes) + moved_mib) if card.place == GONE else read

    assert measure_memory(a_play(card), a_gpu(card, memory=moved), target=play).metrics


def test_a_driver_may_take_its_time(card: Card) -> None:
    """Memory that is given back a little later was the cell's all the same."""
    late = iter([300.0] * 3)

    def later(read: DeviceMemory) -> DeviceMemory:
        more_mib = next(late, 0.0) if card.place == GONE else 0.0
        return taken(mib(read.used_bytes) + more_mib)

    assert measure_memory(a_play(card), a_gpu(card, memory=later), target=play).metrics
    assert next(late, None) is None


# Readings that cannot be true.


@pytest.mark.parametrize(("phase", "seen_mib"), [("context", "0"), ("load", LEFT_OR_ZERO)])
def test_a_device_that_does_not_move(card: Card, phase: Phase, seen_mib: str) -> None:
    """A level that stays while torch reserves memory is another card's, in whichever phase."""
    device = a_gpu(card, memory=lambda read: taken(IDLE_MIB) if card.is_in(phase) else read)
    refused(
        a_play(card),
        device,
        f"phase '{phase}'.*memory grow by {seen_mib} MiB while torch reserved .* another card, or",
    )


@pytest.mark.parametrize("grown_mib", [350, 381])
def test_a_device_that_moves_too_little(card: Card, grown_mib: float) -> None:
    """Growth by less than torch has reserved, but for rounding, is not of this cell."""
    device = a_gpu(
        card,
        memory=lambda read: taken(IDLE_MIB + grown_mib) if card.is_in("load") else read,
    )
    refused(a_play(card), device, f"grow by {grown_mib} MiB while torch reserved 390 MiB")


def test_a_device_that_moves_just_enough(card: Card) -> None:
    """Growth by what torch has reserved is believed, and so is a little less: torch rounds."""
    device = a_gpu(card, memory=lambda read: taken(IDLE_MIB + 382) if card.is_in("load") else read)
    footprint = measure_memory(a_play(card), device, target=play)
    assert figures(footprint)["load_peak_device_mib"] == 382


@pytest.mark.parametrize("held_mib", [350, 381])
def test_a_process_that_holds_too_little(card: Card, held_mib: int) -> None:
    """A process with less than torch has reserved is another one."""

    def processes(found: Processes) -> Processes:
        return {card.pid: held_mib * MIB} if card.is_in("load") else found

    refused(
        a_play(card),
        a_gpu(card, processes=processes),
        f"phase 'load': the probe saw the process hold {held_mib} MiB while torch reserved 390 "
        "MiB; it reads another process",
    )


def test_a_process_that_holds_nothing(card: Card) -> None:
    """A zero is a figure that cannot be, where torch holds something."""
    device = a_gpu(card, processes=lambda found: dict.fromkeys(found, 0))
    refused(a_play(card), device, "phase 'context': the probe saw the process hold 0 MiB while")


def test_a_device_that_loses_its_level(card: Card) -> None:
    """A level that cannot be read for one poll in mid-pass has hidden what happened then."""
    lost = iter([None])

    def memory(read: DeviceMemory) -> DeviceMemory | None:
        return next(lost, read) if card.is_in("settle") else read

    device = a_gpu(card, memory=memory)
    refused(a_play(card), device, "phase '(load|settle)': the device's memory was not readable")


@pytest.mark.parametrize("found", [{}, {STRANGER: 500 * MIB}])
def test_nothing_to_judge_by(card: Card, found: Processes) -> None:
    """A device without a level and a process without a figure leave nothing that is measured."""
    device = a_gpu(card, memory=lambda _: None, processes=lambda true: found if true else {})
    refused(a_play(card), device, "phase 'start': the process's memory was not readable")


def test_a_host_that_reads_zero(card: Card) -> None:
    """A process that holds nothing at all, where torch keeps no count, is no measurement."""
    steps = [Step() for _ in PHASES]
    device = a_gpu(
        card, memory=lambda _: None, processes=lambda _: {card.pid: 0} if card.pid else {}
    )
    request = msgspec.structs.replace(a_play(card, *steps), device="cpu")
    refused(request, device, "phase 'start': the process's memory was not readable")


def test_a_count_that_stays_at_zero(card: Card) -> None:
    """An allocator that counts nothing while weights are loaded is not measured as zero."""
    nothing = levels(0, 0, 0, 0)
    steps = [step._replace(levels=step.levels and nothing) for step in STEPS]
    refused(a_play(card, *steps), a_gpu(card), "250 MiB of weights, but torch's count .* 0 MiB")


def test_weights_of_nothing(card: Card) -> None:
    """A model without weights was not loaded."""
    ending = partial(workloads.say, Done(weight_bytes=0))
    refused(a_play(card, ending=ending), a_gpu(card), "no weights")


@pytest.mark.parametrize("count", [0, 3, 5])
def test_a_cell_that_skips_phases(card: Card, count: int) -> None:
    """A cell that is done before it went through all phases was not measured."""
    request = msgspec.structs.replace(a_play(card), steps=STEPS[:count])
    refused(request, a_gpu(card), "without its phase '(start|settle|steady call)'")


def a_trace(polls: int, *, held: int | None = MIB, used: int | None = 9 * MIB) -> Trace:
    """Return a trace of polls at 0 s, 1 s, 2 s and so on."""
    return Trace(
        pace=Pace.choose(0.0, 0.0),
        times_s=[float(second) for second in range(polls)],
        device_bytes=[used] * polls,
        process_bytes=[held] * polls,
        listed=True,
    )


def a_span(phase: Phase, start_s: float, end_s: float) -> Span:
    """Return a phase that came to its end."""
    mark = Mark(phase=phase, at_s=end_s, levels=None)
    return Span(phase=phase, start_s=start_s, end_s=end_s, mark=mark)


@pytest.mark.parametrize(("end_s", "polls"), [(2.5, 0), (3.0, 1), (4.5, 2)])
def test_a_phase_of_too_few_polls(end_s: float, polls: int) -> None:
    """A phase that was over before three polls has not been watched."""
    watched = Observation(idle_bytes=MIB, trace=a_trace(9))
    watched.spans = [a_span("start", 0.0, 2.2), a_span("load", 2.2, end_s)]
    wanted = f"x, phase 'load': lasted only {polls} polls of the probe, fewer than 3"
    with pytest.raises(InvalidMeasurementError, match=wanted):
        require_believable("x", watched)


def test_a_phase_of_enough_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three polls are enough."""
    monkeypatch.setattr(plausibility, "MAX_GAP_S", 1.0)
    watched = Observation(idle_bytes=MIB, trace=a_trace(9))
    watched.spans = [a_span("start", 0.0, 2.2), a_span("load", 2.2, 5.0)]
    require_believable("x", watched)


def test_a_probe_that_was_held_up_has_not_watched() -> None:
    """A long time without a poll, in a phase whose peaks count, could have hidden a peak."""
    watched = Observation(idle_bytes=MIB, trace=a_trace(9))
    watched.spans = [a_span("start", 0.0, 2.2), a_span("load", 2.2, 5.0)]
    with pytest.raises(InvalidMeasurementError, match="did not get to look for 1000 ms"):
        require_believable("x", watched)


@pytest.mark.parametrize("times_s", [(0.0, 0.001, 0.002), (1.498, 1.499, 1.5), (0.4, 0.5, 0.6)])
def test_a_phase_that_was_hardly_watched_is_refused(times_s: tuple[float, ...]) -> None:
    """Time without a poll counts from the phase's beginning, and to its end."""
    trace = a_trace(0)
    trace.times_s = [*times_s, 1.51, 1.52, 1.53]
    trace.device_bytes = [2 * MIB] * 6
    trace.process_bytes = [MIB] * 6
    trace.listed = True
    watched = Observation(idle_bytes=MIB, trace=trace)
    mark = Mark(phase="load", at_s=1.505, levels=None)
    watched.spans = [Span(phase="load", start_s=0.0, end_s=1.53, mark=mark)]
    with pytest.raises(InvalidMeasurementError, match="did not get to look for"):
        require_believable("x", watched)


def test_more_than_the_cells_memory_where_nobody_is_to_be_seen(card: Card) -> None:
    """Where a container hides all processes, memory that cannot be the cell's is a stranger's."""

    def crowded(found: DeviceMemory) -> DeviceMemory:
        work = round((plausibility.HIDDEN_IDLE_MIB + 1) * MIB)
        return replace(found, used_bytes=found.used_bytes + work)

    def nobody(_found: Processes) -> Processes:
        return {}

    message = "in use by processes that are not to be seen"
    refused(a_play(card), a_gpu(card, memory=crowded, processes=nobody), message)
    steps = [*STEPS]
    steps[2] = steps[2]._replace(peak_mib=steps[2].peak_mib + plausibility.CONTEXT_MIB)
    message = "more than torch reserved, and processes are not to be seen"
    refused(a_play(card, *steps), a_gpu(card, processes=nobody), message)


def test_a_probe_that_fails_at_the_very_end() -> None:
    """A failure that nobody waited for any more makes the pass invalid all the same."""
    watched = Observation(idle_bytes=MIB, trace=a_trace(9))
    watched.spans = [a_span("start", 0.0, 5.0)]
    watched.trace.failure = "GPU is lost"
    with pytest.raises(InvalidMeasurementError, match=r"x: the probe died.*: GPU is lost"):
        require_believable("x", watched)


# A device that fails.


def test_a_device_that_fails_at_the_beginning(card: Card) -> None:
    """A driver that does not answer is told as it is, and nothing is started."""
    lost = DeviceError("NVML does not answer")
    for device in (ScriptedDevice(memory=lost), ScriptedDevice(memory=taken(1), processes=lost)):
        with pytest.raises(DeviceError, match="NVML does not answer"):
            measure_memory(a_play(card), device, target=play)
    assert card.pid == 0
    assert failed_as(lost) == "invalid"


def fail_in(card: Card, place: int, error: BaseException) -> Callable[[DeviceMemory], DeviceMemory]:
    """Return a reading of the memory that fails once the cell is so far."""

    def read(true: DeviceMemory) -> DeviceMemory:
        if card.pid and card.place >= place:
            raise error
        return true

    return read


@pytest.mark.parametrize(
    ("phase", "error", "told"),
    [
        ("start", DeviceError("NVML fails to read memory:\nGPU is lost"), "memory: GPU is lost"),
        ("load", OSError("library unloaded"), "OSError: library unloaded"),
        ("steady call", DeviceError("GPU is lost"), "GPU is lost"),
    ],
)
def test_a_device_that_is_lost_in_mid_pass(
    card: Card, phase: Phase, error: Exception, told: str
) -> None:
    """The pass is invalid, with what was seen until then, and the cell is stopped."""
    device = a_gpu(card, memory=fail_in(card, PHASES.index(phase), error))
    found = refused(a_play(card), device, f"the probe died after [0-9]+ polls: .*{told}")
    polls = int(str(found).partition("after ")[2].split()[0])
    before_the_cell = watching.IDLE_READINGS + 1 + COST_READINGS
    assert polls == device.looks["memory"] - before_the_cell - 1


def test_a_process_list_that_is_lost_in_mid_pass(card: Card) -> None:
    """It is no matter which reading fails."""

    def processes(found: Processes) -> Processes:
        if card.is_in("load"):
            raise DeviceError("NVML fails to read processes: Unknown Error")
        return found

    device = a_gpu(card, processes=processes)
    refused(a_play(card), device, "the probe died after [0-9]+ polls: NVML fails to read processes")


def test_a_device_that_is_lost_while_the_cell_computes(card: Card) -> None:
    """A probe that dies is noticed at once, and not when the cell has its next word."""
    device = a_gpu(card, memory=fail_in(card, 2, DeviceError("GPU is lost")))
    refused(a_play(card, START, CONTEXT, ending=workloads.hang), device, "probe died.*GPU is lost")


def test_a_device_that_is_lost_after_the_pass(card: Card) -> None:
    """A device that fails once the cell is through leaves its growth without a second end."""
    device = a_gpu(card, memory=fail_in(card, GONE, DeviceError("GPU is lost")))
    with pytest.raises(DeviceError, match="GPU is lost"):
        measure_memory(a_play(card), device, target=play)
    other = Card()
    device = a_gpu(other, memory=lambda read: None if other.place == GONE else read)
    with pytest.raises(DeviceError, match="memory was not readable after the pass"):
        measure_memory(a_play(other), device, target=play)


def test_a_device_that_hangs(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that does not come back is given up on, and not waited for afterwards either."""
    monkeypatch.setattr(watching, "PROBE_TIMEOUT_S", 0.3)
    leave = threading.Event()
    waited_out = []

    def hangs(read: DeviceMemory) -> DeviceMemory:
        if card.is_in("load"):
            waited_out.append(not leave.wait(3.0))
        return read

    steps = (START, CONTEXT, LOAD._replace(seen=False))
    device = a_gpu(card, memory=hangs)
    refused(
        a_play(card, *steps),
        device,
        r"the probe died after [0-9]+ polls: no reading within 0\.?3? s",
    )
    leave.set()
    assert waited_out in ([], [False])


# A process that dies.


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        (partial(workloads.exit_with, 3), "ended with exit code 3 and without a word"),
        (partial(workloads.exit_with, 0), "ended with exit code 0 and without a word"),
        (partial(workloads.signal_itself, signal.SIGSEGV), "was ended by SIGSEGV"),
        (partial(workloads.signal_itself, signal.SIGABRT), "was ended by SIGABRT"),
        (partial(workloads.signal_itself, signal.SIGTERM), "was ended by SIGTERM"),
        (partial(workloads.signal_itself, signal.SIGKILL), "was killed from outside by SIGKILL"),
        (partial(workloads.signal_itself, signal.SIGRTMIN + 6), "was ended by signal 40"),
        (workloads.raise_error, "ended with exit code 1 and without a word"),
    ],
)
@pytest.mark.parametrize("watched_by", ["gpu", "host"])
def test_a_process_that_dies(card: Card, ending: Ending, how: str, watched_by: str) -> None:
    """What became of the cell's process is told, whatever the probe makes of it."""
    if watched_by == "gpu":
        refused(a_play(card, START, CONTEXT, ending=ending), a_gpu(card), how)
    else:
        step = Step(seen=False)
        request = msgspec.structs.replace(a_play(card, step, step, ending=ending), device="cpu")
        refused(request, HostDevice(), how)


@pytest.mark.parametrize("watched_by", ["gpu", "host"])
def test_a_process_that_dies_before_its_answer(card: Card, watched_by: str) -> None:
    """One that is killed at the end of a phase was killed, whatever the probe makes of it."""

    def until_it_is_dead(read: DeviceMemory) -> DeviceMemory:
        while card.is_in("load") and psutil.pid_exists(card.pid):
            time.sleep(0.001)
        return read

    how = "was killed from outside by SIGKILL"
    if watched_by == "gpu":
        request = a_play(card, START, CONTEXT, ending=workloads.mark_and_die)
        refused(request, a_gpu(card, memory=until_it_is_dead), how)
    else:
        step = Step(seen=False)
        request = a_play(card, step, step, ending=workloads.mark_and_die)
        refused(msgspec.structs.replace(request, device="cpu"), HostDevice(), how)


def test_killed_for_want_of_memory(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill that the kernel has counted is the host's, with the remedy."""
    counts = iter([4, 5])
    monkeypatch.setattr(usable, "out_of_memory_kills", lambda: next(counts))
    ending = partial(workloads.signal_itself, signal.SIGKILL)
    refused(
        a_play(card, START, CONTEXT, ending=ending),
        a_gpu(card),
        "was killed by the system: the host is out of memory; free some, or take a smaller model",
    )


def test_kills_that_nobody_counts(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not count kills, nothing is claimed of the host's memory."""
    monkeypatch.setattr(Path, "read_text", no_such_file)
    ending = partial(workloads.signal_itself, signal.SIGKILL)
    error = refused(a_play(card, START, CONTEXT, ending=ending), a_gpu(card), "by SIGKILL")
    assert "had memory left" not in str(error)


def no_such_file(*_: Any, **__: Any) -> str:
    """Read a file that is not there."""
    raise FileNotFoundError


def test_an_uncaught_error_is_one_line() -> None:
    """What fails inside a real cell in a way that nobody has thought of is told with its type."""
    request = CellRequest(
        model="made-up",
        folder="",
        precision="int8",
        attention="sdpa",
        device="nowhere",
        clip=read_manifest(CLIPS_FOLDER)["yes"],
        batch_size=1,
        tokens=2,
    )
    told = "memory of made-up in int8: while in phase 'context': RuntimeError: .*nowhere"
    with pytest.raises(InvalidMeasurementError, match=told) as caught:
        measure_memory(request, HostDevice(), timeout_s=HANG_S)
    assert "\n" not in str(caught.value)


def test_a_failure_is_told_with_its_phase(card: Card) -> None:
    """What the cell says of its own failure is the reason."""
    last = Failed(message="garbage output", phase="first call", out_of_memory=False)
    request = a_play(card, *STEPS[:4], ending=partial(workloads.say, last))
    refused(request, a_gpu(card), "int8: while in phase 'first call': garbage output$")


def test_a_process_that_hangs(card: Card) -> None:
    """A cell that does not get on is stopped when its time is over."""
    request = a_play(card, START, CONTEXT, ending=workloads.hang)
    refused(request, a_gpu(card), "did not end in time and was stopped", timeout_s=0.3)


def test_a_process_that_hangs_up(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lives on without a connection is stopped too, and has no exit code."""
    monkeypatch.setattr(watching, "EXIT_TIMEOUT_S", 0.2)
    request = a_play(card, START, CONTEXT, ending=workloads.hang_up)
    refused(request, a_gpu(card), "the cell's process fell silent and was stopped")


def test_a_process_whose_child_lives_on(card: Card) -> None:
    """A dead cell is not waited for until its own child lets go of the connection."""
    request = a_play(card, START, CONTEXT, ending=workloads.leave_an_orphan)
    refused(request, a_gpu(card), "was killed from outside by SIGKILL")
    assert card.place != GONE


@pytest.mark.parametrize("ending", [workloads.say_and_crash, workloads.say_and_stay])
def test_what_happens_at_exit_spoils_nothing(
    card: Card, monkeypatch: pytest.MonkeyPatch, ending: Callable[..., None]
) -> None:
    """A cell that is through was measured, however its process ends; that it ends is seen to."""
    monkeypatch.setattr(watching, "EXIT_TIMEOUT_S", 0.2)
    footprint = measure_memory(a_play(card, ending=partial(ending, DONE)), a_gpu(card), target=play)
    assert figures(footprint)["peak_process_mib"] == 800
    assert not psutil.pid_exists(card.pid)


def test_ctrl_c_leaves_no_process(card: Card) -> None:
    """A pass that is interrupted stops its cell."""
    request = a_play(card, START, CONTEXT, ending=partial(workloads.interrupt, os.getpid()))
    with pytest.raises(KeyboardInterrupt):
        measure_memory(request, a_gpu(card), target=play, timeout_s=HANG_S)
    assert card.pid
    assert not psutil.pid_exists(card.pid)


# Out of memory.


def test_out_of_memory_in_loading(card: Card) -> None:
    """A card that is full is a result: how far the cell got, with the figures so far."""
    message = "loading made-up in int8 on cuda:0: out of memory on cuda:0"
    last = Failed(
        message=message, phase="load", out_of_memory=True, levels=levels(500, 520, 540, 560)
    )
    request = a_play(card, START, CONTEXT, ending=partial(workloads.overfill, 850.0, last))
    footprint = measure_memory(request, a_gpu(card), target=play)
    assert footprint.ran_out == (
        f"{message}; it got as far as the phase 'load' and 850 MiB (process), 857 MiB (device), "
        "560 MiB (reserved), 540 MiB (allocated)"
    )
    assert figures(footprint) == {
        "context_mib": 298,
        "load_peak_allocated_mib": 540,
        "load_peak_reserved_mib": 560,
        "load_peak_process_mib": 850,
        "load_peak_device_mib": 857,
        "peak_allocated_mib": 540,
        "peak_reserved_mib": 560,
        "peak_process_mib": 850,
        "peak_device_mib": 857,
        "driver_reserved_mib": 50,
    }
    assert footprint.notes["judged"] == "process (NVML)"


def test_out_of_memory_in_the_first_call(card: Card) -> None:
    """What was measured before stays; the weights are not known where the cell was not through."""
    last = Failed(
        message="full", phase="first call", out_of_memory=True, levels=levels(300, 500, 600, 700)
    )
    request = a_play(card, *STEPS[:4], ending=partial(workloads.overfill, 880.0, last))
    footprint = measure_memory(request, a_gpu(card), target=play)
    assert "the phase 'first call' and 880 MiB (process), 887 MiB (device)" in footprint.ran_out
    found = figures(footprint)
    assert found["load_peak_process_mib"] == 700
    assert found["load_peak_allocated_mib"] == 360
    assert found["first_call_peak_process_mib"] == found["peak_process_mib"] == 880
    assert found["first_call_peak_allocated_mib"] == found["peak_allocated_mib"] == 600
    assert not [name for name in found if "steady" in name or "weight" in name]


def test_out_of_memory_on_a_shared_card_is_no_result(card: Card) -> None:
    """A card that somebody else has filled says nothing about this cell."""
    last = Failed(message="full", phase="load", out_of_memory=True, levels=None)
    request = a_play(card, START, CONTEXT, ending=partial(workloads.overfill, 850.0, last))
    device = a_gpu(
        card, processes=lambda found: {**found, STRANGER: None} if card.is_in("load") else found
    )
    refused(request, device, f"process {STRANGER} is on the device during the pass")


def test_out_of_memory_with_a_probe_that_reads_elsewhere(card: Card) -> None:
    """How far it got is held against torch's count too."""
    last = Failed(
        message="full", phase="load", out_of_memory=True, levels=levels(500, 520, 540, 560)
    )
    request = a_play(card, START, CONTEXT, ending=partial(workloads.overfill, 850.0, last))
    device = a_gpu(card, memory=lambda read: taken(IDLE_MIB) if card.is_in("load") else read)
    refused(request, device, f"phase 'load': .* memory grow by {LEFT_OR_ZERO} MiB while")


def test_out_of_memory_of_a_gpus_host_is_a_fault(card: Card) -> None:
    """The host's memory is not the card's: running out of it says nothing about the card."""
    message = "loading made-up in int8 on cuda:0: the host is out of memory"
    last = Failed(message=message, phase="load", out_of_memory=False)
    request = a_play(card, START, CONTEXT, ending=partial(workloads.say, last))
    refused(request, a_gpu(card), f"while in phase 'load': {message}")


def test_out_of_memory_fails_the_benchmark_over_its_limit() -> None:
    """The benchmark fails and says how far it got; in the manifest it stands as over a limit."""
    footprint = Footprint(metrics=(), notes={}, ran_out="full in 'load' and 9 MiB", seconds=1.0)
    cell: Any = MemoryOfCell(key=None, run=None, limits=None)  # type: ignore[arg-type]
    assert cell.judge(None, footprint) == ()
    with pytest.raises(OverLimitError, match="full in 'load' and 9 MiB") as caught:
        cell.require_kept(footprint, ())
    assert failed_as(caught.value) == "over-limit"


def test_a_failed_pass_spoils_no_other(card: Card) -> None:
    """After each way to fail, the next cell is measured as if nothing had been."""
    full = Failed(message="full", phase="load", out_of_memory=True)
    endings: tuple[Ending, ...] = (
        workloads.raise_error,
        partial(workloads.exit_with, 3),
        partial(workloads.signal_itself, signal.SIGKILL),
        partial(workloads.say, full),
        partial(workloads.say, Failed(message="x", phase="load", out_of_memory=False)),
    )
    first = figures(measure_memory(a_play(card), a_gpu(card), target=play))
    for ending in endings:
        failing = Card()
        request = a_play(failing, START, CONTEXT, ending=ending)
        try:
            assert measure_memory(request, a_gpu(failing), target=play).ran_out
        except InvalidMeasurementError:
            assert ending is not endings[3]
        fine = Card()
        assert figures(measure_memory(a_play(fine), a_gpu(fine), target=play)) == first


# Real cells, on the CPU.


@pytest.fixture
def request_(dummy_tiny: Checkpoint) -> CellRequest:
    """Load dummy:tiny in fp32 and decode eight tokens."""
    return CellRequest(
        model="dummy:tiny",
        folder=str(dummy_tiny.folder),
        precision="fp32",
        attention="sdpa",
        device="cpu",
        clip=read_manifest(CLIPS_FOLDER)["yes"],
        batch_size=1,
        tokens=8,
    )


def test_a_real_cell_on_the_cpu(request_: CellRequest, dummy_tiny: Checkpoint) -> None:
    """int8 in a fresh process: the weights as loading counts them, and peaks of the process."""
    request = msgspec.structs.replace(request_, precision="int8")
    footprint = measure_memory(request, HostDevice())
    found = figures(footprint)
    assert sorted(found) == [
        "context_mib",
        "first_call_peak_process_mib",
        "load_peak_process_mib",
        "peak_process_mib",
        "steady_call_peak_process_mib",
        "weight_mib",
    ]
    loaded = load_model(dummy_tiny, request.key(), "cpu")
    assert found["weight_mib"] == mib(loaded.weight_bytes)
    loaded.close()
    assert 0.0 < found["context_mib"] <= found["load_peak_process_mib"]
    peaks = [value for name, value in found.items() if "_peak_" in name]
    assert min(peaks) > found["weight_mib"]
    assert max(peaks) == found["peak_process_mib"]
    assert footprint.ran_out == ""
    assert footprint.notes["judged"] == "process (RSS)"
    assert float(footprint.notes["polls"]) >= len(PHASES) * MIN_POLLS
    assert "idle_device_mib" not in footprint.notes


@pytest.mark.parametrize("spare_mib", [40, 100])  # for less and for more than the file
def test_a_host_without_room_for_the_weights(request_: CellRequest, spare_mib: int) -> None:
    """Weights that the system does not let into the process are over a limit, not a broken file."""
    little = partial(workloads.run_with_little_memory, spare_mib)
    footprint = measure_memory(request_, HostDevice(), target=little)
    assert "loading dummy:tiny in fp32 on cpu: the host is out of memory" in footprint.ran_out
    assert "it got as far as the phase 'load' and " in footprint.ran_out


def test_a_host_without_room_for_the_batch(request_: CellRequest) -> None:
    """A real MemoryError of the first call is over a limit, with what loading took."""
    request = msgspec.structs.replace(request_, batch_size=2500)
    little = partial(workloads.run_with_little_memory, 2000)
    footprint = measure_memory(request, HostDevice(), target=little)
    message = "transcribing with dummy:tiny in fp32: the host is out of memory"
    assert footprint.ran_out.startswith(message)
    assert "it got as far as the phase 'first call' and " in footprint.ran_out
    found = figures(footprint)
    assert found["load_peak_process_mib"] > found["context_mib"] > 0.0
    assert found["first_call_peak_process_mib"] > 0.0
    assert not [name for name in found if "steady" in name or "weight" in name]


SABOTAGE = """
from dataclasses import replace
from functools import partial
import whisperbench.plugin.session
import msgspec
from tests import workloads
from whisperbench.measure.memory import watching

plain, read = watching.measure_memory, whisperbench.plugin.session.read_suite

def lowered():
    suite = read()
    memory = next(row for row in suite.limit if row.metric == "peak_process_mib")
    low = msgspec.structs.replace(memory, precisions=("fp32",), max=100.5)
    return msgspec.structs.replace(suite, limit=(low,))

whisperbench.plugin.session.read_suite = lowered

def measure_memory(request, device):
    if request.precision == "int8":
        return plain(request, device, target=workloads.die)
    if request.precision == "bf16":
        little = partial(workloads.run_with_little_memory, 500)
        return plain(msgspec.structs.replace(request, batch_size=500), device, target=little)
    return plain(request, device)

watching.measure_memory = measure_memory
"""


def test_each_fault_in_one_run(run_suite: RunSuite, tmp_path: Path) -> None:
    """A killed cell is invalid; out of memory or over a ceiling is over a limit; each cell runs."""
    (tmp_path / "sabotage.py").write_text(SABOTAGE, encoding="utf-8")
    junit = tmp_path / "junit.xml"
    done = run_suite(
        *("--tokens", "2", "--clip", "yes", "--precision", "int8,bf16,fp32"),
        *("-p", "sabotage", f"--junit-xml={junit}"),
        path="benchmarks/test_memory.py",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 failed" in done.stdout
    assert "Traceback" not in done.stdout
    run = read_run(tmp_path / "run.json")
    # The reference comes first.
    assert [entry.outcome for entry in run.info.manifest] == ["over-limit", "invalid", "over-limit"]
    over, killed, full = run.info.manifest
    assert "the host is out of memory" in full.reason
    assert "as far as the phase 'first call'" in full.reason
    assert "killed from outside by SIGKILL" in killed.reason
    # What was over its limit keeps the figures that it got to; the invalid one has none.
    kept = {row.cell.precision: row for row in run.measurements}
    assert sorted(kept) == ["bf16", "fp32"]
    assert figures(kept["bf16"])["load_peak_process_mib"] > 0.0
    assert "weight_mib" not in figures(kept["bf16"])
    peak = figures(kept["fp32"])["peak_process_mib"]
    verdict = kept["fp32"].verdicts[0]
    assert (verdict.verdict, verdict.head, verdict.limit) == ("over-limit", peak, 100.5)
    # Limit, actual, what filled it and the remedy, in the terminal and in JUnit's report.
    message = (
        f"peak_process_mib is {peak:.1f} MiB, {peak - 100.5:.1f} MiB over its ceiling of 100.5"
    )
    for text in (over.reason, done.stdout, junit.read_text(encoding="utf-8")):
        assert message in text
        assert "in it: weights 144 MiB" in text
    assert "raise the ceiling in benchmarks/suite.toml" in done.stdout


HIGHEST = """
from whisperbench.measure.memory.watched import ResidentPeak
peak = ResidentPeak()
low = peak.highest_bytes()
block = bytearray(b"x") * (64 << 20)
del block
high = peak.highest_bytes()
peak.begin()
print((high - low) >> 20, (high - peak.highest_bytes()) >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not keep it")
def test_the_system_keeps_the_highest_resident_set() -> None:
    """A block that was given back shows in the peak, until that is started anew."""
    # In a process of its own: this one gives back what other tests held, whenever it likes.
    done = subprocess.run(
        [sys.executable, "-c", HIGHEST], cwd=ROOT, capture_output=True, text=True, check=True
    )
    risen_mib, fallen_mib = map(int, done.stdout.split())
    assert risen_mib > 60
    assert fallen_mib > 60


# Fresh processes.


def tell_start() -> tuple[int, int, frozenset[str], str | None, bool]:
    """Start a fresh process and let it say what it has."""
    process, connection = start_process(workloads.tell_start)
    pid, parent, modules, main = connection.recv()
    cuda: bool = connection.recv()
    process.join()
    assert process.pid == pid
    assert process.exitcode == 0
    return pid, parent, modules, main, cuda


def test_a_fresh_process_has_the_imports_and_nothing_else() -> None:
    """It begins with torch and transformers, without bitsandbytes and pytest, and off the GPU."""
    pid, parent, modules, main, cuda = tell_start()
    assert {"torch", "transformers.models.whisper.modeling_whisper"} <= modules
    for name in ("bitsandbytes", "pytest", "_pytest", "conftest"):
        assert name not in modules
    assert cuda is False
    assert main is None or "pytest" not in main
    assert parent != os.getpid()
    # Forked from the same server, where the imports were made.
    again = tell_start()
    assert again[1] == parent
    assert again[0] != pid


def test_its_target_imports_none_of_it() -> None:
    """What it has imported comes from where it was forked, and not from what it is to run."""
    script = "import sys, tests.workloads\nprint({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_the_main_module_is_back_afterwards() -> None:
    """The main module is only out of the way while a process starts, even one that fails to."""
    main = sys.modules["__main__"]
    tell_start()
    assert sys.modules["__main__"] is main
    with pytest.raises((AttributeError, TypeError), match=r"lambda|pickle"):
        start_process(lambda _connection: None)
    assert sys.modules["__main__"] is main


def test_it_can_use_the_limit_of_this_host() -> None:
    """Nothing of what the tests here limit in their processes is left in this one."""
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
