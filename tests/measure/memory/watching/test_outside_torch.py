"""Memory that torch does not allocate: of other runtimes, and beside any of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest

from tests import own_code, workloads
from tests.measure.memory.watching.made_up import (
    DONE,
    STEPS,
    a_gpu,
    a_play,
    figures,
    levels,
    refused,
)
from tests.scripted import MIB
from tests.workloads import Card, play
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import read_manifest
from whisperbench.asked.precisions import PRECISIONS, Precision, own_precision
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.host import HostDevice
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.memory.watched import Reporter
from whisperbench.measure.memory.watching import measure_memory
from whisperbench.whisper.checkpoints import Checkpoint

BARE = tuple(step._replace(levels=None) for step in STEPS)
"""Of a runtime whose memory torch does not count."""

SPIKE_MIB = own_code.SPIKE_BYTES / MIB


def test_what_torch_does_not_count_is_absent(card: Card) -> None:
    """Process and device are as ever; allocated and reserved are not there, and are no zeros."""
    footprint = measure_memory(a_play(card, *BARE), a_gpu(card), target=play)
    found = figures(footprint)
    counted = ("allocated", "reserved")
    assert [name for name in found if any(each in name for each in counted)] == [
        "driver_reserved_mib"
    ]
    assert found["load_peak_process_mib"] == 700
    assert found["steady_call_peak_device_mib"] > 750
    # The context is all that the process takes before it loads.
    assert found["context_mib"] == 300


def test_weights_that_the_probe_did_not_see(card: Card) -> None:
    """Without torch's count, the probe itself must have seen as much as the weights."""
    heavy = partial(workloads.say, msgspec.structs.replace(DONE, weight_bytes=900 * MIB))
    refused(
        a_play(card, *BARE, ending=heavy),
        a_gpu(card),
        r"the cell has 900 MiB of weights, and the probe saw 800 MiB \(process\)",
    )


def test_weights_that_nobody_tells(card: Card) -> None:
    """Somebody's own code need not say what its weights take: there is no such figure then."""
    silent = partial(workloads.say, msgspec.structs.replace(DONE, weight_bytes=None))
    footprint = measure_memory(a_play(card, *BARE, ending=silent), a_gpu(card), target=play)
    assert "weight_mib" not in figures(footprint)


@pytest.mark.parametrize("in_torch", [True, False])
def test_a_runtime_of_its_own_has_no_count_of_torchs(in_torch: bool) -> None:
    """On a GPU torch counts something in every process: of another runtime it says nothing."""
    counted = levels(1, 2, 3, 4)
    accelerator = Mock(on_host=False)
    accelerator.levels.return_value = counted
    reporter = Reporter(Mock(), accelerator, in_torch=in_torch)
    reporter.phase = "load"
    assert reporter.levels() == (counted if in_torch else None)


ROWS = (PRECISIONS["fp32"], PRECISIONS["ct2-int8"], own_precision("tests.own_code:Saying"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_spike_outside_of_torch_is_seen_in_every_runtime(
    row: Precision, speck: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GiB that is touched for a moment within a call is in the peak of the call."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(cache))
    request = CellRequest(
        model="speck",
        folder=str(speck.folder),
        precision=row,
        attention="sdpa",
        accelerator=CpuAccelerator(),
        clip=read_manifest(CLIPS_FOLDER)["yes"],
        batch_size=1,
        tokens=None if row.backend == "own" else 2,
    )
    found = measure_memory(request, HostDevice(), target=own_code.run_with_spikes).values
    load_mib = found["load_peak_process_mib"]
    for phase in ("first_call", "steady_call"):
        assert found[f"{phase}_peak_process_mib"] > load_mib + 0.95 * SPIKE_MIB
    assert found["context_mib"] < load_mib + 64
