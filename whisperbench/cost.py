"""The cost pass: what one transcription makes the machine do, counted and not timed.

Wall time wobbles with the host; the kernels, copies, waits, ops and calls of an unchanged program
do not. A window is encoded and a fixed number of tokens decoded through the path that is timed
elsewhere, in two stages: `encoder`, and `decode` for all the rest of `generate()`.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from whisperbench.calls import call_counter
from whisperbench.errors import InvalidMeasurementError, one_line
from whisperbench.profiling import (
    one_thread,
    profile_once,
    require_equal,
    run_profiled,
    saw_the_gpu,
)
from whisperbench.quiet import quiet_profiler
from whisperbench.result import COST_STAGES, Metric, Part
from whisperbench.stages import around_encoder
from whisperbench.trace import ProfilerError, Tally
from whisperbench.transcribe import synchronize
from whisperbench.units import WINDOW_S, mib
from whisperbench.work import Work, count_work, floor_s

if TYPE_CHECKING:
    import torch

    from whisperbench.roofline import Rates
    from whisperbench.transcribe import Transcriber

PROFILES = {"cpu": 2, "cuda": 3}
"""Profiled executions that are held against each other, after one that is not read. The
GPU's time is their median."""

WALL_ROUNDS = 3

_GPU_COUNTS = ("kernels", "memsets", "stream_syncs", "device_syncs", "event_syncs")


