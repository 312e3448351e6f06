"""Recording a baseline: the real suite in processes of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import RunSuite
from whisperbench import baseline, recording
from whisperbench.cli import app
from whisperbench.errors import InvalidMeasurementError
from whisperbench.result import read_run

FRONT_END = ("benchmarks/test_stages.py", "-k", "front_end", "--device", "cpu", "--rounds", "2")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep baselines and the lock out of everybody's way."""
    monkeypatch.setattr(baseline, "FOLDER", tmp_path / "baselines")
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(cache))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def test_a_recorded_baseline() -> None:
    """`record` runs the suite and keeps what it measured, by the name of the device."""
    done = CliRunner().invoke(
        app,
        ["record", "--runs", "1", *FRONT_END, "--model", "dummy:tiny:1", "--precision", "fp32"],
    )
    assert done.exit_code == 0, done.output
    (path,) = baseline.known()
    run = read_run(path)
    assert path.parent.name == run.machine.device_key
    assert [row.stage for row in run.measurements] == ["front end"]
    assert all(metric.processes for row in run.measurements for metric in row.metrics)


def test_a_failed_run_is_no_baseline(tmp_path: Path) -> None:
    """A run that fails ends the recording, with what it wrote, and leaves no baseline."""
    said: list[str] = []
    with pytest.raises(InvalidMeasurementError, match="run 1 of 3 exited with 4: no baseline"):
        recording.record(3, ["--precision", "int9"], tmp_path, said.append)
    assert "int9" in said[0]
    assert baseline.known() == []


def test_nothing_is_measured_beside_a_recording(run_suite: RunSuite, tmp_path: Path) -> None:
    """While one records, another run is refused with one line, and a second recording too."""
    with recording.alone():
        done = run_suite("--collect-only", TMPDIR=str(tmp_path))
        assert done.returncode == 0
        done = run_suite(TMPDIR=str(tmp_path))
        again = CliRunner().invoke(app, ["record", "--runs", "1"])
    assert done.returncode == 4
    line = "a baseline is being recorded on this machine: wait until it is done"
    assert line in done.stdout + done.stderr
    assert str(again.exception) == line
