"""The watched side of the memory pass: load and transcribe, and say when each phase is over.

Runs in a fresh process. After every phase it stops and waits until the probe, in the process that
watches, has read what the phase left behind.
"""

from __future__ import annotations

import importlib
import re
import time
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import msgspec

from whisperbench.devices.accelerator import Accelerator, AllocatorLevels
from whisperbench.errors import OutOfMemoryError, WhisperbenchError, one_line
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.fresh import PRELOAD
from whisperbench.results.ran import Ran
from whisperbench.whisper.backend_choice import BACKENDS

Phase = Literal["start", "context", "load", "settle", "first call", "steady call"]
PHASES: tuple[Phase, ...] = ("start", "context", "load", "settle", "first call", "steady call")
"""In order: imports; the device's context; loading and quantizing; giving back what loading left
in torch's cache, so that it does not hide what inference needs; two transcriptions."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A phase is over."""

    phase: Phase
    at_s: float
    """On the monotonic clock, which all processes of a machine share."""
    levels: AllocatorLevels | None
    """None on a CPU, where torch keeps no count."""
    peak_resident_bytes: int | None = None
    """On a CPU: the highest resident set of the phase, where the system keeps it (Linux)."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The cell is through, and its output was what it had to be."""

    weight_bytes: int | None
    """None where the transcriber does not tell."""
    ran: Ran


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The cell went wrong."""

    message: str
    phase: Phase
    out_of_memory: bool
    """On the device, which is a result; on the host of a GPU it is a fault like others."""
    levels: AllocatorLevels | None = None


Message = Mark | Done | Failed


class ResidentPeak:
    """This process's highest resident set, as Linux keeps it (proc(5): VmHWM, clear_refs)."""

    def __init__(self) -> None:
        self._kept = False
        self.begin()

    def begin(self) -> None:
        """Start anew. Where the system does not let it, there is no peak to tell."""
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self._kept = True
        except OSError:
            self._kept = False

    def highest_bytes(self) -> int | None:
        """Return the highest resident set since it was started anew; None where it is not kept."""
        if not self._kept:
            return None
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else None


class Reporter:
    """Tells the watching process about phases, and keeps torch's peaks apart by phase."""

    def __init__(
        self, connection: Connection[Any, Any], accelerator: Accelerator, *, in_torch: bool = True
    ) -> None:
        """Begin.

        Args:
            connection: to the watching process.
            accelerator: what the cell runs on.
            in_torch: whether torch allocates the cell's memory. Otherwise its count says nothing
                of the cell, and is absent.
        """
        self._in_torch = in_torch
        self._connection = connection
        self._accelerator = accelerator
        self._peak = ResidentPeak() if accelerator.on_host else None
        self.phase: Phase = "start"

    def end_phase(self) -> None:
        """Say that the phase is over, wait until that was seen, and begin the next one."""
        self._connection.send(
            Mark(
                phase=self.phase,
                at_s=time.monotonic(),
                levels=self.levels(),
                peak_resident_bytes=self._peak.highest_bytes() if self._peak is not None else None,
            )
        )
        self.wait()
        place = PHASES.index(self.phase) + 1
        if place < len(PHASES):
            self.phase = PHASES[place]
        self._reset_peaks()

    def wait(self) -> None:
        """Wait for the watching process; it answers when the probe has looked."""
        self._connection.recv()

    def levels(self) -> AllocatorLevels | None:
        """Ask torch for its count. Before the context is made there is none."""
        counted = self._in_torch and self.phase != "start"
        return self._accelerator.levels() if counted else None

    def _reset_peaks(self) -> None:
        if self._peak is not None:
            self._peak.begin()
        if self.phase not in ("start", "context"):
            self._accelerator.reset_peaks()


def run_cell(connection: Connection[Any, Any], request: CellRequest) -> None:
    """Go through all phases of a cell; the last message is `Done` or `Failed`."""
    in_torch = BACKENDS[request.precision.backend].in_torch
    reporter = Reporter(connection, request.accelerator, in_torch=in_torch)
    last: Done | Failed
    try:
        last = _go_through(reporter, request)
    except EOFError:
        return  # nobody watches any more
    except WhisperbenchError as error:
        last = Failed(
            message=one_line(error),
            phase=reporter.phase,
            out_of_memory=isinstance(error, OutOfMemoryError)
            and error.on_host == request.accelerator.on_host,
            levels=reporter.levels(),
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, the watcher is told
        last = Failed(
            message=f"{type(error).__name__}: {one_line(error)}",
            phase=reporter.phase,
            out_of_memory=False,
        )
    connection.send(last)
    reporter.wait()  # the probe stops before this process and its memory are gone


def _go_through(reporter: Reporter, request: CellRequest) -> Done:
    """Load and transcribe twice."""
    import gc

    for name in PRELOAD:
        importlib.import_module(name)  # has been, in a process that was forked

    import torch

    from whisperbench.asked.clips import load_audio
    from whisperbench.whisper.compiling import nothing_compiled
    from whisperbench.whisper.loading import load_model
    from whisperbench.whisper.residency import memory_errors
    from whisperbench.whisper.what_ran import what_ran

    accelerator = request.accelerator
    audio = load_audio(request.clip)
    reporter.end_phase()

    with memory_errors("making a context", accelerator):
        torch.zeros(1, device=accelerator.torch_device)
        accelerator.synchronize()
    reporter.end_phase()

    loaded = load_model(request.checkpoint(), request.key(), accelerator)
    accelerator.synchronize()
    reporter.end_phase()

    gc.collect()
    accelerator.empty_cache()
    reporter.end_phase()

    with memory_errors(f"transcribing with {request}", accelerator):
        transcriber = loaded.transcriber([audio] * request.batch_size)
        for steady in (False, True):
            what = f"the second transcription with {request}"
            with nothing_compiled(what) if steady else nullcontext():
                done = transcriber.transcribe(request.tokens)
            accelerator.synchronize()
            reporter.end_phase()
        transcriber.require_done(done, request.tokens)
    return Done(weight_bytes=loaded.weight_bytes, ran=what_ran(loaded, generated=True))
