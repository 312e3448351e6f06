"""A run that records which functions it enters."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from tests.conftest import RunSuite
from whisperbench.measure.latency import startup
from whisperbench.measure.reach import VARIABLE, read_entered
from whisperbench.whisper import dummy
from whisperbench.whisper.checkpoints import Checkpoint


def test_figures_of_such_a_run_are_not_judged(run_suite: RunSuite, tmp_path: Path) -> None:
    """A baseline is refused in one line."""
    done = run_suite("--model", "dummy:tiny", "--baseline", **{VARIABLE: str(tmp_path / "reach")})
    assert done.returncode == 4
    assert "no figure of it is kept or judged; drop one of the two" in done.stderr


def test_a_run_tells_what_it_and_its_fresh_processes_enter(
    run_suite: RunSuite, tmp_path: Path, dummy_tiny: Checkpoint
) -> None:
    """The model runs in a fresh process alone, and is told of all the same; no result is left.

    Building a dummy runs as well, though there is one in the cache.
    """
    assert dummy_tiny.folder.exists()
    path = tmp_path / "told" / "reach.json"
    done = run_suite(
        *("--model", "dummy:tiny", "--precision", "fp32", "--clip", "yes"),
        *("--tokens", "2", "--rounds", "1"),
        path="benchmarks/test_startup.py",
        **{VARIABLE: str(path)},
    )
    assert done.returncode == 0, done.stdout
    assert "no result is kept" in done.stdout
    assert [each.name for each in path.parent.iterdir()] == ["reach.json"]
    assert not (tmp_path / "run.json").exists()
    entered = read_entered(path)
    assert not entered.unseen
    found = importlib.util.find_spec("transformers")
    assert found is not None
    assert found.origin is not None
    file = Path(found.origin).parent / "models" / "whisper" / "modeling_whisper.py"
    model = entered.functions[os.path.realpath(file)]
    assert {"WhisperEncoderLayer", "WhisperEncoderLayer.forward"} <= set(model)
    assert "WhisperForAudioClassification.forward" not in model
    assert "_build" in entered.functions[os.path.realpath(dummy.__file__)]
    # Of this package one function runs in the run's own process, and one in the fresh one.
    assert {"measure_startup", "main"} <= set(entered.functions[os.path.realpath(startup.__file__)])
