"""Made-up cells for the soak: what a fresh process runs in place of a real one.

They speak the messages of `measure.soak.soaked`. Those of the host take real memory, beside what
they give back; those of a GPU say what torch would. pytest is not imported: it would be, in every
child.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import time
from functools import partial
from typing import TYPE_CHECKING

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import read_manifest
from whisperbench.asked.precisions import precision_named
from whisperbench.devices.accelerator import AllocatorLevels
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.cuda import CudaAccelerator
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.soak.host_memory import HostHeld, HostMemory
from whisperbench.measure.soak.soaked import Broken, Called, Through
from whisperbench.results.ran import Ran

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from typing import Any

    from whisperbench.devices.accelerator import Accelerator

SIZE = 64 * 1024
"""Bytes of a leak."""

MIB = 2**20
CALL_S = 0.25
RAN = Ran(weights={"float32": MIB}, computes_in="float32")

_kept: list[object] = []


def a_request(accelerator: Accelerator) -> CellRequest:
    """Ask for a made-up cell."""
    return CellRequest(
        model="made-up",
        folder="",
        precision=precision_named("int8"),
        attention="sdpa",
        accelerator=accelerator,
        clip=read_manifest(CLIPS_FOLDER)["yes"],
        batch_size=1,
        tokens=2,
    )


ON_HOST = a_request(CpuAccelerator())
ON_GPU = a_request(CudaAccelerator("cuda:0"))


def keep(leak: str) -> None:
    """Take `SIZE` bytes, write to them, and never give them back."""
    if leak == "torch":
        import torch

        _kept.append(torch.ones(SIZE // 4))
    elif leak == "bytes":
        _kept.append(b"x" * SIZE)
    elif leak == "malloc":
        library = ctypes.CDLL(None)
        library.malloc.restype = ctypes.c_void_p
        ctypes.memset(ctypes.c_void_p(library.malloc(ctypes.c_size_t(SIZE))), 1, SIZE)
    elif leak == "mmap":
        pages = mmap.mmap(-1, SIZE)
        pages.write(b"x" * SIZE)
        _kept.append(pages)
    else:
        assert leak == "none"


def work(call: int) -> None:
    """Take and give back blocks of many sizes, and fill a cache over the first calls."""
    sizes = random.Random(call)
    blocks = [bytearray(sizes.randrange(1000, 400_000)) for _ in range(60)]
    sizes.shuffle(blocks)
    if call < 8:
        _kept.append(b"c" * 300_000)


def take(leak: str, connection: Connection[Any, Any], _request: CellRequest, calls: int) -> None:
    """Work so often, and leak each time."""
    host = HostMemory()
    for call in range(calls):
        work(call)
        keep(leak)
        called = Called(wall_s=CALL_S, cpu_s=CALL_S, host=host.read(), levels=None)
        connection.send(called)
        connection.recv()
    connection.send(Through(malloc_counts=host.counts, ran=RAN))
    connection.recv()


def levels(allocated: int, reserved: int) -> AllocatorLevels:
    """Say what torch would."""
    return AllocatorLevels(
        allocated_bytes=allocated,
        reserved_bytes=reserved,
        peak_allocated_bytes=allocated,
        peak_reserved_bytes=reserved,
    )


def on_gpu(
    leak: int, slower: float, connection: Connection[Any, Any], _request: CellRequest, calls: int
) -> None:
    """Say what torch counts on a GPU where each call keeps some bytes and takes ever longer.

    It reserves blocks of 2 MiB, one for as many leaks as fill it.
    """
    host = HostHeld(resident=900 * MIB, given_out=500 * MIB, free=30 * MIB)
    for call in range(calls):
        kept = call * leak
        counted = levels(3000 * MIB + kept, 3200 * MIB - (-kept // (2 * MIB)) * 2 * MIB)
        wall_s = CALL_S * slower ** (call / calls)
        connection.send(Called(wall_s=wall_s, cpu_s=CALL_S, host=host, levels=counted))
        connection.recv()
    connection.send(Through(malloc_counts=True, ran=RAN))
    connection.recv()


def vague(connection: Connection[Any, Any], _request: CellRequest, calls: int) -> None:
    """Say that malloc does not count, and that the resident set jumps."""
    for call in range(calls):
        host = HostHeld(resident=(400 + 10 * (call * 7 % 5)) * MIB)
        connection.send(Called(wall_s=CALL_S, cpu_s=CALL_S, host=host, levels=None))
        connection.recv()
    connection.send(Through(malloc_counts=False, ran=RAN))
    connection.recv()


def stop_early(connection: Connection[Any, Any], request: CellRequest, calls: int) -> None:
    """Say that all is over after half of the calls."""
    on_gpu(0, 1.0, connection, request, calls // 2)


def die(connection: Connection[Any, Any], _request: CellRequest, _calls: int) -> None:
    """End without a word, after a call."""
    host = HostHeld(resident=MIB)
    connection.send(Called(wall_s=CALL_S, cpu_s=CALL_S, host=host, levels=None))
    connection.recv()
    os._exit(7)


def hang(_connection: Connection[Any, Any], _request: CellRequest, _calls: int) -> None:
    """Never say anything."""
    time.sleep(60.0)


def run_out(connection: Connection[Any, Any], _request: CellRequest, _calls: int) -> None:
    """Say that the device's memory is full."""
    message = "out of memory on cuda:0"
    connection.send(Broken(message=message, calls=3, out_of_memory=True))
    connection.recv()


def leaking_model(
    leak: str, connection: Connection[Any, Any], request: CellRequest, calls: int
) -> None:
    """Soak a real cell whose transcriptions leak."""
    from whisperbench.measure.soak.soaked import run_soak
    from whisperbench.whisper.transformers_transcriber import TransformersTranscriber

    own = TransformersTranscriber.transcribe

    def transcribe(self: Any, tokens: int | None) -> Any:
        keep(leak)
        return own(self, tokens)

    TransformersTranscriber.transcribe = transcribe  # type: ignore[method-assign]
    run_soak(connection, request, calls)


CLEAN, LEAKING = partial(on_gpu, 0, 1.0), partial(on_gpu, SIZE, 1.0)
