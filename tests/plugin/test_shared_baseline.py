"""`--baseline` on a CPU that has none of its own: the one that its instruction set shares."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.conftest import RunSuite
from whisperbench.cli import app
from whisperbench.devices.cpu import instruction_set
from whisperbench.record import baselines as baseline
from whisperbench.results.environment import instruction_set_key


@pytest.fixture
def cell(quickest: tuple[str, ...]) -> tuple[str, ...]:
    """Options of a quick cell in fp32."""
    return (*quickest, "--precision", "fp32")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of baselines."""
    monkeypatch.setattr(baseline, "FOLDER", tmp_path / "baselines")
    return tmp_path / "baselines"


@contextmanager
def one_op_more_a_layer() -> Iterator[None]:
    """Let each layer of the encoder multiply by one what it returns."""
    from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer

    plain = WhisperEncoderLayer.forward

    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        return plain(self, *arguments, **named) * 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhisperEncoderLayer, "forward", forward)
        yield


def promote(path: Path) -> Path:
    """Keep a run for all CPUs of its instruction set, as if another CPU had made it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["machine_info"]["whisperbench"] |= {"device_key": "cpu-another-64c", "cpu_cores": 64}
    path.write_text(json.dumps(content), encoding="utf-8")
    done = CliRunner().invoke(app, ["baseline", "promote", "--shared", "--force", str(path)])
    assert done.exit_code == 0, done.output
    (kept,) = baseline.known()
    return kept


def test_counts_of_another_cpu_are_a_gate(
    run_here: RunSuite, cell: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    """Another CPU's counts judge this one's: an op less improves, and the same op more is red.

    Neither run moves the baseline. What needs the machine itself is named, and is no pass.
    """
    level = instruction_set(with_bf16=False)
    counted = (*cell, "-k", "test_cost")
    with one_op_more_a_layer():
        assert run_here(*counted).returncode == 0
    kept = promote(tmp_path / "run.json")
    assert kept == folder / instruction_set_key(level) / "default.json"
    before = kept.read_bytes()
    done = run_here(*counted, "--baseline")
    assert done.returncode == 0
    assert "improved: cost, speck fp32" in done.stdout
    assert f"has no baseline of its own: this is the one that CPUs of {level} share" in done.stdout
    assert kept.read_bytes() == before
    promote(tmp_path / "run.json")
    before = kept.read_bytes()
    with one_op_more_a_layer():
        done = run_here(*counted, "--baseline")
    assert done.returncode == 1
    assert "+1 aten::mul, from WhisperEncoderLayer" in done.stdout
    assert kept.read_bytes() == before
    done = run_here(*cell, "-k", "front_end", "--baseline")
    assert done.returncode == 4
    assert "not-comparable: front end, speck fp32" in done.stdout
    assert "device key was cpu-another-64c and is cpu-" in done.stdout
    assert "missing: cost, speck fp32" in done.stdout


def test_without_any_baseline_both_places_are_named(
    run_here: RunSuite, cell: tuple[str, ...], folder: Path
) -> None:
    """A CPU without its own baseline, and none shared, is refused before anything is measured.

    A level that is there is named.
    """
    other = folder / f"{instruction_set_key(platform.machine())}-other" / "default.json"
    other.parent.mkdir(parents=True)
    other.touch()
    done = run_here(*cell, "-k", "test_cost", "--baseline")
    assert done.returncode == 4
    said = done.stdout + done.stderr
    level = instruction_set(with_bf16=False)
    assert f"none that CPUs of {level} share, {folder / instruction_set_key(level)}" in said
    assert f"(there is {other.parent.name}; docs/baselines.md says how" in said
    assert "passed" not in said
