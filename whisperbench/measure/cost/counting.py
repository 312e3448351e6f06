"""The cost pass: what one transcription makes the machine do, counted and not timed.

Wall time wobbles with the host; the kernels, copies, waits, ops and calls of an unchanged program
do not. A window is encoded and a fixed number of tokens decoded through the path that is timed
elsewhere, in two stages: `encoder`, and `decode` for all the rest of `generate()`.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from whisperbench.devices.cpu import instruction_set
from whisperbench.measure.cost.least_work import LeastWork, count_work, floor_s
from whisperbench.measure.cost.profiled import Profiled, of_allocator, profiled
from whisperbench.measure.cost.python_calls import count_calls
from whisperbench.measure.cost.seen import seen_in
from whisperbench.measure.cost.unprofiled import (
    UnprofiledStage,
    require_same_requests,
    run_unprofiled,
)
from whisperbench.measure.rounds import garbage_held
from whisperbench.measure.threads import at_most_threads
from whisperbench.results.metric_row import STAGES, Stage
from whisperbench.results.metrics import Value, of_stage
from whisperbench.results.passes import CostResult, StageTimes
from whisperbench.units import WINDOW_S, mib
from whisperbench.whisper.compiling import as_written, compile_for_threads, nothing_compiled
from whisperbench.whisper.what_ran import what_ran

if TYPE_CHECKING:
    import torch

    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.measure.cost.device_rates import Rates
    from whisperbench.whisper.transcriber import Features, Transcriber

UNPROFILED_ROUNDS = 3
HOST_UNPROFILED_ROUNDS = 1
"""Executions that nothing looks into: the wall time is their median, or that of the only one. On a
GPU the last two are held against each other by what they ask its allocator for."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a cell costs."""

    values: dict[str, Value]
    conditions: dict[str, str]
    """What its counts depend on."""
    found: CostResult


def measure_cost(transcriber: Transcriber, tokens: int, rates: Rates, device_key: str) -> Cost:
    """Count what encoding a window and decoding some tokens takes.

    Args:
        transcriber: the cell. Its model is left as it was.
        tokens: decoded in each execution.
        rates: what the device reaches at best.
        device_key: of the device: on another one, what a GPU does is another program.

    Raises:
        InvalidMeasurementError: another number of tokens was decoded, two executions did not cost
            the same, the profile is of an unknown format or incomplete, or what ran is not what its
            row says.
    """
    loaded = transcriber.loaded
    # torch.compile has a program for each number of threads, and takes minutes for some. What is
    # profiled has one thread, and what a GPU does takes as long with it.
    one_program = loaded.key.precision.compiled and not loaded.accelerator.on_host
    # Garbage collection comes when it will, and calls functions of whoever asked it to.
    with garbage_held(), at_most_threads(1) if one_program else nullcontext():
        return _measured(transcriber, tokens, rates, device_key)


def _measured(transcriber: Transcriber, tokens: int, rates: Rates, device_key: str) -> Cost:
    import torch

    accelerator = transcriber.loaded.accelerator
    encoder = transcriber.encoder()
    features = transcriber.front_end()

    def execute() -> None:
        transcriber.generate(features, tokens)

    def check() -> None:
        transcriber.require_count(transcriber.generate(features, tokens), tokens)

    # The first execution loads modules, tunes, and fills what is cached. So it gives what that does
    # not change: least work, which follows from shapes. What is compiled has no layers to look at.
    with transcriber.bound(tokens), as_written():
        work = count_work(check, encoder)
    if transcriber.loaded.key.precision.compiled:
        for threads in dict.fromkeys((torch.get_num_threads(), 1)):  # it is profiled with one
            with at_most_threads(threads):
                compile_for_threads(check)
    with nothing_compiled(f"counting the cost of {transcriber.loaded.key.id}"):
        unprofiled = _unprofiled(execute, encoder, accelerator)
        calls = count_calls(execute, encoder)
        counted = _profiled(execute, transcriber, features, tokens)
    seen = seen_in(counted.parts, on_gpu=counted.on_gpu)._asdict() if counted.parts else {}
    ran = what_ran(transcriber.loaded, generated=True, **seen)
    asked = {} if accelerator.profiles_memory else _asked_of_allocator(unprofiled[-1])
    lacks_statistics = not (accelerator.profiles_memory or asked)
    missing = [*counted.missing, *([_NO_STATISTICS] if lacks_statistics else [])]

    def times(stage: Stage) -> StageTimes:
        walls_s = [once[stage].wall_s for once in unprofiled]
        return _times(work[stage], rates, transcriber, walls_s, counted.gpu_busy_ms(stage))

    return Cost(
        values=_values(counted, calls, work) | asked,
        conditions=_conditions(transcriber, device_key),
        found=CostResult(
            ran=ran,
            encoded_s=WINDOW_S * transcriber.batch_size,
            encoder=times("encoder"),
            decode=times("decode"),
            parts=counted.parts,
            calls={stage: dict(calls[stage]) for stage in STAGES},
            not_counted="; ".join(missing) or None,
            copies_of_no_bytes=counted.copies_of_no_bytes,
        ),
    )


