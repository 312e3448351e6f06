"""The cost pass: what one transcription makes the machine do, counted and not timed.

Wall time wobbles with the host; the kernels, copies, waits, ops and calls of an unchanged program
do not. A window is encoded and a fixed number of tokens decoded through the path that is timed
elsewhere, in two stages: `encoder`, and `decode` for all the rest of `generate()`.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from whisperbench.calls import call_counter
from whisperbench.errors import InvalidMeasurementError, one_line
from whisperbench.quiet import quiet_profiler
from whisperbench.result import Metric, Part
from whisperbench.trace import MODULE, STAGE, StageTally, Tally, read_trace
from whisperbench.transcribe import synchronize
from whisperbench.units import WINDOW_S, mib
from whisperbench.work import Work, count_work, floor_s

if TYPE_CHECKING:
    import torch

    from whisperbench.roofline import Rates
    from whisperbench.transcribe import Transcriber

WARMUPS = 2
"""Plain executions before any that counts: they load modules, tune, and fill what is cached."""

PROFILES = {"cpu": 2, "cuda": 3}
"""Profiled executions that are held against each other, after one that is not kept. The GPU's time
is their median."""

WALL_ROUNDS = 3

STAGES = ("encoder", "decode")

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
        InvalidMeasurementError: two executions did not cost the same, or the profile cannot be
            read or is incomplete.
    """
    device = transcriber.loaded.device
    kind = "cpu" if device == "cpu" else "cuda"
    encoder = transcriber.loaded.model.get_encoder()
    features = transcriber.front_end()

    def execute() -> None:
        transcriber.generate(features, tokens)

    for _ in range(WARMUPS):
        execute()
    synchronize(device)
    calls = _count_calls(execute, encoder)
    work = count_work(execute, encoder)
    walls = _wall_s(execute, encoder, device)
    notes: dict[str, str | float | bool] = {"encoded_s": WINDOW_S * transcriber.batch_size}
    tallies: list[Tally] = []
    said: list[str] = []
    try:
        with _one_thread(), quiet_profiler() as said:
            _profile(execute, encoder, device)
            tallies = [_profile(execute, encoder, device) for _ in range(PROFILES[kind])]
    except ProfilerError as error:
        notes["not_counted"] = f"torch.profiler does not work here: {one_line(error)}"
    on_gpu = False
    if tallies:
        on_gpu = kind == "cuda" and _saw_the_gpu(tallies)
        _require_equal(tallies)
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
    metrics = list(_metrics(tallies, on_gpu, conditions))
    if kind == "cuda":
        metrics += _allocations(execute, encoder, device, conditions)
    # Of several executions the parts are those of the one whose GPU time is in the middle.
    tallies.sort(key=lambda tally: sum(stage.gpu_time_us for stage in tally.stages.values()))
    middle = tallies[len(tallies) // 2] if tallies else None
    for stage in STAGES:
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


class ProfilerError(Exception):
    """torch's profiler does not start or stop here."""


def instruction_set() -> str:
    """Name what of this CPU decides which code torch and bitsandbytes run on it.

    As in "x86_64 AVX512 bf16": the architecture, the level that torch dispatches on (bitsandbytes
    asks for the same), and whether bfloat16 is native, which bitsandbytes' 4-bit path looks at.
    """
    import torch

    native_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    level = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {level}{' bf16' * native_bf16}"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: some of its ops call as many others as there are threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _profile(execute: Callable[[], object], encoder: torch.nn.Module, device: str) -> Tally:
    """Profile an execution, with its stages and modules marked.

    Raises:
        ProfilerError: the profiler itself failed. What the execution raises comes as it is.
    """
    from torch.profiler import ProfilerActivity, profile, record_function

    on_cpu = device == "cpu"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (not on_cpu)
    # A GPU's allocator reports the sizes of its blocks, which depend on what it has cached.
    profiler = profile(activities=activities, profile_memory=on_cpu, acc_events=True)
    with _as_profilers():
        profiler.start()
    try:
        with _marked(encoder), record_function(f"{STAGE}decode"):
            execute()
        synchronize(device)  # outside of the stage: the wait is ours
    finally:
        with _as_profilers():
            profiler.stop()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        with _as_profilers():
            profiler.export_chrome_trace(str(path))
        return read_trace(path, "cpu" if on_cpu else "cuda")


@contextmanager
def _as_profilers() -> Iterator[None]:
    """Tell the profiler's own faults from those of what it profiles."""
    try:
        yield
    except RuntimeError as error:
        raise ProfilerError(str(error)) from error


@contextmanager
def _marked(encoder: torch.nn.Module) -> Iterator[None]:
    """Annotate the encoder as a stage, and every module's forward pass by its class."""
    from torch.nn.modules.module import (
        register_module_forward_hook,
        register_module_forward_pre_hook,
    )
    from torch.profiler import record_function

    open_ranges: list[Any] = []

    def enter(name: str) -> None:
        opened: Any = record_function(name)
        opened.__enter__()
        open_ranges.append(opened)

    def leave(*_: Any) -> None:
        open_ranges.pop().__exit__(None, None, None)

    hooks = [
        register_module_forward_pre_hook(lambda module, _: enter(MODULE + type(module).__name__)),
        register_module_forward_hook(leave),
        encoder.register_forward_pre_hook(lambda *_: enter(f"{STAGE}encoder")),
        encoder.register_forward_hook(leave),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for opened in reversed(open_ranges):
            with suppress(Exception):
                opened.__exit__(None, None, None)


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
    counters = {stage: call_counter() for stage in STAGES}
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

    def mark(*_: Any) -> None:
        stats = torch.cuda.memory_stats(device)
        marks.append(
            (
                stats["allocation.all.allocated"],
                stats["requested_bytes.all.current"],
                stats["requested_bytes.all.peak"],
            )
        )
        torch.cuda.reset_peak_memory_stats(device)

    hooks = [encoder.register_forward_pre_hook(mark), encoder.register_forward_hook(mark)]
    try:
        mark()
        execute()
        mark()
    finally:
        for hook in hooks:
            hook.remove()
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

    def mark(*_: Any) -> None:
        synchronize(device)
        marks.append(time.perf_counter())

    hooks = [encoder.register_forward_pre_hook(mark), encoder.register_forward_hook(mark)]
    encoding, decoding = [], []
    try:
        for _ in range(WALL_ROUNDS):
            marks.clear()
            started_s = time.perf_counter()
            execute()
            synchronize(device)
            whole_s = time.perf_counter() - started_s
            encoding.append(marks[1] - marks[0])
            decoding.append(whole_s - encoding[-1])
    finally:
        for hook in hooks:
            hook.remove()
    return {"encoder": median(encoding), "decode": median(decoding)}


def _saw_the_gpu(tallies: list[Tally]) -> bool:
    """Say whether CUPTI told of the GPU at all.

    Raises:
        InvalidMeasurementError: it told of a part of what was launched.
    """
    if not any(stage.counts["kernels"] for tally in tallies for stage in tally.stages.values()):
        return False
    lost = max(tally.kernels_lost for tally in tallies)
    if lost:
        raise InvalidMeasurementError(
            f"the profile lacks {lost} of the kernels that were launched: CUPTI ran out of "
            "buffers; lower cost_tokens in benchmarks/suite.toml"
        )
    return True


def _require_equal(tallies: list[Tally]) -> None:
    """Refuse executions that did not do the same, in number or in kind.

    Raises:
        InvalidMeasurementError: with the stage, and what differed most.
    """
    for tally in tallies:
        if set(tally.stages) != set(STAGES):
            raise InvalidMeasurementError(
                f"the profile holds the stages {', '.join(tally.stages) or 'none'} and not "
                f"{', '.join(STAGES)}: this torch does not record annotations"
            )
    first = tallies[0]
    for other in tallies[1:]:
        for stage in STAGES:
            one, two = first.stages[stage], other.stages[stage]
            kinds = [_by_kind(one), _by_kind(two)]
            if one.counts == two.counts and kinds[0] == kinds[1]:
                continue
            names = sorted(one.counts.keys() | two.counts.keys())
            differing = [
                *(
                    f"{name} {one.counts[name]} and {two.counts[name]}"
                    for name in names
                    if one.counts[name] != two.counts[name]
                ),
                *_what_differed(*kinds),
            ]
            raise InvalidMeasurementError(
                f"two executions of the {stage} stage did not cost the same: {'; '.join(differing)}"
            )


def _by_kind(tally: StageTally) -> Counter[tuple[str, str]]:
    """Count a stage's parts, wherever they came from: a clock may put one just beside its op."""
    found: Counter[tuple[str, str]] = Counter()
    for (kind, name, *_), (count, _) in tally.parts.items():
        found[kind, name] += int(count)
    return found


def _what_differed(one: Counter[tuple[str, str]], two: Counter[tuple[str, str]]) -> list[str]:
    """Name the three kinds of parts that differ most."""
    changes = {key: two[key] - one[key] for key in one.keys() | two.keys() if two[key] != one[key]}
    most = sorted(changes.items(), key=lambda item: (-abs(item[1]), item[0]))[:3]
    return [f"{change:+} {kind} {name}".rstrip() for (kind, name), change in most]


def _metrics(tallies: list[Tally], on_gpu: bool, conditions: dict[str, str]) -> Iterator[Metric]:
    """Yield what the profiles counted. On a CPU the allocator is one of the things profiled."""
    for stage in STAGES if tallies else ():
        counts = tallies[0].stages[stage].counts
        for name in ("aten_ops", "other_ops"):
            yield _exact(f"{stage}_{name}", counts[name], conditions)
        if "instruction set" in conditions:
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
