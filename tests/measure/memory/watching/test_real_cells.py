"""Real cells in real fresh processes, on the CPU."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from tests import workloads
from tests.conftest import Shared
from tests.measure.memory.watching.made_up import (
    figures,
)
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import read_manifest
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS, precision_named
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.host import HostDevice
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.memory.plausibility import MIN_POLLS
from whisperbench.measure.memory.watched import PHASES
from whisperbench.measure.memory.watching import measure_memory
from whisperbench.results.passes import MemoryResult
from whisperbench.results.run_file import read_run
from whisperbench.units import mib
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.loading import load_model


@pytest.fixture
def request_(dummy_tiny: Checkpoint) -> CellRequest:
    """Load dummy:tiny in fp32 and decode eight tokens."""
    return CellRequest(
        model="dummy:tiny",
        folder=str(dummy_tiny.folder),
        precision=precision_named("fp32"),
        attention="sdpa",
        accelerator=CpuAccelerator(),
        clip=read_manifest(CLIPS_FOLDER)["yes"],
        batch_size=1,
        tokens=8,
    )


def test_a_real_cell_on_the_cpu(whole_run: Shared, shallow: Checkpoint) -> None:
    """int8 in a fresh process: the weights as loading counts them, and peaks of the process."""
    (row,) = (row for row in read_run(whole_run.result).measurements if row.benchmark == "memory")
    found = figures(row)
    assert sorted(found) == [
        "context_mib",
        "first_call_peak_process_mib",
        "load_peak_process_mib",
        "peak_process_mib",
        "steady_call_peak_process_mib",
        "weight_mib",
    ]
    assert row.cell.attention == "sdpa"
    key = CheckpointKey(model=shallow.spec, precision=PRECISIONS["int8"], attention="sdpa")
    loaded = load_model(shallow, key, CpuAccelerator())
    assert found["weight_mib"] == mib(loaded.weight_bytes)
    loaded.close()
    assert 0.0 < found["context_mib"] <= found["load_peak_process_mib"]
    peaks = [value for name, value in found.items() if "_peak_" in name]
    assert min(peaks) > found["weight_mib"]
    assert max(peaks) == found["peak_process_mib"]
    assert isinstance(row.found, MemoryResult)
    assert row.found.judged == "process (RSS)"
    assert row.found.polls >= len(PHASES) * MIN_POLLS
    assert row.found.idle_device_mib is None


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
    message = "transcribing with dummy:tiny in fp32 b2500: the host is out of memory"
    assert footprint.ran_out.startswith(message)
    assert "it got as far as the phase 'first call' and " in footprint.ran_out
    found = figures(footprint)
    assert found["load_peak_process_mib"] > found["context_mib"] > 0.0
    assert found["first_call_peak_process_mib"] > 0.0
    assert not [name for name in found if "steady" in name or "weight" in name]
