"""Recording a baseline: the real suite in processes of its own."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
import pytest
from typer.testing import CliRunner

from tests.conftest import TIMEOUT_S, RunSuite
from tests.runs import make_measurement, make_run, make_run_file
from whisperbench.asked.checkout import ROOT
from whisperbench.cli import app
from whisperbench.errors import InputError, InvalidMeasurementError
from whisperbench.record import baselines as baseline
from whisperbench.record import runs as recording
from whisperbench.results.run_file import read_run

BUSY = "the suite is running on this machine, or being recorded: wait until it is done"

FRONT_END = ("benchmarks/test_stages.py", "-k", "front_end", "--device", "cpu", "--rounds", "2")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep baselines and the lock out of everybody's way."""
    monkeypatch.setattr(baseline, "FOLDER", tmp_path / "baselines")
    (tmp_path / "cache").mkdir()
    (cache / "dummies").mkdir(exist_ok=True)
    (tmp_path / "cache" / "dummies").symlink_to(cache / "dummies")
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))


def test_a_recorded_baseline() -> None:
    """`record` runs the suite and keeps what it measured, as pytest-benchmark's own JSON."""
    done = CliRunner().invoke(
        app,
        ["record", "--runs", "1", *FRONT_END, "--model", "dummy:tiny:1", "--precision", "fp32"],
    )
    assert done.exit_code == 0, done.output
    (path,) = baseline.known()
    run = read_run(path)
    assert path.parent.name == run.machine.device_key
    assert [row.benchmark for row in run.measurements] == ["front end"]
    assert all(metric.processes for row in run.measurements for metric in row.metrics)
    read = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", str(path), "--columns", "median"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "test_front_end[dummy:tiny:1-fp32-harbour-b1]" in read.stdout


def test_a_failed_run_is_no_baseline(tmp_path: Path) -> None:
    """A run that fails ends the recording, with what it wrote, and leaves no baseline."""
    said: list[str] = []
    with pytest.raises(InvalidMeasurementError, match="run 1 of 3 exited with 4: no baseline"):
        recording.record(3, ["--precision", "int9"], tmp_path, said.append)
    assert "int9" in said[0]
    assert baseline.known() == []


def test_the_runs_of_a_stopped_recording_are_kept(tmp_path: Path) -> None:
    """A recording whose second run fails says where its first one is; promote takes it from there.

    So a recording can be stopped, and made whole by runs of another day.
    """
    (tmp_path / "once.py").write_text(
        "import pathlib\n"
        f"flag = pathlib.Path({str(tmp_path / 'ran')!r})\n"
        "def pytest_configure(config):\n"
        "    assert not flag.exists()\n"
        "    flag.touch()\n"
    )
    recorder = start(
        *(tmp_path, "record", "--runs", "3", *FRONT_END, "--model", "dummy:tiny:1"),
        *("--precision", "fp32", "-p", "once"),
    )
    output, said = recorder.communicate(timeout=TIMEOUT_S)
    assert recorder.returncode == 4
    assert said == "whisperbench: run 2 of 3 exited with 3: no baseline is made of it\n"
    (one,) = (tmp_path / "results").rglob("*.json")
    line = f"the runs are kept: {os.path.relpath(one, ROOT)}; whisperbench baseline promote"
    assert line in output
    assert baseline.known() == []
    assert CliRunner().invoke(app, ["baseline", "promote", str(one)]).exit_code == 0
    assert len(baseline.known()) == 1


def test_nothing_is_measured_beside_a_recording(run_suite: RunSuite, tmp_path: Path) -> None:
    """While one records, another run is refused with one line, and a second recording too."""
    with recording.alone():
        done = run_suite("--collect-only", WHISPERBENCH_CACHE=str(tmp_path / "cache"))
        assert done.returncode == 0
        # To be recorded is no word of anybody's: it is the recorder's child who may.
        word = {recording.RECORDER: "1"}
        done = run_suite(WHISPERBENCH_CACHE=str(tmp_path / "cache"), **word)
        again = CliRunner().invoke(app, ["record", "--runs", "1"])
    assert done.returncode == 4
    line = "a baseline is being recorded on this machine: wait until it is done"
    assert line in done.stdout + done.stderr
    assert str(again.exception) == BUSY


