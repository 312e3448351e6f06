"""What was loaded is what its precision's name says, or it is refused."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BitsAndBytesConfig, WhisperForConditionalGeneration, WhisperProcessor

from tests.conftest import RunSuite
from whisperbench.asked.checkout import NANO_FOLDER
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS, Precision, precision_named
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.device import DeviceFacts
from whisperbench.errors import DeviceError, InvalidMeasurementError, ModelError
from whisperbench.results.records import Measurement
from whisperbench.results.run_file import read_run
from whisperbench.whisper.as_named import require_as_named
from whisperbench.whisper.backend_choice import BACKENDS
from whisperbench.whisper.checkpoints import require_measurable, resolve_checkpoint
from whisperbench.whisper.loading import LoadedModel, load_model
from whisperbench.whisper.must import Layers

EIGHT: dict[str, Any] = {"load_in_8bit": True}
FOUR: dict[str, Any] = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


def save(folder: Path, dtype: torch.dtype = torch.float32, **quantization: Any) -> Path:
    """Save nano quantized, as people do, the rest of it in a dtype."""
    model = WhisperForConditionalGeneration.from_pretrained(
        NANO_FOLDER,
        dtype=dtype,
        device_map={"": "cpu"},
        quantization_config=BitsAndBytesConfig(**quantization),
    )
    model.save_pretrained(folder)
    WhisperProcessor.from_pretrained(NANO_FOLDER).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nano saved from 8 bits, the rest in 32-bit floats."""
    return save(tmp_path_factory.mktemp("saved") / "eight", **EIGHT)


def load(folder: Path | str, precision: str) -> LoadedModel:
    """Load a checkpoint in a precision."""
    checkpoint = resolve_checkpoint(ModelSpec.parse(str(folder)))
    key = CheckpointKey(
        model=checkpoint.spec, precision=precision_named(precision), attention="sdpa"
    )
    return load_model(checkpoint, key, CpuAccelerator())


def test_quantized_weights_are_no_other_precision(saved: Path) -> None:
    """Under each other name, its own among them, they are refused in one line with the remedy."""
    for precision in PRECISIONS.keys() - {"as-saved"}:
        with pytest.raises(ModelError) as caught:
            load(saved, precision)
        assert str(caught.value) == (
            f"eight ({saved}): its weights were saved quantized (8 bits, by bitsandbytes; "
            f"quantization_config in config.json), and cannot be measured in {precision}: pass "
            "--precision as-saved, or take the model that it was quantized from"
        )


@pytest.mark.parametrize(
    ("quantization", "dtype", "layer", "mib"),
    [
        (EIGHT, torch.float32, "Linear8bitLt", 11.25),
        (EIGHT, torch.float16, "Linear8bitLt", 8.54),
        (FOUR, torch.bfloat16, "Linear4bit", 5.96),
        ({**FOUR, "bnb_4bit_use_double_quant": True}, torch.float32, "Linear4bit", 8.45),
    ],
)
def test_saved_weights_are_measured_as_they_are(
    tmp_path: Path, quantization: dict[str, Any], dtype: torch.dtype, layer: str, mib: float
) -> None:
    """As saved, the layers, their dtype and the rest's are those that were written."""
    loaded = load(save(tmp_path / "mine", dtype, **quantization), "as-saved")
    assert {type(module).__name__ for module in loaded.model.model.encoder.layers[0].modules()} > {
        layer
    }
    assert loaded.dtype == dtype == loaded.model.model.encoder.conv1.weight.dtype
    assert sum(loaded.weights_by_dtype.values()) / 2**20 == pytest.approx(mib, abs=0.1)


def test_plain_weights_as_saved_are_their_own_dtype() -> None:
    """nano was saved in 16-bit floats: as saved it is that."""
    assert load("nano", "as-saved").dtype == torch.float16


@pytest.mark.parametrize("said", ["float32", "bfloat16", None, 7])
def test_as_saved_is_what_the_weights_are(tmp_path: Path, said: object) -> None:
    """Whatever config.json says of their dtype."""
    folder = change(NANO_FOLDER, tmp_path / "mine", dtype=said, torch_dtype=said)
    weights = load(folder, "as-saved").weights_by_dtype
    assert sum(weights.values()) / 2**20 == pytest.approx(14.2, abs=0.05)


