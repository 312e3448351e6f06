"""Check the soak: clean models pass it, and each kind of leak is found, of a known size.

    python scripts/check_soak.py                        nano and dummy:tiny:1, fp32, int8 and nf4
    python scripts/check_soak.py --device cuda --model dummy:large-v3 --precision fp16,int8,nf4

Each row is a fresh process, which calls its cell as often as suite.toml says. `tensor` keeps one
tensor of each call on the device, `bytes` a Python object, `malloc` a block that C's malloc gave,
and `mmap` pages that no allocator knows of; all are written to. A leak that is not found, or a
clean cell that is over a limit, is a failure.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import sys
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIZE = 64 * 1024
LEAKS = ("none", "tensor", "bytes", "malloc", "mmap")
FIGURES = ("malloc", "host", "allocated", "reserved", "process", "device")

_kept: list[object] = []


def keep(leak: str, torch_device: str) -> None:
    """Take `SIZE` bytes, write to them, and never give them back."""
    import torch

    if leak == "tensor":
        _kept.append(torch.ones(SIZE // 4, device=torch_device))
    elif leak == "bytes":
        _kept.append(b"x" * SIZE)
    elif leak == "malloc":
        library = ctypes.CDLL(None)
        library.malloc.restype = ctypes.c_void_p
        block = library.malloc(ctypes.c_size_t(SIZE))
        ctypes.memset(ctypes.c_void_p(block), 1, SIZE)
    elif leak == "mmap":
        pages = mmap.mmap(-1, SIZE)
        pages.write(b"x" * SIZE)
        _kept.append(pages)


def leaking(leak: str, connection: Connection[Any, Any], request: Any, calls: int) -> None:
    """Soak a cell whose transcriptions leak."""
    from whisperbench.measure.soak.soaked import run_soak
    from whisperbench.whisper.transformers_transcriber import TransformersTranscriber

    own = TransformersTranscriber.transcribe

    def transcribe(self: Any, tokens: int | None) -> Any:
        keep(leak, request.accelerator.torch_device)
        return own(self, tokens)

    TransformersTranscriber.transcribe = transcribe  # type: ignore[method-assign]
    run_soak(connection, request, calls)


def request_of(model: str, precision: str, device: str, tokens: int) -> Any:
    """Return what a fresh process is told."""
    import msgspec

    from whisperbench.asked.checkout import CLIPS_FOLDER
    from whisperbench.asked.clips import read_manifest
    from whisperbench.asked.models import ModelSpec
    from whisperbench.asked.precisions import precision_named
    from whisperbench.devices.choosing import open_accelerator
    from whisperbench.measure.cell_request import CellRequest
    from whisperbench.whisper.checkpoints import resolve_checkpoint

    checkpoint = resolve_checkpoint(ModelSpec.parse(model))
    clip = msgspec.structs.replace(read_manifest(CLIPS_FOLDER)["harbour"], language="en")
    return CellRequest(
        model=model,
        folder=str(checkpoint.folder),
        blueprint=checkpoint.blueprint,
        precision=precision_named(precision),
        attention="sdpa",
        accelerator=open_accelerator(device),
        clip=clip,
        batch_size=1,
        tokens=tokens,
    )


def main() -> None:
    """Soak each model in each precision, without and with each leak."""
    from whisperbench.asked.suite import read_suite
    from whisperbench.devices.choosing import key_of, open_device, profile_of, resolve
    from whisperbench.judge.limits import applying, judge
    from whisperbench.measure.soak.soaking import measure_soak
    from whisperbench.results.records import Cell

    suite = read_suite()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="nano,dummy:tiny:1")
    parser.add_argument("--precision", default="fp32,int8,nf4")
    parser.add_argument("--leak", default=",".join(LEAKS))
    parser.add_argument("--repeats", type=int, default=1, help="of each row")
    parser.add_argument("--calls", type=int, help="by default suite.toml's")
    parser.add_argument("--tokens", type=int, help="by default suite.toml's")
    options = parser.parse_args()
    name = resolve(options.device)
    device, profile = open_device(name), suite.profile[profile_of(name)]
    calls, tokens = options.calls or profile.soak_calls, options.tokens or profile.soak_tokens
    key = key_of(device.facts())
    print(f"{key}: {calls} calls of {tokens} tokens, slopes in KiB a call, leaks of 64")
    print(
        f"{'model':<15}{'precision':<11}{'leak':<8}", *(f"{each:>10}" for each in FIGURES), end=""
    )
    print(f"{'drift':>8}{'seconds':>9}  found")
    wrong = 0
    for repeat in range(options.repeats):
        for model in options.model.split(","):
            for precision in options.precision.split(","):
                for leak in options.leak.split(","):
                    request = request_of(model, precision, name, tokens)
                    soak = measure_soak(request, device, calls, target=partial(leaking, leak))
                    cell = Cell(
                        model=model,
                        checkpoint="",
                        precision=precision,
                        dtype="",
                        device=device.facts().kind,
                        attention="sdpa",
                        clip=request.clip.name,
                        clip_sha256="0" * 64,
                        audio_s=1.0,
                        language="en",
                        batch_size=1,
                        tokens=tokens,
                    )
                    limits = applying(suite.limit, "soak", cell, key)
                    verdicts = judge(cell, soak.values, limits, {}, profile.reference)
                    bad = [row for row in verdicts if row.verdict != "ok"]
                    creeps = [row for row in bad if row.metric != "drift_ratio"]
                    wrong += bool(creeps) != (leak != "none") or len(creeps) != len(bad)
                    slopes = [soak.values.get(f"creep_{each}_kib_per_call") for each in FIGURES]
                    print(
                        f"{model:<15}{precision:<11}{leak:<8}",
                        *(f"{'':>10}" if each is None else f"{each:>10.2f}" for each in slopes),
                        f"{soak.values['drift_ratio']:>7.2f}{soak.seconds:>9.0f}  "
                        f"{', '.join(row.metric for row in bad) or 'nothing'}",
                        flush=True,
                    )
        print(f"repeat {repeat + 1}: {wrong} wrong so far", flush=True)
    if wrong:
        sys.exit(f"{wrong} rows are not what they must be")


if __name__ == "__main__":
    # As a module of a package, so that a fresh process can import the functions that it is to run.
    sys.path.insert(0, str(ROOT))
    from scripts import check_soak

    check_soak.main()
