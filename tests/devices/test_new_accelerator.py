"""A new accelerator is one module and one row: shown by one, and by where torch's CUDA stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import RunSuite
from tests.devices import disguise
from whisperbench.asked.checkout import ROOT
from whisperbench.devices.registry import ACCELERATORS
from whisperbench.results.run_file import read_run
from whisperbench.whisper.checkpoints import Checkpoint


def test_a_third_accelerator_runs_everything(
    run_here: RunSuite,
    speck: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every benchmark runs on a kind of device that nothing but its own module knows.

    Words are of nano, and all else is of the smallest model, whose random weights say none.
    """
    monkeypatch.setitem(ACCELERATORS, disguise.KIND, disguise.ROW)
    done = run_here(
        *("--device", disguise.KIND, "--model", f"{speck.folder},nano", "--precision", "int8"),
        *("--tokens", "2", "--rounds", "1", "--clip", "yes", "--all"),
        *(
            "-k",
            "nano and (quality or speech-1s) or speck and not (natural or quality or durations)",
        ),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = read_run(tmp_path / "run.json")
    selected = [entry for entry in run.info.manifest if entry.reason != "deselected"]
    assert {entry.outcome for entry in selected} == {"measured"}
    named = (entry.benchmark.partition("::")[2] for entry in selected)
    benchmarks = {name.partition("[")[0] for name in named}
    written = {
        name
        for path in (ROOT / "benchmarks").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert benchmarks == written
    assert (run.machine.device_kind, run.machine.device) == ("disguise", "Masked One")
    assert run.machine.device_key.startswith("disguise-masked-one-")
    assert {row.cell.device for row in run.measurements} == {"disguise"}


def test_torchs_cuda_stands_in_one_module() -> None:
    """Nothing but the module of CUDA's accelerator calls torch's CUDA interface."""
    calls = re.compile(r"\btorch\.cuda\b|from torch import .*\bcuda\b")
    found = [
        str(path.relative_to(ROOT))
        for folder in ("whisperbench", "fixtures", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if calls.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["whisperbench/devices/cuda.py"]


def test_no_code_asks_for_a_device_by_name() -> None:
    """Outside of `devices` no branch compares with a kind of device."""
    branches = re.compile(r"""[!=]= ["'](?:cpu|cuda)\b|["'](?:cpu|cuda)["'] (?:[!=]=|in )""")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("whisperbench", "fixtures", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if path.parent.name != "devices"
        for line in path.read_text(encoding="utf-8").splitlines()
        if branches.search(line)
    ]
    assert found == []
