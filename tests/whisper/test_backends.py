"""Backends: which one a precision has, what it says of it, and what loads its models."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from transformers import CompileConfig

from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.accelerator import Accelerator
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import DeviceError, ModelError, NotOfferedError
from whisperbench.whisper.backend_choice import (
    BACKENDS,
    choose,
    installed,
    method_of,
    require_installed,
    saved_bits,
)
from whisperbench.whisper.backends.bitsandbytes import BitsAndBytes
from whisperbench.whisper.backends.transformers import Unquantized
from whisperbench.whisper.checkpoints import Checkpoint, resolve_checkpoint
from whisperbench.whisper.compiled_decoder import compile_config
from whisperbench.whisper.loading import LoadedModel, load_model
from whisperbench.whisper.transcriber import Transcriber


@pytest.mark.parametrize(
    ("name", "bits", "on_gpu", "on_host"),
    [
        ("fp32", None, "float32", "float32"),
        ("fp16", None, "float16", "float16"),
        ("bf16", None, "bfloat16", "bfloat16"),
        ("int8", 8, "int8", "float32"),
        ("int8-t0", 8, "int8", "float32"),
        ("nf4", 4, "float16", "float32"),
        ("fp16-compiled", None, "float16", "float16"),
        ("ao-int8wo", 8, "bfloat16", "float32"),
        ("ao-int8dq", 8, "int8", "float32"),
    ],
)
def test_what_a_precision_multiplies_in(
    name: str, bits: int | None, on_gpu: str, on_host: str
) -> None:
    """8 bits are multiplied as such on a GPU alone; 4 bits are unpacked first, everywhere."""
    row = PRECISIONS[name]
    backend = BACKENDS[row.backend]
    assert backend.bits(row.options) == bits
    for host, expected in ((False, on_gpu), (True, on_host)):
        dtype = row.dtype_on(on_host=host, saved="")
        assert backend.matrix_dtype(row.options, dtype, on_host=host) == expected


@pytest.mark.parametrize("name", [name for name, row in PRECISIONS.items() if row.compiled])
def test_the_mode_that_a_precision_is_compiled_in(name: str) -> None:
    """generate()'s own, but for int8 activations on a GPU, whose product has to be built."""
    row = PRECISIONS[name]
    modes = {
        host: BACKENDS[row.backend].compile_mode(row.options, on_host=host)
        for host in (False, True)
    }
    built = "max-autotune" if name == "ao-int8dq-compiled" else None
    assert modes == {False: built, True: None}
    for host, mode in modes.items():
        assert compile_config(mode, on_host=host).mode == (mode or CompileConfig().mode)


def test_a_checkpoint_that_was_saved_quantized_has_its_own_backend() -> None:
    """As it was saved, what config.json says decides; another precision keeps its own options."""
    saved = {"load_in_8bit": True, "llm_int8_threshold": 0.0}
    chosen = choose(PRECISIONS["as-saved"], saved)
    assert (chosen.backend, chosen.saved) == (BACKENDS["bitsandbytes"], True)
    layers = chosen.backend.must(chosen.options, "float16", on_host=False).layers
    assert layers is not None
    assert layers.settings == {"state.threshold": 0.0}
    assert choose(PRECISIONS["as-saved"], None).backend == BACKENDS["transformers"]
    with pytest.raises(ModelError, match="saved quantized by gptq: no backend"):
        choose(PRECISIONS["as-saved"], {"quant_method": "gptq"})
    assert choose(PRECISIONS["nf4"], None).options == PRECISIONS["nf4"].options


def test_how_a_checkpoint_was_quantized() -> None:
    """By bitsandbytes unless it says otherwise; of other methods nobody here knows the bits."""
    assert (method_of({"load_in_4bit": True}), saved_bits({"load_in_4bit": True})) == (
        "bitsandbytes",
        4,
    )
    assert saved_bits({}) is None
    gptq = {"quant_method": "gptq", "load_in_8bit": True}
    assert (method_of(gptq), saved_bits(gptq)) == ("gptq", None)


def test_four_bits_compute_in_the_dtype_of_all_else() -> None:
    """transformers' default is 32-bit floats, which would not be what the row says."""
    row = PRECISIONS["nf4"]
    told = BACKENDS[row.backend].loading_options(row.options, torch.float16)
    assert told["quantization_config"].bnb_4bit_compute_dtype == torch.float16
    assert BACKENDS["transformers"].loading_options({}, torch.float16) == {}


ASKED: list[tuple[Checkpoint, CheckpointKey, Accelerator]] = []


def load(checkpoint: Checkpoint, key: CheckpointKey, accelerator: Accelerator) -> LoadedModel:
    """Load a model of a library that the suite does not know."""
    ASKED.append((checkpoint, key, accelerator))
    return cast("LoadedModel", "its model")


def test_a_backend_names_what_loads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another library is a row with a function of its own; the one factory finds and calls it."""
    monkeypatch.setitem(BACKENDS, "other", Unquantized(factory=f"{__name__}:load"))
    spec = ModelSpec.parse("nano")
    precision = replace(PRECISIONS["fp32"], backend="other")
    key = CheckpointKey(model=spec, precision=precision, attention="sdpa")
    checkpoint = resolve_checkpoint(spec)
    assert load_model(checkpoint, key, CpuAccelerator()) == cast("Any", "its model")
    assert [(checkpoint, key, CpuAccelerator())] == ASKED


def test_weights_by_dtype_are_all_weights() -> None:
    """Of int8 layers the weights are int8, their scales and all else are 32-bit floats on a CPU."""
    spec = ModelSpec.parse("nano")
    key = CheckpointKey(model=spec, precision=PRECISIONS["int8"], attention="sdpa")
    loaded = load_model(resolve_checkpoint(spec), key, CpuAccelerator())
    assert set(loaded.weights_by_dtype) == {"int8", "float32"}
    assert loaded.weight_bytes == sum(loaded.weights_by_dtype.values())
    linear = sum(
        layer.in_features * layer.out_features
        for layer in loaded.model.modules()
        if type(layer).__name__ == "Linear8bitLt"
    )
    assert loaded.weights_by_dtype["int8"] == linear


def test_what_a_transcriber_leaves_out_is_not_offered() -> None:
    """A part that it does not have is named in one line, and is no None that fails later."""

    class Textual(Transcriber):
        """Offers a transcription alone."""

        loaded: Any = SimpleNamespace(key=SimpleNamespace(id="tiny-ct2"))
        audio: Any = None
        batch_size = 1
        language = "en"

    for call in (Textual().encoder, Textual().layers, partial(Textual().token_step, 3)):
        with pytest.raises(NotOfferedError, match="tiny-ct2: its transcriber offers no"):
            call()


def test_a_backend_whose_package_is_absent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its precisions are, with the package's name; others start as if it were not there."""
    absent = replace(cast(BitsAndBytes, BACKENDS["bitsandbytes"]), packages=("not_there",))
    monkeypatch.setitem(BACKENDS, "bitsandbytes", absent)
    with pytest.raises(DeviceError, match="--precision int8: needs not_there, which is not inst"):
        require_installed(PRECISIONS["int8"])
    require_installed(PRECISIONS["fp16"])
    assert installed(absent) == []
