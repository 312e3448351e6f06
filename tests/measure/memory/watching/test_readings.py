"""Readings that cannot be true: the pass refuses them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec
import pytest

from tests import workloads
from tests.measure.memory.watching.made_up import (
    DONE,
    IDLE_MIB,
    LEFT_OR_ZERO,
    STEPS,
    STRANGER,
    Processes,
    a_gpu,
    a_play,
    figures,
    levels,
    refused,
)
from tests.scripted import MIB, taken
from tests.workloads import Card, Step, play
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.device import DeviceMemory
from whisperbench.measure.memory import plausibility
from whisperbench.measure.memory.watched import PHASES, Phase
from whisperbench.measure.memory.watching import measure_memory


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
    request = msgspec.structs.replace(a_play(card, *steps), accelerator=CpuAccelerator())
    refused(request, device, "phase 'start': the process's memory was not readable")


def test_a_count_that_stays_at_zero(card: Card) -> None:
    """An allocator that counts nothing while weights are loaded is not measured as zero."""
    nothing = levels(0, 0, 0, 0)
    steps = [step._replace(levels=step.levels and nothing) for step in STEPS]
    refused(a_play(card, *steps), a_gpu(card), "250 MiB of weights, but torch's count .* 0 MiB")


def test_weights_of_nothing(card: Card) -> None:
    """A model without weights was not loaded."""
    ending = partial(workloads.say, msgspec.structs.replace(DONE, weight_bytes=0))
    refused(a_play(card, ending=ending), a_gpu(card), "no weights")


@pytest.mark.parametrize("count", [0, 3, 5])
def test_a_cell_that_skips_phases(card: Card, count: int) -> None:
    """A cell that is done before it went through all phases was not measured."""
    request = msgspec.structs.replace(a_play(card), steps=STEPS[:count])
    refused(request, a_gpu(card), "without its phase '(start|settle|steady call)'")


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
