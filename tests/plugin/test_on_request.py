"""What the default run leaves out, and what brings it back."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from tests.conftest import RunSuite
from tests.runs import MACHINE, make_measurement, make_run_file
from whisperbench.results.records import ManifestEntry, Run, RunInfo
from whisperbench.results.run_file import read_run
from whisperbench.results.schema import SCHEMA

CELL = ("--model", "nano", "--precision", "fp32", "--clip", "yes", "--tokens", "2")


def test_what_is_left_out_is_one_note(run_here: RunSuite, tmp_path: Path) -> None:
    """It names what was left out and the option, in the file too; -q leaves the course out."""
    asked = "fixed2 or test_load or test_soak"
    done = run_here(*CELL, "-q", "--rounds", "1", "-k", asked)
    assert done.returncode == 0, done.stdout
    left_out = "benchmarks/test_soak.py, benchmarks/test_startup.py"
    said = f"Not in the default run: {left_out}; --all measures that as well."
    assert f"note: {said}" in " ".join(done.stdout.split())
    assert said in read_run(tmp_path / "run.json").info.remarks
    assert "benchmark 1 of" not in done.stdout


def test_what_the_baseline_has_is_not_left_out(run_here: RunSuite, tmp_path: Path) -> None:
    """Else a baseline of a run with --all would call its start-up missing."""
    held = "benchmarks/test_startup.py::test_load[nano-fp32-yes-b1]"
    run = Run(
        machine=MACHINE,
        measurements=(make_measurement("load"),),
        info=RunInfo(
            schema=SCHEMA,
            reference="fp32",
            manifest=(ManifestEntry(benchmark=held, cell="nano-fp32-yes-b1", outcome="measured"),),
        ),
    )
    path = tmp_path / "base.json"
    path.write_text(json.dumps(msgspec.to_builtins(make_run_file(run))), encoding="utf-8")
    asked = (*CELL, "-v", "--setup-plan", "-k", "fixed2 or test_startup")
    done = run_here(*asked, "--baseline", str(path))
    assert f"{held} " in done.stdout
    assert "test_first_call" not in done.stdout.partition("baseline")[0]
