"""A cell's process that dies, hangs or falls silent: what is told of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil
import pytest

from tests import workloads
from tests.workloads import GONE, Card, Step, play
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import read_manifest
from whisperbench.asked.precisions import precision_named
from whisperbench.devices import usable
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.cuda import CudaAccelerator
from whisperbench.devices.device import DeviceMemory
from whisperbench.devices.host import HostDevice
from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.memory import watching
from whisperbench.measure.memory.watched import Failed
from whisperbench.measure.memory.watching import measure_memory

if TYPE_CHECKING:
    from tests.workloads import Ending
from tests.measure.memory.watching.made_up import (
    CONTEXT,
    DONE,
    HANG_S,
    START,
    STEPS,
    a_gpu,
    a_play,
    figures,
    refused,
)


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
        request = msgspec.structs.replace(
            a_play(card, step, step, ending=ending), accelerator=CpuAccelerator()
        )
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
        refused(msgspec.structs.replace(request, accelerator=CpuAccelerator()), HostDevice(), how)


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
        precision=precision_named("int8"),
        attention="sdpa",
        accelerator=CudaAccelerator("nowhere"),
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
