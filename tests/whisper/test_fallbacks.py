"""Fallbacks that libraries take in silence, each forced in the library itself: all are invalid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bitsandbytes
import ctranslate2
import pytest
import torch
import torch._dynamo
from bitsandbytes.autograd import _functions
from torch._inductor import compile_fx
from transformers.quantizers import quantizer_bnb_8bit

from tests.whisper.running import load, run
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.cuda import CudaAccelerator
from whisperbench.errors import InvalidMeasurementError
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.what_ran import what_ran

Patch = pytest.MonkeyPatch


def test_attention_that_becomes_the_math_kernel(speck: Checkpoint) -> None:
    """sdpa takes plain products where its fused kernels are off, and says nothing."""
    loaded = load(speck, "fp32")
    torch.backends.cuda.enable_flash_sdp(False)
    try:
        with pytest.raises(InvalidMeasurementError) as caught:
            run(loaded)
    finally:
        torch.backends.cuda.enable_flash_sdp(True)
    assert str(caught.value) == (
        "speck-fp32: what ran is not what it is called: attention ran as math, which is not what "
        "sdpa stands for"
    )
    assert run(loaded).attention == ("flash on a CPU",)


def test_attention_that_is_another_one(speck: Checkpoint, monkeypatch: Patch) -> None:
    """transformers' own choice of another implementation is found by what it calls."""
    loaded = load(speck, "fp32")
    monkeypatch.setattr(loaded.model.config, "_attn_implementation", "eager")
    for half in (loaded.model.model.encoder, loaded.model.model.decoder):
        monkeypatch.setattr(half.config, "_attn_implementation", "eager")
    with pytest.raises(InvalidMeasurementError, match="attention ran as eager, which is not what"):
        run(loaded)


def test_int8_that_is_multiplied_as_floats(speck: Checkpoint, monkeypatch: Patch) -> None:
    """bitsandbytes without its int8 product: its layers unpack the weights at each call."""
    loaded = load(speck, "int8")
    monkeypatch.setattr(_functions, "MatMul8bitLt", _functions.MatMul8bitFp)
    with pytest.raises(InvalidMeasurementError, match="16 layers multiplied by 0 ops of its kind"):
        run(loaded)


def test_four_bits_that_are_multiplied_as_floats(speck: Checkpoint, monkeypatch: Patch) -> None:
    """4-bit layers that call plain torch on weights that were unpacked before."""
    loaded = load(speck, "nf4")
    for module in loaded.model.modules():
        if type(module).__name__ == "Linear4bit":
            packed: Any = module.weight
            weight = bitsandbytes.functional.dequantize_4bit(packed.data, packed.quant_state)
            monkeypatch.setattr(
                module,
                "forward",
                lambda x, w=weight, b=module.bias: torch.nn.functional.linear(x, w, b),
            )
    with pytest.raises(InvalidMeasurementError, match="16 layers multiplied by 0 ops of its kind"):
        run(loaded)


def test_a_compile_that_failed(speck: Checkpoint, monkeypatch: Patch) -> None:
    """torch.compile whose compiler breaks runs what it was given, where errors are suppressed."""
    loaded = load(speck, "fp32-compiled")
    monkeypatch.setattr(compile_fx, "compile_fx", broken)
    said = r"speck-fp32-compiled: .*: torch.compile made no graph, so it ran eagerly$"
    try:
        # By its own means: pytest's patch would take the setting away instead of back.
        with (
            torch._dynamo.config.patch(suppress_errors=True),  # noqa: SLF001
            pytest.raises(InvalidMeasurementError, match=said),
        ):
            run(loaded)
    finally:
        loaded.close()


def broken(*_: Any, **__: Any) -> None:
    """Fail as a compiler does that is not installed."""
    raise RuntimeError("no compiler")


