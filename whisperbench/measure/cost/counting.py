"""The cost pass: what one transcription makes the machine do, counted and not timed.

Wall time wobbles with the host; the kernels, copies, waits, ops and calls of an unchanged program
do not. A window is encoded and a fixed number of tokens decoded through the path that is timed
elsewhere, in two stages: `encoder`, and `decode` for all the rest of `generate()`.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from whisperbench.devices.cpu import instruction_set
from whisperbench.errors import InvalidMeasurementError, one_line
from whisperbench.measure.cost.encoder_hooks import around_encoder
from whisperbench.measure.cost.least_work import LeastWork, count_work, floor_s
from whisperbench.measure.cost.profiling import (
    differences,
    one_thread,
    profile_once,
    require_equal,
    run_profiled,
    saw_the_gpu,
)
from whisperbench.measure.cost.python_calls import call_counter
from whisperbench.measure.cost.trace import ProfilerError, Tally
from whisperbench.measure.cost.unprofiled import (
    UnprofiledStage,
    require_same_requests,
    run_unprofiled,
)
from whisperbench.results.metric_row import STAGES, Stage
from whisperbench.results.metrics import Value, made_by
from whisperbench.results.passes import Bound, CostResult, Part, StageTimes
from whisperbench.units import WINDOW_S, mib
from whisperbench.whisper.quiet import quiet_profiler

if TYPE_CHECKING:
    import torch

    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.measure.cost.device_rates import Rates
    from whisperbench.whisper.transcriber import Transcriber

PROFILES = 3
HOST_PROFILES = 2
"""Profiled executions that are held against each other, after one that is not read. A GPU's
time is their median."""

UNPROFILED_ROUNDS = 3
"""Executions that nothing looks into: the wall time is their median, and the last two are held
against each other by what they ask a GPU's allocator for."""

CUPTI_SAID: list[str] = []
"""Why CUPTI does not work in this process. It says so once, and not for each cell."""


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
            the same, or the profile is of an unknown format or incomplete.
    """
    accelerator = transcriber.loaded.accelerator
    encoder = transcriber.encoder()
    features = transcriber.front_end()

    def execute() -> None:
        transcriber.generate(features, tokens)

    def check() -> None:
        transcriber.require_count(transcriber.generate(features, tokens), tokens)

    # The first execution loads modules, tunes, and fills what is cached. So it gives what that does
    # not change: least work, which follows from shapes.
    with transcriber.bound(tokens):
        work = count_work(check, encoder)
    unprofiled = [run_unprofiled(execute, encoder, accelerator) for _ in range(UNPROFILED_ROUNDS)]
    require_same_requests(*unprofiled[-2:])
    calls = count_calls(execute, encoder)
    # bitsandbytes keeps the outliers of a layer's last call until its next one. On a CPU what is
    # freed counts, if it was allocated under the profiler: so the call that goes before must be
    # the same one.
    first = tokens if accelerator.profiles_memory else 1
    profiled = _profile(
        execute, lambda: transcriber.generate(features, first), encoder, accelerator
    )
    values: dict[str, Value] = {}
    for stage in STAGES:
        values |= profiled.values(stage)
        values[f"{stage}_python_calls"] = calls[stage].total()
        values[f"{stage}_weight_mib_read"] = mib(work[stage].weight_bytes)
        values[f"{stage}_gflop"] = (work[stage].layer_flops + work[stage].attention_flops) / 1e9
    missing = list(profiled.missing)
    if not accelerator.profiles_memory:
        asked = _asked_of_allocator(unprofiled[-1])
        missing += [] if asked else [_NO_STATISTICS]
        values |= asked

    def times(stage: Stage) -> StageTimes:
        floor, bound = _floor(work[stage], rates, transcriber)
        return StageTimes(
            floor_ms=1e3 * floor,
            floor_bound=bound,
            wall_ms=1e3 * median(once[stage].wall_s for once in unprofiled),
            gpu_busy_ms=profiled.gpu_busy_ms(stage),
        )

    return Cost(
        values=values,
        conditions=_conditions(accelerator, device_key),
        found=CostResult(
            encoded_s=WINDOW_S * transcriber.batch_size,
            encoder=times("encoder"),
            decode=times("decode"),
            parts=profiled.parts,
            calls={stage: dict(functions) for stage, functions in calls.items()},
            not_counted="; ".join(missing) or None,
            copies_of_no_bytes=profiled.copies_of_no_bytes,
        ),
    )


_NO_STATISTICS = (
    "allocations and their peak: torch's allocator keeps no statistics under "
    "PYTORCH_CUDA_ALLOC_CONF=backend:cudaMallocAsync or PYTORCH_NO_CUDA_MEMORY_CACHING"
)


def _conditions(accelerator: Accelerator, device_key: str) -> dict[str, str]:
    """Return what counts depend on."""
    on_host = accelerator.on_host
    program = {"instruction set": instruction_set()} if on_host else {"device": device_key}
    return program | {"python": ".".join(platform.python_version_tuple()[:2])}


def _asked_of_allocator(last: Mapping[str, UnprofiledStage]) -> dict[str, Value]:
    """Return what was asked of a GPU's allocator; nothing where it keeps no statistics."""
    if not all(min(each.asked()) > 0 for each in last.values()):
        return {}
    values: dict[str, Value] = {}
    for stage, each in last.items():
        values |= _of_allocator(stage, each.requests, each.peak_bytes)
    return values