def change(folder: Path, to: Path, **fields: object) -> Path:
    """Copy a checkpoint, and change its config.json."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text(encoding="utf-8"))
    for field, value in fields.items():
        config.pop(field, None)
        config |= {field: value} if value is not None else {}
    (to / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return to


def test_other_quantizations_are_refused(saved: Path, tmp_path: Path) -> None:
    """Another library's, one that is not said, and one that says nothing are each one line."""
    gptq = change(saved, tmp_path / "gptq", quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(ModelError, match=r"saved quantized \(by gptq\); only those of bitsandbyt"):
        load(gptq, "as-saved")
    silent = change(saved, tmp_path / "silent", quantization_config=None)
    with pytest.raises(
        ModelError, match=r"is of I8, as quantized weights are, and config.json has"
    ):
        load(silent, "fp32")
    plain = change(NANO_FOLDER, tmp_path / "plain", quantization_config={"load_in_8bit": True})
    for precision in ("fp32", "as-saved"):
        with pytest.raises(
            ModelError, match="and the weights are plain floats; take quantization_"
        ):
            load(plain, precision)
    no_bits = {"quant_method": "bitsandbytes"}
    with pytest.raises(ModelError, match="says neither load_in_8bit nor load_in_4bit; take config"):
        load(change(saved, tmp_path / "bits", quantization_config=no_bits), "as-saved")
    with pytest.raises(ModelError, match=r"quantization_config: \[8\]; correct it"):
        load(change(saved, tmp_path / "odd", quantization_config=[8]), "as-saved")


def test_a_device_that_cannot_run_what_was_saved_says_so(saved: Path) -> None:
    """8 bits need the tensor cores that a P100 lacks, whatever the precision is called."""
    facts = DeviceFacts(
        kind="cuda",
        torch_name="cuda:0",
        name="Tesla P100",
        memory_mib=16_000,
        compute_capability=(6, 0),
    )
    checkpoint = resolve_checkpoint(ModelSpec.parse(str(saved)))
    with pytest.raises(DeviceError, match="eight: saved as int8 is, which Tesla P100 cannot run"):
        require_measurable(checkpoint, PRECISIONS["as-saved"], facts)
    require_measurable(resolve_checkpoint(ModelSpec.parse("nano")), PRECISIONS["as-saved"], facts)


def expected_of(row: Precision) -> tuple[Layers, str]:
    """Return what a row's backend expects of its layers on a CPU, and the dtype of all else."""
    dtype = row.dtype_on(on_host=True, saved="")
    layers = BACKENDS[row.backend].must(row.options, dtype, on_host=True).layers
    assert layers is not None
    return layers, dtype


@pytest.mark.parametrize(
    ("loaded_in", "named", "words"),
    [
        ("fp32", "int8", "50 of its layers are not what .*: a Linear, not a Linear8bitLt"),
        ("int8", "fp32", "a Linear8bitLt, not a Linear"),
        ("int8", "int8-t0", "Linear8bitLt's state.threshold is 6.0, not 0.0"),
        ("int8", "nf4", "a Linear8bitLt, not a Linear4bit"),
        ("bf16", "fp32", "weight is bfloat16, not float32"),
    ],
)
def test_a_load_that_is_not_its_name_is_invalid(loaded_in: str, named: str, words: str) -> None:
    """Layers, settings and dtypes are held against the row, with what they are instead."""
    model = load("nano", loaded_in).model
    row = PRECISIONS[named]
    with pytest.raises(InvalidMeasurementError, match=words):
        require_as_named("nano", model, *expected_of(row))


def test_a_single_layer_that_is_another_is_found() -> None:
    """One layer of another dtype, and an output projection that is quantized, are each found."""
    row = PRECISIONS["fp32"]
    model = load("nano", "fp32").model
    model.model.decoder.layers[1].fc2.half()
    with pytest.raises(InvalidMeasurementError, match=r"Linear.weight is float16, not float32"):
        require_as_named("nano", model, *expected_of(row))
    quantized = load("nano", "int8").model
    quantized.proj_out = copy.deepcopy(quantized.model.decoder.layers[0].fc1)
    with pytest.raises(InvalidMeasurementError, match="proj_out is a Linear8bitLt, not a Linear"):
        require_as_named("nano", quantized, *expected_of(PRECISIONS["int8"]))


def test_a_run_of_saved_weights_is_a_row_like_others(
    saved: Path, run_here: RunSuite, tmp_path: Path
) -> None:
    """Times, memory, counts and words of `as-saved` are in the result; other names are refused."""
    options = ("--model", str(saved), "--clip", "yes", "--tokens", "2", "--rounds", "1")
    kept = "not (startup or stages or fixed2)"
    done = run_here(*options, "--precision", "as-saved", "-k", kept)
    assert done.returncode == 0, done.stdout
    cells = {(row.benchmark, row.cell.precision, row.cell.dtype) for row in measurements(tmp_path)}
    assert {stage for stage, *_ in cells} >= {"transcribe", "memory", "cost", "quality"}
    assert {(name, dtype) for _, name, dtype in cells} == {("as-saved", "float32")}
    refused = run_here(*options, "--precision", "fp32,int8,nf4")
    assert refused.returncode == 4
    assert "saved quantized (8 bits" in refused.stderr
    assert " passed" not in refused.stdout


def measurements(folder: Path) -> tuple[Measurement, ...]:
    """Read what the run wrote."""
    return read_run(folder / "run.json").measurements