def test_nothing_is_recorded_beside_a_run() -> None:
    """While the suite runs, a recording is refused; other runs are let be."""
    with recording.measuring(), recording.measuring():
        done = CliRunner().invoke(app, ["record", "--runs", "1"])
    assert str(done.exception) == BUSY
    with recording.alone():
        pass


def test_a_run_outlives_its_recorder_with_the_lock() -> None:
    """A recorder that is killed leaves a run behind; until that ends, nobody records beside it."""
    with recording.alone() as lock:
        assert lock is not None
        left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, pass_fds=[lock])
    with pytest.raises(InputError, match="wait until it is done"), recording.alone():
        pass
    left.communicate(b"\n")
    with recording.alone():
        pass


# The command as a process, which keeps its baselines in its first argument.
COMMAND = """
import sys
from pathlib import Path
from whisperbench.record import baselines as baseline
from whisperbench.asked import checkout
from whisperbench.cli import main
baseline.FOLDER, checkout.RESULTS = Path(sys.argv.pop(1)), Path(sys.argv.pop(1))
main()
"""


def start(
    tmp_path: Path, *arguments: str, largest_file: int = resource.RLIM_INFINITY
) -> subprocess.Popen[str]:
    """Start the command in a group of its own, with baselines and results of its own."""
    folders = (str(baseline.FOLDER), str(tmp_path / "results"))
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *folders, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file)),
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_recording(tmp_path: Path, number: int) -> None:
    """Ctrl-C and a cancelled job end the run as well, with one line and exit code 4."""
    (tmp_path / "slow.py").write_text(
        "import os, sys, time\n"
        "sys.stdout.buffer.write(b'\\xff')\n"
        f"print(os.getpid(), file=open({str(tmp_path / 'started')!r}, 'w'), flush=True)\n"
        "time.sleep(60)\n"
    )
    recorder = start(tmp_path, "record", "--runs", "2", "-p", "slow")
    started = tmp_path / "started"
    while not (started.exists() and started.read_text()):
        assert recorder.poll() is None
        time.sleep(0.02)
    if number == signal.SIGINT:
        os.killpg(recorder.pid, number)  # as a terminal does it
    else:
        recorder.send_signal(number)
    _, said = recorder.communicate(timeout=30)
    assert said == "whisperbench: run 1 of 2 was interrupted: no baseline is made\n"
    assert recorder.returncode == 4
    assert not psutil.pid_exists(int(started.read_text()))
    assert baseline.known() == []


def test_a_full_disk_leaves_the_old_baseline(tmp_path: Path) -> None:
    """A baseline that cannot be written is one line and exit code 2, and changes nothing."""
    row = make_measurement()
    old, new = (tmp_path / name for name in ("old.json", "new.json"))
    for path, factor in ((old, 1.0), (new, 0.5)):
        samples = tuple(factor * one for one in row.metrics[0].samples or ())
        metrics = (msgspec.structs.replace(row.metrics[0], samples=samples),)
        content = make_run_file(make_run(msgspec.structs.replace(row, metrics=metrics)))
        content["benchmarks"][0] |= {"fullname": "test", "stats": {"median": factor}}
        path.write_bytes(msgspec.json.encode(content))
    assert CliRunner().invoke(app, ["baseline", "promote", str(old)]).exit_code == 0
    (kept,) = baseline.known()
    before = kept.read_bytes()
    promoting = start(tmp_path, "baseline", "promote", str(new), "--force", largest_file=1000)
    _, said = promoting.communicate(timeout=30)
    assert said == f"whisperbench: {kept}: cannot be written: File too large\n"
    assert promoting.returncode == 2
    assert list(kept.parent.iterdir()) == [kept]
    assert kept.read_bytes() == before


def test_a_read_only_folder_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five runs are not wasted where their baseline cannot be kept."""
    monkeypatch.setattr(baseline, "FOLDER", Path("/proc/baselines"))
    done = CliRunner().invoke(app, ["record"])
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith("/proc/baselines/.probe: cannot be written: ")


def test_a_clock_that_was_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second recording of one moment finds none of the first one's files, and takes none."""

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Stopped:  # noqa: ARG003 - as the real one
            return cls(2020, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(recording, "datetime", Stopped)
    for _ in range(2):
        with pytest.raises(InputError, match="measured nothing"):
            recording.record(1, ["--version"], tmp_path / "results", print)
    first, second = (tmp_path / "results").iterdir()
    assert first.name.startswith("20200101T000000Z-recorded-")
    assert second.name.startswith("20200101T000000Z-recorded-")