@pytest.mark.parametrize("precision", ["ct2-int8", "ct2-float32"])
def test_a_type_that_ctranslate2_changes(
    speck: Checkpoint, monkeypatch: Patch, precision: str
) -> None:
    """It computes in another type where the device lacks the one that it is told."""
    plain = ctranslate2.models.Whisper
    other = "float32" if precision == "ct2-int8" else "int8_float32"

    def resolved_otherwise(*args: Any, **told: Any) -> Any:
        return plain(*args, **told | {"compute_type": other})

    monkeypatch.setattr(ctranslate2.models, "Whisper", resolved_otherwise)
    named = "int8_float32" if precision == "ct2-int8" else "float32"
    with pytest.raises(
        InvalidMeasurementError,
        match=rf"speck-{precision}: .*its layers multiply in {other}, not in {named}",
    ):
        what_ran(load(speck, precision), generated=False)


def test_quantized_weights_that_become_floats(speck: Checkpoint) -> None:
    """transformers' own dequantizing, as it does for fp8 on older cards: the weights are floats."""
    loaded = load(speck, "int8")
    loaded.model.dequantize()
    with pytest.raises(InvalidMeasurementError, match="a Linear, not a Linear8bitLt"):
        run(loaded)


@dataclass
class Skips:
    """A list of layers that are not quantized, and what is said of it."""

    names: list[str]
    words: str


@pytest.mark.parametrize(
    "skips",
    [
        Skips(["proj_out", "fc1"], "2 of its layers are not .*: a Linear, not a Linear8bitLt"),
        Skips(
            ["proj_out", "model.decoder"],
            "10 of its layers are not .*: a Linear, not a Linear8bitLt",
        ),
        Skips([], "proj_out is a Linear8bitLt, not a Linear"),
    ],
    ids=["a layer too many", "a half too many", "none"],
)
def test_a_wrong_list_of_what_is_not_quantized(
    speck: Checkpoint, monkeypatch: Patch, skips: Skips
) -> None:
    """Layers that are left as they were, and the output projection quantized, are each found."""
    quantizer = quantizer_bnb_8bit.Bnb8BitHfQuantizer
    monkeypatch.setattr(quantizer, "get_modules_to_not_convert", lambda *_, **__: skips.names)
    with pytest.raises(InvalidMeasurementError, match=skips.words):
        load(speck, "int8")


@dataclass(frozen=True)
class Older(CpuAccelerator):
    """The CPU as a GPU, with a real GPU's answer of what it emulates."""

    on_host: bool = False

    def emulates(self, dtype: str) -> bool:
        """Ask as a GPU is asked."""
        return CudaAccelerator("cuda:0").emulates(dtype)


def test_bfloat16_that_is_emulated(speck: Checkpoint, monkeypatch: Patch) -> None:
    """On a T4 torch calls bfloat16 supported, by emulation; on an A100 it is what it is called."""
    card: dict[str, Callable[[Any], tuple[int, int]]] = {
        "T4": lambda _: (7, 5),
        "A100": lambda _: (8, 0),
    }
    monkeypatch.setattr(torch.cuda, "get_device_capability", card["A100"])
    loaded = load(speck, "bf16", accelerator=Older())
    assert run(loaded).emulated is None
    monkeypatch.setattr(torch.cuda, "get_device_capability", card["T4"])
    with pytest.raises(
        InvalidMeasurementError, match="the device has no arithmetic in bfloat16 and emulates it"
    ):
        run(loaded)


def test_floats_that_are_multiplied_in_fewer_bits(monkeypatch: Patch) -> None:
    """torch multiplies 32-bit floats in TF32 on a GPU where anybody in the process told it to."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    gpu = CudaAccelerator("cuda:0")
    assert gpu.computes_in("float32") == "float32"
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        assert (gpu.computes_in("float32"), gpu.computes_in("float16")) == ("tf32", "float16")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
        assert gpu.computes_in("float32") == "float32"  # which has no TF32
    finally:
        torch.set_float32_matmul_precision(before)