def _unprofiled(
    execute: Callable[[], object], encoder: torch.nn.Module, accelerator: Accelerator
) -> list[dict[str, UnprofiledStage]]:
    """Execute once, or a few times; what the last two ask of a GPU's allocator must be the same."""
    rounds = HOST_UNPROFILED_ROUNDS if accelerator.on_host else UNPROFILED_ROUNDS
    found = [run_unprofiled(execute, encoder, accelerator) for _ in range(rounds)]
    if not accelerator.on_host:
        require_same_requests(*found[-2:])
    return found


def _profiled(
    execute: Callable[[], object], transcriber: Transcriber, features: Features, tokens: int
) -> Profiled:
    """Profile a few executions, after one that warms the profiler up.

    bitsandbytes keeps the outliers of a layer's last call until its next one. On a CPU what is
    freed counts, if it was allocated under the profiler: so the call that goes before must be the
    same one. It must be of what is compiled, too: the graph of one thread was captured with a
    key-value cache at another address, and is captured anew for the next one.
    """
    accelerator = transcriber.loaded.accelerator
    same = accelerator.profiles_memory or transcriber.loaded.key.precision.compiled
    first = tokens if same else 1
    return profiled(
        execute,
        lambda: transcriber.generate(features, first),
        transcriber.loaded.model,
        transcriber.encoder(),
        accelerator,
    )


def _values(
    counted: Profiled, calls: Mapping[str, Counter[str]], work: Mapping[str, LeastWork]
) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for stage in STAGES:
        flops = work[stage].layer_flops + work[stage].attention_flops
        least = {"weight_mib_read": mib(work[stage].weight_bytes), "gflop": flops / 1e9}
        own: dict[str, Value] = {"python_calls": calls[stage].total(), **least}
        values |= counted.values(stage) | of_stage(stage, own)
    return values


_NO_STATISTICS = (
    "allocations and their peak: torch's allocator keeps no statistics under "
    "PYTORCH_CUDA_ALLOC_CONF=backend:cudaMallocAsync or PYTORCH_NO_CUDA_MEMORY_CACHING"
)


def _conditions(transcriber: Transcriber, device_key: str) -> dict[str, str]:
    """Return what counts depend on."""
    loaded = transcriber.loaded
    program = {"device": device_key}
    if loaded.accelerator.on_host:
        with_bf16 = loaded.key.precision.looks_at_bf16
        program = {"instruction set": instruction_set(with_bf16=with_bf16)}
    return program | {"python": ".".join(platform.python_version_tuple()[:2])}


def _asked_of_allocator(last: Mapping[str, UnprofiledStage]) -> dict[str, Value]:
    """Return what was asked of a GPU's allocator; nothing where it keeps no statistics."""
    if not all(min(each.asked()) > 0 for each in last.values()):
        return {}
    values: dict[str, Value] = {}
    for stage in STAGES:
        values |= of_allocator(stage, last[stage].requests, last[stage].peak_bytes)
    return values


def _times(
    work: LeastWork,
    rates: Rates,
    transcriber: Transcriber,
    walls_s: Sequence[float],
    gpu_busy_ms: float | None,
) -> StageTimes:
    layers, attention = transcriber.loaded.matrix_dtypes()
    floor, bound = floor_s(
        work,
        bytes_per_s=rates.bytes_per_s,
        layer_flops_per_s=rates.operations_per_s[layers],
        attention_flops_per_s=rates.operations_per_s[attention],
    )
    return StageTimes(
        floor_ms=1e3 * floor,
        floor_bound=bound,
        wall_ms=1e3 * median(walls_s),
        gpu_busy_ms=gpu_busy_ms,
    )
