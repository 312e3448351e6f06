"""Other users of the device, before, during and after the pass."""

from __future__ import annotations

import os

import psutil
import pytest

from tests.measure.memory.watching.made_up import (
    STRANGER,
    a_gpu,
    a_play,
    refused,
)
from tests.scripted import MIB, taken
from tests.workloads import GONE, Card, play
from whisperbench.devices.device import DeviceMemory
from whisperbench.measure.memory import watching
from whisperbench.measure.memory.watched import PHASES, Phase
from whisperbench.measure.memory.watching import measure_memory
from whisperbench.units import mib


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

    assert measure_memory(a_play(card), a_gpu(card, memory=moved), target=play).values


def test_a_driver_may_take_its_time(card: Card) -> None:
    """Memory that is given back a little later was the cell's all the same."""
    late = iter([300.0] * 3)

    def later(read: DeviceMemory) -> DeviceMemory:
        more_mib = next(late, 0.0) if card.place == GONE else 0.0
        return taken(mib(read.used_bytes) + more_mib)

    assert measure_memory(a_play(card), a_gpu(card, memory=later), target=play).values
    assert next(late, None) is None
