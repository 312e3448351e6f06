"""The cost pass: what one transcription makes the machine do, counted and not timed.

Wall time wobbles with the host; the kernels, copies, waits, ops and calls of an unchanged program
do not. A window is encoded and a fixed number of tokens decoded through the path that is timed
elsewhere, in two stages: `encoder`, and `decode` for all the rest of `generate()`.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

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
from whisperbench.measure.cost.unprofiled import require_same_requests, run_plain
from whisperbench.results.records import COST_STAGES, Metric, Part
from whisperbench.units import WINDOW_S, mib
from whisperbench.whisper.quiet import quiet_profiler

if TYPE_CHECKING:
    import torch

    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.measure.cost.device_rates import Rates
    from whisperbench.whisper.transcriber import Transcriber

HOST_PROFILES = 2
PROFILES = 3
"""Profiled executions that are held against each other, after one that is not read. A GPU's
time is their median."""

PLAIN_ROUNDS = 3
"""Executions that nothing looks into: the wall time is their median, and the last two are held
against each other by what they ask a GPU's allocator for."""

_CUPTI_SAID: list[str] = []
"""Why CUPTI does not work in this process. It says so once, and not for each cell."""

_GPU_COUNTS = ("kernels", "memsets", "stream_syncs", "device_syncs", "event_syncs")


@dataclass(kw_only=True)
class Cost:
    """What a cell costs."""

    metrics: list[Metric]
    parts: tuple[Part, ...]
    calls: dict[str, Counter[str]]
    """Python calls of each stage, by function."""
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
    accelerator = transcriber.loaded.accelerator
    on_host = accelerator.on_host
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
    plain = [run_plain(execute, encoder, accelerator) for _ in range(PLAIN_ROUNDS)]
    require_same_requests(*plain[-2:])
    calls = _count_calls(execute, encoder)
    notes: dict[str, str | float | bool] = {"encoded_s": WINDOW_S * transcriber.batch_size}
    tallies: list[Tally] = []
    said: list[str] = []
    missing: list[str] = []
    try:
        with one_thread(), quiet_profiler() as said:
            # bitsandbytes keeps the outliers of a layer's last call until its next one. On a CPU
            # what is freed counts, if it was allocated under the profiler: so the call that goes
            # before must be the same one.
            first = tokens if accelerator.profiles_memory else 1
            run_profiled(lambda: transcriber.generate(features, first), encoder, accelerator)
            profiles = HOST_PROFILES if on_host else PROFILES
            tallies = [profile_once(execute, encoder, accelerator) for _ in range(profiles)]
    except ProfilerError as error:
        missing.append(f"torch.profiler does not work here: {one_line(error)}")
    on_gpu = False
    if tallies:
        on_gpu = not on_host and saw_the_gpu(tallies)
        require_equal(tallies)
        if on_gpu and (empty := tallies[0].lost):
            notes["copies_of_no_bytes"] = float(empty.total())
        if not (on_host or on_gpu):
            _CUPTI_SAID.extend(line for line in said if "CUPTI" in line.upper())
            missing.append(
                "kernels, copies, waits and GPU time: CUPTI told nothing of the GPU "
                f"({'; '.join(_CUPTI_SAID[:2]) or 'and gave no reason'}). Another profiler may "
                "hold it, or the container may lack the right to it; the other counts are complete"
            )
    conditions = {"instruction set": instruction_set()} if on_host else {"device": device_key}
    python = conditions | {"python": ".".join(platform.python_version_tuple()[:2])}
    metrics = list(_metrics(tallies, accelerator, on_gpu, conditions))
    if accelerator.profiles_memory:
        pass  # the profiles have counted it
    elif all(min(last.asked()) > 0 for last in plain[-1].values()):
        for stage, last in plain[-1].items():
            metrics += _of_allocator(stage, last.requests, last.peak_bytes, conditions)
    else:
        missing.append(
            "allocations and their peak: torch's allocator keeps no statistics under "
            "PYTORCH_CUDA_ALLOC_CONF=backend:cudaMallocAsync or PYTORCH_NO_CUDA_MEMORY_CACHING"
        )
    # Of several executions the parts are those of the one whose GPU time is in the middle.
    tallies.sort(key=lambda tally: sum(stage.gpu_time_us for stage in tally.stages.values()))
    middle = tallies[len(tallies) // 2] if tallies else None
    for stage in COST_STAGES:
        metrics.append(_exact(f"{stage}_python_calls", calls[stage].total(), python))
        metrics.append(_exact(f"{stage}_weight_mib_read", mib(work[stage].weight_bytes), {}, "MiB"))
        flops = work[stage].layer_flops + work[stage].attention_flops
        metrics.append(_exact(f"{stage}_gflop", flops / 1e9, {}, "GFLOP"))
        floor, bound = _floor(work[stage], rates, transcriber)
        notes |= {
            f"{stage}_floor_ms": 1e3 * floor,
            f"{stage}_floor_bound": bound,
            f"{stage}_wall_ms": 1e3 * median(once[stage].wall_s for once in plain),
        }
        if on_gpu and middle is not None:
            notes[f"{stage}_gpu_busy_ms"] = middle.stages[stage].gpu_busy_us / 1e3
    if missing:
        notes["not_counted"] = "; ".join(missing)
    parts = tuple(middle.rows()) if middle else ()
    return Cost(metrics=metrics, parts=parts, calls=calls, notes=notes)


def instruction_set() -> str:
    """Name what of this CPU decides which code torch and bitsandbytes run on it.

    As in "x86_64 AVX512 bf16": the architecture, the level that torch dispatches on (bitsandbytes
    asks for the same), and whether bfloat16 is native, which bitsandbytes' 4-bit path looks at.
    """
    import torch

    native_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    level = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {level}{' bf16' * native_bf16}"


def _count_calls(
    execute: Callable[[], object], encoder: torch.nn.Module
) -> dict[str, Counter[str]]:
    """Count the Python calls of both stages by function, twice.

    Raises:
        InvalidMeasurementError: the second time differs.
    """
    first, second = (_calls_of_stages(execute, encoder) for _ in range(2))
    for stage in COST_STAGES:
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


def _metrics(
    tallies: list[Tally], accelerator: Accelerator, on_gpu: bool, conditions: dict[str, str]
) -> Iterator[Metric]:
    """Yield what the profiles counted. On a CPU the allocator is one of the things profiled."""
    for stage in COST_STAGES if tallies else ():
        counts = tallies[0].stages[stage].counts
        for name in ("aten_ops", "other_ops"):
            yield _exact(f"{stage}_{name}", counts[name], conditions)
        if accelerator.profiles_memory:
            yield from _of_allocator(stage, counts["allocations"], counts["peak_bytes"], conditions)
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


def _of_allocator(
    stage: str, requests: int, peak_bytes: int, conditions: dict[str, str]
) -> Iterator[Metric]:
    yield _exact(f"{stage}_allocations", requests, conditions)
    yield _exact(f"{stage}_allocated_peak_mib", mib(peak_bytes), conditions, "MiB")


def _exact(name: str, value: float, conditions: dict[str, str], unit: str = "1") -> Metric:
    return Metric(
        name=name,
        unit=unit,
        kind="exact",
        better="lower",
        value=float(value),
        conditions=conditions,
    )


def _floor(work: LeastWork, rates: Rates, transcriber: Transcriber) -> tuple[float, str]:
    layers, attention = transcriber.loaded.matrix_dtypes()
    return floor_s(
        work,
        bytes_per_s=rates.bytes_per_s,
        layer_flops_per_s=rates.operations_per_s[layers],
        attention_flops_per_s=rates.operations_per_s[attention],
    )
