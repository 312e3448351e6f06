"""Is what ran what it is called, and is a fallback found? On this machine's own device.

    python scripts/check_what_ran.py                                    # on a CPU
    python scripts/check_what_ran.py --device cuda --model dummy:large-v3

First each precision is loaded and run as it is: none may be invalid. Then each fallback is forced
in the library that takes it: each must be invalid, and named. The exit code is 1 where one of
either is not so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from whisperbench.asked.checkout import CLIPS_FOLDER  # noqa: E402 - of this checkout
from whisperbench.asked.clips import load_audio, read_manifest  # noqa: E402
from whisperbench.asked.models import ModelSpec  # noqa: E402
from whisperbench.asked.plan import CheckpointKey  # noqa: E402
from whisperbench.asked.precisions import precision_named  # noqa: E402
from whisperbench.devices.choosing import open_accelerator  # noqa: E402
from whisperbench.errors import InvalidMeasurementError, WhisperbenchError  # noqa: E402
from whisperbench.measure.cost.profiling import profile_once  # noqa: E402
from whisperbench.measure.cost.seen import seen_in  # noqa: E402
from whisperbench.whisper.checkpoints import resolve_checkpoint  # noqa: E402
from whisperbench.whisper.loading import load_model  # noqa: E402
from whisperbench.whisper.what_ran import what_ran  # noqa: E402

if TYPE_CHECKING:
    from whisperbench.results.ran import Ran
    from whisperbench.whisper.loading import LoadedModel

TOKENS = 4
PRECISIONS = "fp32,fp16,bf16,int8,int8-t0,nf4"

Around = Callable[["LoadedModel"], Any]
"""Makes a block in which a loaded model falls back."""


class Fallback(NamedTuple):
    """What a library does otherwise, and in which precision it shows."""

    name: str
    precision: str
    while_loading: Any = None
    """A block to load in."""
    while_running: Around | None = None


def run(model: str, precision: str, device: str, fallback: Fallback | None = None) -> Ran:
    """Load a cell and run it under the profiler."""
    accelerator = open_accelerator(device)
    checkpoint = resolve_checkpoint(ModelSpec.parse(model))
    key = CheckpointKey(
        model=checkpoint.spec, precision=precision_named(precision), attention="sdpa"
    )
    with (fallback and fallback.while_loading) or nothing():
        loaded = load_model(checkpoint, key, accelerator)
    try:
        transcriber = loaded.transcriber([load_audio(read_manifest(CLIPS_FOLDER)["yes"])])
        features, encoder = transcriber.front_end(), transcriber.encoder()
        with ((fallback and fallback.while_running) or nothing)(loaded):
            for _ in range(3 if key.precision.compiled else 1):
                transcriber.generate(features, TOKENS)
            tally = profile_once(
                lambda: transcriber.generate(features, TOKENS), loaded.model, encoder, accelerator
            )
            parts = list(tally.rows())
            on_gpu = any(part.kind == "kernel" for part in parts)
            return what_ran(loaded, generated=True, **seen_in(parts, on_gpu=on_gpu)._asdict())
    finally:
        loaded.close()


@contextmanager
def nothing(_: Any = None) -> Iterator[None]:
    """Change nothing."""
    yield


@contextmanager
def math_kernel(_: LoadedModel) -> Iterator[None]:
    """Leave scaled_dot_product_attention none of its fused kernels."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def tf32(_: LoadedModel) -> Iterator[None]:
    """Let torch multiply 32-bit floats in TF32."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def dequantized(loaded: LoadedModel) -> Iterator[None]:
    """Turn quantized layers into floats, as transformers does it by itself for fp8."""
    loaded.model.dequantize()
    yield


@contextmanager
def eager_compile(_: LoadedModel) -> Iterator[None]:
    """Let torch.compile run what it was given as it was written."""
    import torch

    with torch.compiler.set_stance("force_eager"):
        yield


def fallbacks(*, on_host: bool) -> Iterator[Fallback]:
    """Yield the fallbacks that can be forced on a device."""
    from bitsandbytes.autograd import _functions
    from transformers.quantizers import quantizer_bnb_8bit

    floats = patch.object(_functions, "MatMul8bitLt", _functions.MatMul8bitFp)
    quantizer = quantizer_bnb_8bit.Bnb8BitHfQuantizer
    skips = patch.object(
        quantizer, "get_modules_to_not_convert", lambda *_, **__: ["proj_out", "fc1"]
    )
    yield Fallback("sdpa becomes the math kernel", "fp32", None, math_kernel)
    yield Fallback("int8 multiplied as floats", "int8", None, lambda _: floats)
    yield Fallback("int8 weights dequantized", "int8", None, dequantized)
    yield Fallback("a wrong list of what is not quantized", "int8", skips)
    if not on_host:
        yield Fallback("32-bit floats multiplied in TF32", "fp32", None, tf32)
        yield Fallback("a compiled decoder that runs eagerly", "fp16-compiled", None, eager_compile)


def main() -> int:
    """Run all cells, and print a line of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--precision", default=PRECISIONS)
    told = parser.parse_args()
    wrong = 0
    for precision in told.precision.split(","):
        try:
            print(f"{precision}: {run(told.model, precision, told.device)}", flush=True)
        except WhisperbenchError as error:
            wrong += 1
            print(f"NOT AS NAMED: {error}", flush=True)
    for fallback in fallbacks(on_host=open_accelerator(told.device).on_host):
        try:
            ran = run(told.model, fallback.precision, told.device, fallback)
        except InvalidMeasurementError as error:
            print(f"found: {fallback.name}: {error}", flush=True)
        else:
            wrong += 1
            print(f"NOT FOUND: {fallback.name}: {ran}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
