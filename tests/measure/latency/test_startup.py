"""Fresh processes: what they measure, and how they fail."""

from __future__ import annotations

import io
import os
import pickle
import stat
from pathlib import Path

import msgspec
import pytest

from tests.conftest import Shared
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS, precision_named
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.host import HostDevice
from whisperbench.errors import InvalidMeasurementError, ModelError
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.latency import startup
from whisperbench.measure.latency.startup import StartupSample, measure_startup
from whisperbench.measure.latency.startup_rounds import Startup
from whisperbench.measure.telemetry import Telemetry
from whisperbench.plugin.replay import ReportedClock
from whisperbench.results.passes import StartupResult
from whisperbench.results.ran import Ran
from whisperbench.results.run_file import read_run
from whisperbench.whisper.checkpoints import Checkpoint


@pytest.fixture
def request_(dummy_tiny: Checkpoint) -> CellRequest:
    """Load dummy:tiny in int8 and decode two tokens."""
    return CellRequest(
        model="dummy:tiny",
        folder=str(dummy_tiny.folder),
        precision=precision_named("int8"),
        attention="sdpa",
        accelerator=CpuAccelerator(),
        clip=read_manifest(CLIPS_FOLDER)["yes"],
        batch_size=1,
        tokens=2,
    )


def test_a_fresh_process_measures(whole_run: Shared) -> None:
    """Import, load and first call come back as positive seconds, of files read from the disk."""
    rows = {row.benchmark: row for row in read_run(whole_run.result).measurements}
    for row in (rows["load"], rows["first call"]):
        latency = row.metric("latency_s")
        assert latency is not None
        assert min(latency.samples or ()) > 0.0
        assert isinstance(row.found, StartupResult)
        assert row.found.import_s > 0.0
        assert row.found.dropped_page_cache == hasattr(os, "posix_fadvise")


def test_its_errors_come_back_as_they_were(
    request_: CellRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails in the fresh process is raised here in its own class and words.

    What the process would answer is made here, so that torch is not imported for it once more.
    """
    broken = msgspec.structs.replace(request_, folder=str(tmp_path))
    answer = tmp_path / "answer"
    with answer.open("wb") as out, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(pickle.dumps(broken))))
        patch.setattr("sys.stdout", io.TextIOWrapper(out))
        startup.main()
    monkeypatch.setattr("sys.executable", interpreter(tmp_path, f"cat >/dev/null; cat '{answer}'"))
    with pytest.raises(ModelError, match=r"config.json is not readable JSON"):
        measure_startup(broken)


def interpreter(folder: Path, script: str) -> str:
    """Write a stand-in for the Python interpreter that a fresh process is started with."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("kill -9 $$", "was killed by SIGKILL"),
        ("echo 'Segfault imminent' >&2; exit 3", "exit code 3: Segfault imminent"),
        ("echo chatter", "ended with exit code 0"),
        ("echo '{}'", "answered without a sample"),
        ("sleep 5", "no answer within"),
    ],
)
def test_a_process_that_dies_is_no_sample(
    request_: CellRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    word: str,
) -> None:
    """Killed, crashed, silent and hanging processes are each named, and never a figure."""
    monkeypatch.setattr("sys.executable", interpreter(tmp_path, script))
    monkeypatch.setattr("whisperbench.measure.latency.startup.TIMEOUT_S", 1.0)
    with pytest.raises(InvalidMeasurementError, match=word):
        measure_startup(request_)


def test_load_and_first_call_share_the_processes() -> None:
    """A sample is taken once, however many benchmarks ask for it."""
    made: list[StartupSample] = []

    def run() -> StartupSample:
        made.append(
            StartupSample(
                import_s=1.0,
                load_s=len(made),
                first_call_s=2.0,
                dropped_page_cache=True,
                ran=Ran(weights={"float32": 4}, computes_in="float32"),
            )
        )
        return made[-1]

    key = CheckpointKey(
        model=ModelSpec.parse("dummy:tiny"), precision=PRECISIONS["int8"], attention="sdpa"
    )
    startup = Startup(
        key=key,
        run=run,
        rounds=2,
        remeasurements=0,
        telemetry=lambda: Telemetry(device=HostDevice()),
        say=print,
    )
    for _benchmark in range(2):
        assert [sample.load_s for sample in startup.samples()] == [0, 1]
    assert len(made) == 2


def test_the_reported_clock_moves_by_what_is_reported() -> None:
    """A round lasts what the fresh process says, not what starting it took."""
    clock = ReportedClock()
    before = clock.now()
    clock.advance(1.25)
    assert clock.now() - before == 1.25
