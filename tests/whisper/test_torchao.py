"""torchao's rows, with the real library, in one process that the tests share.

They skip without it: set WHISPERBENCH_TORCHAO to a folder that `pip install --target` has put
torchao into.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from whisperbench.asked.checkout import ROOT
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.errors import DeviceError
from whisperbench.whisper.backend_choice import BACKENDS, choose, require_installed, saved_bits
from whisperbench.whisper.backends.torchao import config_named
from whisperbench.whisper.checkpoints import Checkpoint

FOLDER = "WHISPERBENCH_TORCHAO"

LINEARS = 6 + 10
"""Linear layers of the smallest checkpoint, whose halves have one layer each."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, speck: Checkpoint) -> dict[str, Any]:
    """What the process saw of each row, and how it was refused."""
    folder = os.environ.get(FOLDER)
    if not folder:
        pytest.skip(f"{FOLDER} names no folder that torchao was installed into")
    path = tmp_path_factory.mktemp("torchao") / "told.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.whisper.torchao_child", str(path), str(speck.folder)],
        cwd=ROOT,
        # With more threads torch.compile makes a graph more, for the one that costs count with.
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(ROOT), folder]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert "failed" not in found, found["failed"]
    return found


@pytest.mark.parametrize("name", ["ao-int8wo", "ao-int8dq", "ao-int8wo-compiled"])
def test_rows_hold_int8_weights(told: dict[str, Any], name: str) -> None:
    """All layers but the tied projection are int8, in a quarter of their bytes."""
    row, floats = told[name], told["fp32"]
    assert row["layers"] == {"Linear of int8": LINEARS, "Linear of float32": 1}
    assert row["tied"]
    of_floats = floats["weights"]["float32"] - row["weights"]["float32"]
    assert row["weights"]["int8"] == pytest.approx(of_floats / 4, rel=0.1)  # scales are floats
    assert set(row["weights"]) == {"float32", "int8"}
    assert row["graphs"] == name.endswith("compiled")


def test_rows_hear_the_words(told: dict[str, Any]) -> None:
    """A trained model hears in int8 what it hears in floats."""
    assert set(told["heard"].values()) == {"Yes, of course."}


def test_the_least_work_reads_int8_weights(told: dict[str, Any]) -> None:
    """Layers whose weights are of a class of their own are not taken to weigh nothing."""
    assert 0.25 < told["ao-int8wo"]["least_mib"] / told["fp32"]["least_mib"] < 0.8


def test_dynamic_layers_multiply_int8(told: dict[str, Any]) -> None:
    """What multiplies is recorded: int8 products of dynamic layers alone."""
    assert any("_int_mm" in name for name in told["ao-int8dq"]["products"])
    assert not any("_int_mm" in name for name in told["ao-int8wo"]["products"])


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("skipped", "2 of its layers .*: Linear.weight is float32, not int8"),
        ("dynamic", f"{LINEARS} of its layers .*act_quant_kwargs"),
        ("float", f"{LINEARS} of its layers .*: Linear.weight is float32, not int8"),
    ],
)
def test_what_is_not_as_named_is_refused(told: dict[str, Any], what: str, said: str) -> None:
    """A wrong list of modules, another configuration, and none at all: refused with what it is."""
    assert re.search(said, told["refused"][what]), told["refused"]


def test_an_old_torchao_is_refused_in_one_line(told: dict[str, Any]) -> None:
    """It is told which, and how to get a newer one."""
    assert "makes no Int8Tensor by Int8WeightOnlyConfig" in told["refused"]["old"]
    assert "\n" not in told["refused"]["old"]


def test_a_torchao_that_is_not_there_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its rows name the package; others do not need it."""
    monkeypatch.setattr(
        "whisperbench.whisper.backend_choice.find_spec",
        lambda name: None if name == "torchao" else "there",
    )
    with pytest.raises(DeviceError, match="ao-int8wo: needs torchao, which is not installed"):
        require_installed(PRECISIONS["ao-int8wo"])
    require_installed(PRECISIONS["int8"])


def test_a_checkpoint_that_torchao_has_saved_is_known() -> None:
    """Its configuration is read from what config.json says; another one has no known bits."""
    saved = {
        "quant_method": "torchao",
        "quant_type": {"default": {"_type": "Int8WeightOnlyConfig", "_data": {}, "_version": 2}},
    }
    assert choose(PRECISIONS["as-saved"], saved).backend is BACKENDS["torchao"]
    assert saved_bits(saved) == 8
    assert config_named(saved) == "Int8WeightOnlyConfig"
    assert saved_bits({"quant_method": "torchao", "quant_type": "int4_weight_only"}) is None
    assert saved_bits({"quant_method": "torchao"}) is None
