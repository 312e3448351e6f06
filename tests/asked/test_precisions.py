"""The registry of precisions, against the real libraries."""

from __future__ import annotations

import pytest
import torch
from ctranslate2.specs.model_spec import ACCEPTED_MODEL_TYPES
from transformers import BitsAndBytesConfig

from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS, precision_named
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import InputError
from whisperbench.whisper.backend_choice import BACKENDS
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.loading import load_model

LINEARS_OF_TINY = 4 * 6 + 4 * 10  # 4 encoder layers of 6 and 4 decoder layers of 10


@pytest.mark.parametrize("row", PRECISIONS.values(), ids=PRECISIONS)
def test_rows_name_what_the_libraries_know(row: object) -> None:
    """dtype names are torch's, backends have a row, and each is told what it takes."""
    precision = precision_named(row.name)  # type: ignore[attr-defined]
    for name in filter(None, (precision.dtype, precision.host_dtype)):
        assert isinstance(getattr(torch, name), torch.dtype)
    assert precision.backend in BACKENDS
    if precision.backend == "bitsandbytes":
        config = BitsAndBytesConfig(**precision.options)
        for keyword, value in precision.options.items():
            assert getattr(config, keyword) == value
    elif precision.backend == "torchao":
        assert set(precision.options) == {"config", "set_inductor_config"}
    elif precision.backend == "ctranslate2":
        assert precision.options["compute_type"] in ACCEPTED_MODEL_TYPES
    else:
        assert not precision.options


@pytest.mark.parametrize(
    ("name", "capability", "runs"),
    [
        ("int8", (7, 5), True),
        ("int8", (7, 0), False),
        ("int8-t0", (6, 1), False),
        ("bf16", (8, 0), True),
        ("bf16", (7, 5), False),
        ("nf4", (6, 0), True),
        ("nf4", (5, 2), False),
        ("fp16", (5, 2), True),
        ("fp32", (3, 5), True),
        ("fp32-compiled", (7, 0), True),
        ("fp16-compiled", (6, 1), False),
        ("bf16-compiled", (7, 5), False),
        ("ao-int8wo", (8, 0), True),
        ("ao-int8dq-compiled", (7, 5), False),
    ],
)
def test_gpus_that_cannot_run_a_precision(
    name: str, capability: tuple[int, int], runs: bool
) -> None:
    """A GPU below a precision's compute capability is refused with both figures."""
    reason = PRECISIONS[name].why_not(capability)
    assert (reason is None) == runs
    if reason is not None:
        assert ".".join(map(str, capability)) in reason


def test_every_precision_runs_on_a_cpu() -> None:
    """Nothing is refused there but what says that it needs a GPU: CTranslate2's 16-bit floats."""
    refused = {row.name for row in PRECISIONS.values() if row.why_not(None) is not None}
    assert refused == {"ct2-float16", "ct2-int8_float16"}


def test_unknown_precision() -> None:
    """An unknown name lists the known ones."""
    with pytest.raises(InputError, match="fp32, fp16, bf16, int8, int8-t0, nf4"):
        precision_named("int4")


@pytest.mark.parametrize(
    ("name", "kind", "threshold", "mib"),
    [
        ("fp32", "Linear", None, 144.0),
        ("fp16", "Linear", None, 72.0),
        ("bf16", "Linear", None, 72.0),
        ("int8", "Linear8bitLt", 6.0, 96.9),
        ("int8-t0", "Linear8bitLt", 0.0, 96.9),
        ("nf4", "Linear4bit", None, 89.9),
    ],
)
def test_loaded_weights_are_what_the_row_says(
    dummy_tiny: Checkpoint, name: str, kind: str, threshold: float | None, mib: float
) -> None:
    """The real libraries load each row: layer class, threshold, dtype and MiB on a CPU."""
    key = CheckpointKey(model=dummy_tiny.spec, precision=PRECISIONS[name], attention="sdpa")
    loaded = load_model(dummy_tiny, key, CpuAccelerator())
    layers = [layer for layer in loaded.model.modules() if type(layer).__name__ == kind]
    assert len(layers) - (kind == "Linear") == LINEARS_OF_TINY  # plus the output projection
    if threshold is not None:
        assert {layer.state.threshold for layer in layers} == {threshold}
    assert loaded.model.model.encoder.conv1.weight.dtype == loaded.dtype
    assert sum(loaded.weights_by_dtype.values()) / 2**20 == pytest.approx(mib, abs=0.06)