@dataclass(frozen=True, kw_only=True)
class _Profiled:
    """Executions under the profiler, which were the same."""

    tallies: list[Tally]
    on_gpu: bool
    """Whether the profiler saw the GPU's side."""
    counts_blocks: bool
    """Whether it counted the allocator's blocks: on a CPU, whose allocator is one of the things
    profiled."""
    missing: list[str]
    """What could not be counted, and why."""

    @property
    def middle(self) -> Tally | None:
        """The one whose GPU time is in the middle: the parts and times are its."""
        by_time = sorted(
            self.tallies, key=lambda tally: sum(each.gpu_time_us for each in tally.stages.values())
        )
        return by_time[len(by_time) // 2] if by_time else None

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the counts are made of."""
        return tuple(self.middle.rows()) if self.middle is not None else ()

    @property
    def copies_of_no_bytes(self) -> int | None:
        """Copies that the profiler names and that moved nothing."""
        return self.tallies[0].lost.total() or None if self.on_gpu else None

    def gpu_busy_ms(self, stage: Stage) -> float | None:
        """Return how long the GPU worked in a stage; None where nobody saw it."""
        middle = self.middle
        return middle.stages[stage].gpu_busy_us / 1e3 if self.on_gpu and middle else None

    def values(self, stage: Stage) -> dict[str, Value]:
        """Return what was counted of a stage, by the names of its metrics."""
        if not self.tallies:
            return {}
        counts = self.tallies[0].stages[stage].counts
        found: dict[str, Value] = {
            row.name: counts[row.count]
            for row in made_by("cost")
            if row.stage == stage
            and row.kind == "exact"
            and row.made_of is not None
            and row.made_of.kind in (_ON_GPU if self.on_gpu else _ON_HOST)
            and (row.count in counts or not row.only_if_seen)
        }
        if self.counts_blocks:
            found |= _of_allocator(stage, counts["allocations"], counts["peak_bytes"])
        if self.on_gpu:
            times_ms = [tally.stages[stage].gpu_time_us / 1e3 for tally in self.tallies]
            found[f"{stage}_gpu_time_ms"] = times_ms
        return found


_ON_HOST = ("op",)
_ON_GPU = (*_ON_HOST, "kernel", "memset", "copy", "sync")
"""Kinds of parts that a profile counts."""


def _profile(
    execute: Callable[[], object],
    warm_up: Callable[[], object],
    encoder: torch.nn.Module,
    accelerator: Accelerator,
) -> _Profiled:
    """Profile a few executions after one that is not read, and hold them against each other."""
    on_host = accelerator.on_host
    tallies: list[Tally] = []
    said: list[str] = []
    missing: list[str] = []
    try:
        with one_thread(), quiet_profiler() as said:
            run_profiled(warm_up, encoder, accelerator)
            profiles = HOST_PROFILES if on_host else PROFILES
            tallies = [profile_once(execute, encoder, accelerator) for _ in range(profiles)]
    except ProfilerError as error:
        missing.append(f"torch.profiler does not work here: {one_line(error)}")
    on_gpu = bool(tallies) and not on_host and saw_the_gpu(tallies)
    if tallies:
        require_equal(tallies)
    if tallies and not (on_host or on_gpu):
        CUPTI_SAID.extend(line for line in said if "CUPTI" in line.upper())
        missing.append(
            "kernels, copies, waits and GPU time: CUPTI told nothing of the GPU "
            f"({'; '.join(CUPTI_SAID[:2]) or 'and gave no reason'}). Another profiler may hold "
            "it, or the container may lack the right to it; the other counts are complete"
        )
    return _Profiled(
        tallies=tallies, on_gpu=on_gpu, counts_blocks=accelerator.profiles_memory, missing=missing
    )


def count_calls(execute: Callable[[], object], encoder: torch.nn.Module) -> dict[str, Counter[str]]:
    """Count the Python calls of both stages by function, twice.

    Raises:
        InvalidMeasurementError: the second time differs.
    """
    first, second = (_calls_of_stages(execute, encoder) for _ in range(2))
    for stage in STAGES:
        if first[stage] != second[stage]:
            raise InvalidMeasurementError(
                f"the {stage} stage made {first[stage].total()} Python calls and then "
                f"{second[stage].total()}: something in it depends on what was before; "
                f"{'; '.join(differences(first[stage], second[stage]))}"
            )
    return first


def _calls_of_stages(
    execute: Callable[[], object], encoder: torch.nn.Module
) -> dict[str, Counter[str]]:
    """Count the calls of one execution; those of the encoder's forward pass apart."""
    encoding, decoding = call_counter(), call_counter()

    def enter() -> None:
        decoding.stop()
        encoding.start()

    def leave() -> None:
        encoding.stop()
        decoding.start()

    with around_encoder(encoder, enter, leave):
        decoding.start()
        try:
            execute()
        finally:
            encoding.stop()
            decoding.stop()
    return {"encoder": encoding.calls, "decode": decoding.calls}


def _of_allocator(stage: str, requests: int, peak_bytes: int) -> dict[str, Value]:
    return {f"{stage}_allocations": requests, f"{stage}_allocated_peak_mib": mib(peak_bytes)}


def _floor(work: LeastWork, rates: Rates, transcriber: Transcriber) -> tuple[float, Bound]:
    layers, attention = transcriber.loaded.matrix_dtypes()
    return floor_s(
        work,
        bytes_per_s=rates.bytes_per_s,
        layer_flops_per_s=rates.operations_per_s[layers],
        attention_flops_per_s=rates.operations_per_s[attention],
    )
