"""Start-up cost: load and first call, each in a process of its own.

A second load in a process is not a cold one: modules, kernels and the device's context are
there already. So every sample is a fresh interpreter, which runs this module: it reads a pickled
request from standard input and writes its sample as the last line of standard output.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from whisperbench import errors
from whisperbench.asked.checkout import ROOT
from whisperbench.asked.clips import load_audio
from whisperbench.errors import InvalidMeasurementError, WhisperbenchError, one_line
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.reach import recorded_child
from whisperbench.results.passes import Compilation
from whisperbench.results.ran import Ran

TIMEOUT_S = 900.0
"""A process that takes longer than this hangs."""


class StartupSample(msgspec.Struct, frozen=True, kw_only=True):
    """What a fresh process measured."""

    import_s: float
    """Importing torch, transformers and the packages of all backends, as far as they are there."""
    load_s: float
    """From the checkpoint's files to a model on the device, quantized where it is to be."""
    first_call_s: float
    """The first transcription, device modules and tuning included."""
    dropped_page_cache: bool
    """Whether the system was asked to forget the files first, so that loading reads the disk."""
    ran: Ran
    """What was loaded, and called."""
    compilation: Compilation | None = None
    """By the end of the first call; None where nothing was compiled."""


class _Failure(msgspec.Struct, frozen=True, kw_only=True):
    error: str
    message: str


class _Reply(msgspec.Struct, frozen=True):
    sample: StartupSample | None = None
    failure: _Failure | None = None


def measure_startup(request: CellRequest) -> StartupSample:
    """Run one fresh process.

    Raises:
        WhisperbenchError: what the process ran into, in the class that it had there.
        InvalidMeasurementError: it died, hung, or answered nonsense.
    """
    what = f"start-up of {request}"
    try:
        done = subprocess.run(
            [sys.executable, "-m", "whisperbench.measure.latency.startup"],
            input=pickle.dumps(request),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *_python_path()])},
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidMeasurementError(f"{what}: no answer within {TIMEOUT_S:.0f} s") from error
    lines = done.stdout.splitlines()
    try:
        reply = msgspec.json.decode(lines[-1] if lines else b"", type=_Reply)
    except msgspec.DecodeError as error:
        if done.returncode < 0:
            cause = f"was killed by {signal.Signals(-done.returncode).name}"
        else:
            last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            cause = f"ended with exit code {done.returncode}: {one_line(last)}"
        raise InvalidMeasurementError(f"{what}: the fresh process {cause}") from error
    if reply.failure is not None:
        kind = getattr(errors, reply.failure.error, InvalidMeasurementError)
        raise kind(reply.failure.message)
    if reply.sample is None:
        raise InvalidMeasurementError(f"{what}: the fresh process answered without a sample")
    return reply.sample


def _python_path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _drop_page_cache(folder: Path) -> bool:
    """Ask the system to forget a folder's files; False where it cannot be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in folder.iterdir():
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                # Pages that are not on the disk yet cannot be forgotten.
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
    return True


def _sample(request: CellRequest) -> StartupSample:
    """Load and transcribe once, in this process."""
    clock = time.perf_counter
    audio = load_audio(request.clip)
    started = clock()
    import torch  # noqa: F401
    import transformers  # noqa: F401

    from whisperbench.whisper.backend_choice import BACKENDS, installed
    from whisperbench.whisper.compiling import compiled_so_far
    from whisperbench.whisper.loading import load_model, loaded_files
    from whisperbench.whisper.residency import memory_errors
    from whisperbench.whisper.what_ran import what_ran

    for name, backend in BACKENDS.items():  # in every precision of torch's the same
        if backend.in_torch or name == request.precision.backend:
            for package in installed(backend):
                importlib.import_module(package)
    key, checkpoint = request.key(), request.checkpoint()
    if key.precision.compiled:
        importlib.import_module("torch._inductor.utils")
    imported = clock()
    dropped = _drop_page_cache(checkpoint.folder)
    converted = loaded_files(checkpoint, key.precision)
    if converted != checkpoint.folder:
        dropped = _drop_page_cache(converted) and dropped
    load_started = clock()
    accelerator = request.accelerator
    loaded = load_model(checkpoint, key, accelerator)
    accelerator.synchronize()
    load_ended = clock()
    with memory_errors(f"first call of {key.id}", accelerator):
        transcriber = loaded.transcriber([audio] * request.batch_size)
        call_started = clock()
        transcription = transcriber.transcribe(request.tokens)
        accelerator.synchronize()
        call_ended = clock()
        compilation = compiled_so_far()
        # Checked after it was timed: before, it would not have been the first call.
        transcriber.require_done(transcription, request.tokens)
    return StartupSample(
        import_s=imported - started,
        load_s=load_ended - load_started,
        first_call_s=call_ended - call_started,
        dropped_page_cache=dropped,
        compilation=compilation,
        ran=what_ran(loaded, generated=True),
    )


def main() -> None:
    """Answer the request on standard input."""
    request: CellRequest = pickle.load(sys.stdin.buffer)  # noqa: S301 - of `measure_startup`
    try:
        reply = _Reply(sample=_sample(request))
    except WhisperbenchError as error:
        reply = _Reply(failure=_Failure(error=type(error).__name__, message=str(error)))
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(reply) + b"\n")


if __name__ == "__main__":
    with recorded_child():
        main()