@dataclass(kw_only=True)
class Cost:
    """What a cell costs."""

    metrics: list[Metric]
    parts: tuple[Part, ...]
    notes: dict[str, str | float | bool] = field(default_factory=dict)


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
    device = transcriber.loaded.device
    kind = "cpu" if device == "cpu" else "cuda"
    encoder = transcriber.loaded.model.get_encoder()
    features = transcriber.front_end()

    def execute() -> None:
        transcriber.generate(features, tokens)

    def check() -> None:
        transcriber.require_count(transcriber.generate(features, tokens), tokens)

    # The first executions load modules, tune, and fill what is cached. So they give what that does
    # not change: least work, which follows from shapes, and wall time, the median of a few.
    work = count_work(check, encoder)
    walls = _wall_s(execute, encoder, device)
    calls = _count_calls(execute, encoder)
    notes: dict[str, str | float | bool] = {"encoded_s": WINDOW_S * transcriber.batch_size}
    tallies: list[Tally] = []
    said: list[str] = []
    try:
        with one_thread(), quiet_profiler() as said:
            # bitsandbytes keeps the outliers of a layer's last call until its next one. On a CPU
            # what is freed counts, if it was allocated under the profiler: so the call that goes
            # before must be the same one.
            first = tokens if kind == "cpu" else 1
            run_profiled(lambda: transcriber.generate(features, first), encoder, device)
            tallies = [profile_once(execute, encoder, device) for _ in range(PROFILES[kind])]
    except ProfilerError as error:
        notes["not_counted"] = f"torch.profiler does not work here: {one_line(error)}"
    on_gpu = False
    if tallies:
        on_gpu = kind == "cuda" and saw_the_gpu(tallies)
        require_equal(tallies)
        if kind == "cuda" and not on_gpu:
            cupti = [line for line in said if "CUPTI" in line.upper()]
            notes["not_counted"] = (
                "kernels, copies, waits and GPU time: CUPTI told nothing of the GPU "
                f"({'; '.join(cupti[:2]) or 'and gave no reason'}). Another profiler may hold it, "
                "or the container may lack the right to it; the other counts are complete"
            )
    conditions = (
        {"device": device_key} if kind == "cuda" else {"instruction set": instruction_set()}
    )
    python = conditions | {"python": ".".join(platform.python_version_tuple()[:2])}
    metrics = list(_metrics(tallies, kind, on_gpu, conditions))
    if kind == "cuda":
        metrics += _allocations(execute, encoder, device, conditions)
    # Of several executions the parts are those of the one whose GPU time is in the middle.
    tallies.sort(key=lambda tally: sum(stage.gpu_time_us for stage in tally.stages.values()))
    middle = tallies[len(tallies) // 2] if tallies else None
    for stage in COST_STAGES:
        metrics.append(_exact(f"{stage}_python_calls", calls[stage], python))
        metrics.append(_exact(f"{stage}_weight_mib_read", mib(work[stage].weight_bytes), {}, "MiB"))
        flops = work[stage].layer_flops + work[stage].attention_flops
        metrics.append(_exact(f"{stage}_gflop", flops / 1e9, {}, "GFLOP"))
        floor, bound = _floor(work[stage], rates, transcriber)
        notes |= {
            f"{stage}_floor_ms": 1e3 * floor,
            f"{stage}_floor_bound": bound,
            f"{stage}_wall_ms": 1e3 * walls[stage],
        }
        if on_gpu and middle is not None:
            notes[f"{stage}_gpu_busy_ms"] = middle.stages[stage].gpu_busy_us / 1e3
    return Cost(metrics=metrics, parts=tuple(middle.rows()) if middle else (), notes=notes)


def instruction_set() -> str:
    """Name what of this CPU decides which code torch and bitsandbytes run on it.

    As in "x86_64 AVX512 bf16": the architecture, the level that torch dispatches on (bitsandbytes
    asks for the same), and whether bfloat16 is native, which bitsandbytes' 4-bit path looks at.
    """
    import torch

    native_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    level = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {level}{' bf16' * native_bf16}"


def _count_calls(execute: Callable[[], object], encoder: torch.nn.Module) -> dict[str, int]:
    """Count the Python calls of both stages, twice.

    Raises:
        InvalidMeasurementError: the second time differs.
    """
    counted = [_calls_of_stages(execute, encoder) for _ in range(2)]
    if counted[0] != counted[1]:
        raise InvalidMeasurementError(
            f"the same call made {sum(counted[0].values())} Python calls and then "
            f"{sum(counted[1].values())}: something in it depends on what was before"
        )
    return counted[0]


def _calls_of_stages(execute: Callable[[], object], encoder: torch.nn.Module) -> dict[str, int]:
    """Count the calls of one execution; those of the encoder's forward pass apart."""
    counters = {stage: call_counter() for stage in COST_STAGES}
    plain = encoder.forward

    def forward(*arguments: Any, **options: Any) -> Any:
        counters["decode"].stop()
        counters["encoder"].start()
        try:
            return plain(*arguments, **options)
        finally:
            counters["encoder"].stop()
            counters["decode"].start()

    with _replaced(encoder, forward):
        counters["decode"].start()
        try:
            execute()
        finally:
            counters["decode"].stop()
    return {stage: counter.count for stage, counter in counters.items()}


@contextmanager
def _replaced(encoder: torch.nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Give a module another forward pass for a while; whether it had one of its own or not."""
    own = vars(encoder).get("forward")
    encoder.forward = forward
    try:
        yield
    finally:
        del encoder.forward
        if own is not None:
            encoder.forward = own


def _allocations(
    execute: Callable[[], object],
    encoder: torch.nn.Module,
    device: str,
    conditions: dict[str, str],
) -> Iterator[Metric]:
    """Yield what a GPU's allocator was asked for: requests, and the most bytes over the start.

    What was asked for, not the blocks that were given: those depend on what is cached.
    """
    import torch

    marks: list[tuple[int, int, int]] = []

    def mark() -> None:
        stats = torch.cuda.memory_stats(device)
        marks.append(
            (
                stats["allocation.all.allocated"],
                stats["requested_bytes.all.current"],
                stats["requested_bytes.all.peak"],
            )
        )
        torch.cuda.reset_peak_memory_stats(device)

    with around_encoder(encoder, mark, mark):
        mark()
        execute()
        mark()
    (begun, base, _), (entered, inside, before), (left, _, within), (ended, _, after) = marks
    for stage, requests, peak in (
        ("encoder", left - entered, within - inside),
        ("decode", ended - left + entered - begun, max(before, after) - base),
    ):
        yield _exact(f"{stage}_allocations", requests, conditions)
        yield _exact(f"{stage}_allocated_peak_mib", mib(max(0, peak)), conditions, "MiB")


def _wall_s(
    execute: Callable[[], object], encoder: torch.nn.Module, device: str
) -> dict[str, float]:
    """Time both stages, unprofiled: the median of a few."""
    marks: list[float] = []

    def mark() -> None:
        synchronize(device)
        marks.append(time.perf_counter())

    encoding, decoding = [], []
    with around_encoder(encoder, mark, mark):
        for _ in range(WALL_ROUNDS):
            marks.clear()
            started_s = time.perf_counter()
            execute()
            synchronize(device)
            whole_s = time.perf_counter() - started_s
            encoding.append(marks[1] - marks[0])
            decoding.append(whole_s - encoding[-1])
    return {"encoder": median(encoding), "decode": median(decoding)}


def _metrics(
    tallies: list[Tally], kind: str, on_gpu: bool, conditions: dict[str, str]
) -> Iterator[Metric]:
    """Yield what the profiles counted. On a CPU the allocator is one of the things profiled."""
    for stage in COST_STAGES if tallies else ():
        counts = tallies[0].stages[stage].counts
        for name in ("aten_ops", "other_ops"):
            yield _exact(f"{stage}_{name}", counts[name], conditions)
        if kind == "cpu":
            yield _exact(f"{stage}_allocations", counts["allocations"], conditions)
            yield _exact(
                f"{stage}_allocated_peak_mib", mib(counts["peak_bytes"]), conditions, "MiB"
            )
        if not on_gpu:
            continue
        directions = {"htod", "dtoh", "dtod"} | {
            name.removeprefix("copies_") for name in counts if name.startswith("copies_")
        }
        for name in _GPU_COUNTS:
            yield _exact(f"{stage}_{name}", counts[name], conditions)
        for direction in sorted(directions):
            yield _exact(f"{stage}_copies_{direction}", counts[f"copies_{direction}"], conditions)
            size = counts[f"copy_bytes_{direction}"]
            yield _exact(f"{stage}_copy_bytes_{direction}", size, conditions, "B")
        yield Metric(
            name=f"{stage}_gpu_time_ms",
            unit="ms",
            kind="device_time",
            better="lower",
            samples=tuple(tally.stages[stage].gpu_time_us / 1e3 for tally in tallies),
            conditions=conditions,
        )


def _exact(name: str, value: float, conditions: dict[str, str], unit: str = "1") -> Metric:
    return Metric(
        name=name,
        unit=unit,
        kind="exact",
        better="lower",
        value=float(value),
        conditions=conditions,
    )


def matrix_dtypes(transcriber: Transcriber) -> tuple[str, str]:
    """Return the dtypes that a cell's layers and its attention multiply in.

    On a CPU an int8 layer is held to the rate of its activations: not every CPU has a faster one.
    """
    dtype = str(transcriber.loaded.dtype).removeprefix("torch.")
    quantization = transcriber.loaded.key.precision.quantization or {}
    by_int8 = bool(quantization.get("load_in_8bit")) and transcriber.loaded.device != "cpu"
    return ("int8" if by_int8 else dtype), dtype


def _floor(work: Work, rates: Rates, transcriber: Transcriber) -> tuple[float, str]:
    layers, attention = matrix_dtypes(transcriber)
    return floor_s(
        work,
        bytes_per_s=rates.bytes_per_s,
        layer_flops_per_s=rates.operations_per_s[layers],
        attention_flops_per_s=rates.operations_per_s[attention],
    )
