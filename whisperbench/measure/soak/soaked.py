"""The soaked side: load, call again and again, and tell after each call what this process holds.

Runs in a fresh process. Between two calls it waits until the process that watches has read the
device; nothing reads while a call lasts.
"""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import msgspec

from whisperbench.devices.accelerator import AllocatorLevels
from whisperbench.errors import OutOfMemoryError, WhisperbenchError, one_line
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.fresh import PRELOAD
from whisperbench.measure.soak.creep import counted_from
from whisperbench.measure.soak.host_memory import HostHeld, HostMemory
from whisperbench.results.ran import Ran

if TYPE_CHECKING:
    from whisperbench.whisper.transcriber import Transcriber


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A call is over."""

    wall_s: float
    cpu_s: float
    """Of all threads of this process."""
    host: HostHeld
    levels: AllocatorLevels | None
    """None on a CPU, where torch keeps no count."""


class Through(msgspec.Struct, frozen=True, kw_only=True):
    """All calls are over, and the last one's output was what it had to be."""

    malloc_counts: bool
    ran: Ran


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """The cell went wrong."""

    message: str
    calls: int
    """How many were over."""
    out_of_memory: bool


Message = Called | Through | Broken


def run_soak(connection: Connection[Any, Any], request: CellRequest, calls: int) -> None:
    """Call a cell so many times; the last message is `Through` or `Broken`.

    Args:
        connection: to the process that watches, which answers each `Called`.
        request: the cell.
        calls: how many.
    """
    told = [0]
    last: Through | Broken

    def tell(called: Called) -> None:
        connection.send(called)
        connection.recv()  # the watcher has read the device
        told[0] += 1

    try:
        host = HostMemory()
        ran = call_again_and_again(request, calls, host, tell)
        last = Through(malloc_counts=host.counts, ran=ran)
    except EOFError:
        return  # nobody watches any more
    except WhisperbenchError as error:
        # On the device it is a result; on the host of a GPU it is a fault like others.
        memory = (
            isinstance(error, OutOfMemoryError) and error.on_host == request.accelerator.on_host
        )
        last = Broken(message=one_line(error), calls=told[0], out_of_memory=memory)
    except Exception as error:  # noqa: BLE001 - whatever it is, the watcher is told
        said = f"{type(error).__name__}: {one_line(error)}"
        last = Broken(message=said, calls=told[0], out_of_memory=False)
    connection.send(last)
    connection.recv()  # what is on the device stays until the watcher has looked


def call_again_and_again(
    request: CellRequest, calls: int, host: HostMemory, tell: Callable[[Called], object]
) -> Ran:
    """Load a cell and call it, and tell of each call; return what ran.

    Args:
        request: the cell.
        calls: how many.
        host: reads what this process holds.
        tell: is given a `Called` after each call.
    """
    for name in PRELOAD:
        importlib.import_module(name)  # has been, in a process that was forked

    from whisperbench.asked.clips import load_audio
    from whisperbench.whisper.compiling import nothing_compiled
    from whisperbench.whisper.loading import load_model
    from whisperbench.whisper.residency import memory_errors
    from whisperbench.whisper.what_ran import what_ran

    accelerator = request.accelerator
    audio = load_audio(request.clip)
    loaded = load_model(request.checkpoint(), request.key(), accelerator)
    with memory_errors(f"transcribing with {request}", accelerator):
        transcriber: Transcriber = loaded.transcriber([audio] * request.batch_size)
        done = None
        for call in range(calls):
            del done
            steady = call >= counted_from(calls)
            what = f"call {call + 1} of a soak of {request}"
            started_s, cpu_started_s = time.perf_counter(), time.process_time()
            with nothing_compiled(what) if steady else nullcontext():
                done = transcriber.transcribe(request.tokens)
            accelerator.synchronize()
            wall_s = time.perf_counter() - started_s
            cpu_s = time.process_time() - cpu_started_s
            gc.collect()  # a cycle that waits for its collection is no leak
            levels = accelerator.levels()
            tell(Called(wall_s=wall_s, cpu_s=cpu_s, host=host.read(), levels=levels))
        assert done is not None  # noqa: S101 - there is at least one call
        transcriber.require_done(done, request.tokens)
    return what_ran(loaded, generated=True)
