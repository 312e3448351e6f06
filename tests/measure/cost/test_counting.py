"""The cost pass, on a real model; only the GPU is made up.

Over 300 lines, because it is one subject with one set of helpers.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch

from tests.scripted import ScriptedAccelerator
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import load_audio, read_manifest
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.accelerator import AllocatorRequests
from whisperbench.devices.cpu import CpuAccelerator, instruction_set
from whisperbench.devices.cuda import CudaAccelerator
from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.cost import counting as cost_module
from whisperbench.measure.cost import profiled
from whisperbench.measure.cost.counting import Cost, measure_cost
from whisperbench.measure.cost.device_rates import Rates
from whisperbench.measure.cost.least_work import LeastWork, count_work
from whisperbench.measure.cost.profiling import profile_once, require_equal
from whisperbench.measure.cost.python_calls import count_calls
from whisperbench.measure.cost.trace import StageTally, Tally
from whisperbench.measure.rounds import garbage_held
from whisperbench.results.metric_row import STAGES
from whisperbench.results.metrics import figures
from whisperbench.results.passes import Part
from whisperbench.whisper.backend_choice import BACKENDS
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.loading import load_model
from whisperbench.whisper.transcriber import Transcriber
from whisperbench.whisper.weights import own_weight_bytes

MIB = 2**20
RATES = Rates(bytes_per_s=1e10, operations_per_s={"float32": 1e11})


@pytest.fixture(scope="module")
def tiny(speck: Checkpoint) -> Transcriber:
    """The transcription path of the smallest model in int8."""
    key = CheckpointKey(model=speck.spec, precision=PRECISIONS["int8"], attention="sdpa")
    loaded = load_model(speck, key, CpuAccelerator())
    return loaded.transcriber([load_audio(read_manifest(CLIPS_FOLDER)["yes"])])


@pytest.fixture(scope="module")
def counted(tiny: Transcriber) -> tuple[dict[str, LeastWork], dict[str, Counter[str]]]:
    """Its least work and Python calls in two tokens, which a made up GPU does not change."""
    features, encoder = tiny.front_end(), tiny.loaded.model.get_encoder()
    work = count_work(lambda: tiny.generate(features, 2), encoder)
    with garbage_held():
        return work, count_calls(lambda: tiny.generate(features, 2), encoder)


OnGpu = Callable[..., Cost]


def values(cost: Cost) -> dict[str, float]:
    """The counts of a pass by name."""
    return {name: value for name, value in cost.values.items() if isinstance(value, int | float)}


def test_the_same_call_costs_the_same(tiny: Transcriber, capfd: pytest.CaptureFixture[str]) -> None:
    """Two passes count the same to the last one, with any number of threads, and say nothing."""
    threads = torch.get_num_threads()
    first = measure_cost(tiny, 2, RATES, "cpu-some")
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        second = measure_cost(tiny, 2, RATES, "cpu-other")
    finally:
        torch.set_num_threads(threads)
    assert first.values == second.values
    assert first.found.parts == second.found.parts
    found = values(first)
    assert found["encoder_aten_ops"] > found["encoder_python_calls"] > 100
    assert found["decode_python_calls"] > found["decode_aten_ops"] > found["decode_other_ops"] > 50
    assert found["encoder_allocated_peak_mib"] > 1.0
    made_of = Counter[str]()
    for part in first.found.parts:
        made_of[f"{part.stage} {part.kind}"] += part.count
    assert made_of["encoder op"] == found["encoder_aten_ops"] + found["encoder_other_ops"]
    assert made_of["encoder allocation"] == found["encoder_allocations"]
    assert sum(first.found.calls["decode"].values()) == found["decode_python_calls"]
    assert {part.module for part in first.found.parts} >= {"Linear8bitLt", "LayerNorm", "Conv1d"}
    assert first.found.not_counted is None
    assert not any("kernels" in name or "gpu_time" in name for name in found)
    assert capfd.readouterr() == ("", "")


def test_outliers_of_the_last_call_are_no_weights(tiny: Transcriber) -> None:
    """bitsandbytes keeps where they were; how many there are depends on data and rounding."""
    features = tiny.front_end()
    tiny.generate(features, 1)
    layer = tiny.loaded.model.model.encoder.layers[0].fc1
    assert layer.state.idx is not None
    before = own_weight_bytes([layer])
    layer.state.idx = torch.arange(1000)
    assert own_weight_bytes([layer]) == before


def test_a_decoding_that_stops_early_is_not_counted(
    tiny: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less work by fewer tokens is garbage, and not an improvement."""
    plain = tiny.generate
    monkeypatch.setattr(tiny, "generate", lambda features, tokens: plain(features, tokens - 1))
    with pytest.raises(
        InvalidMeasurementError, match=r"decoded \(1, 2\) tokens instead of \(1, 3\)"
    ):
        measure_cost(tiny, 3, RATES, "key")


def test_conditions_say_what_a_count_depends_on(
    tiny: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ops depend on the instruction set, calls on Python's version too, least work on nothing.

    Native bfloat16 is no part of it for int8, which takes the same path without.
    """
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(profiled, "profile_once", lambda *_: made_up())
    cost = measure_cost(tiny, 2, RATES, "k")
    conditions = {
        metric.name: metric.conditions for metric in figures(cost.values, cost.conditions)
    }
    assert conditions["decode_aten_ops"] == {"instruction set": instruction_set(with_bf16=False)}
    assert instruction_set(with_bf16=True) == f"{instruction_set(with_bf16=False)} bf16"
    assert sorted(conditions["decode_python_calls"]) == ["instruction set", "python"]
    assert conditions["decode_gflop"] == conditions["decode_weight_mib_read"] == {}


def test_an_extra_op_is_named(tiny: Transcriber) -> None:
    """A real change in one class of module shows in its parts, and in no other's."""
    before = measure_cost(tiny, 2, RATES, "k")
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, made: made.to(torch.float64).float())
        for module in tiny.loaded.model.modules()
        if type(module).__name__ == "Linear8bitLt"
    ]
    try:
        after = measure_cost(tiny, 2, RATES, "k")
    finally:
        for hook in hooks:
            hook.remove()

    def count(cost: Cost, name: str) -> int:
        return sum(part.count for part in cost.found.parts if part.name == name)

    assert count(after, "aten::to") > count(before, "aten::to") + len(hooks)
    assert values(after)["decode_aten_ops"] > values(before)["decode_aten_ops"]


def test_a_call_that_differs_from_the_last_is_invalid(tiny: Transcriber) -> None:
    """Executions that do not do the same are refused, with what differed."""
    turns = iter(range(100))

    def wave() -> None:
        torch.zeros(3).cos()

    def more_each_time(*_: Any) -> None:
        for _again in range(next(turns)):
            wave()

    hook = tiny.loaded.model.get_encoder().register_forward_hook(more_each_time)
    try:
        with pytest.raises(
            InvalidMeasurementError, match=r"depends on what was before; \+1 .*_counting.*wave"
        ):
            measure_cost(tiny, 2, RATES, "k")
        tallies = [
            profile_once(
                lambda: tiny.generate(tiny.front_end(), 2),
                tiny.loaded.model,
                tiny.loaded.model.get_encoder(),
                CpuAccelerator(),
            )
            for _ in range(3)
        ]
        with pytest.raises(InvalidMeasurementError, match=r"two executions .*op aten::cos"):
            require_equal(tallies[1:])
    finally:
        hook.remove()


def test_hooks_of_all_modules_are_left_alone(
    tiny: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules are marked one by one: for hooks of all, torch 2.11 compiles a model anew."""

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("a hook of all modules")

    for name in ("register_module_forward_hook", "register_module_forward_pre_hook"):
        monkeypatch.setattr(torch.nn.modules.module, name, refuse)
    model, features = tiny.loaded.model, tiny.front_end()
    found = profile_once(
        lambda: tiny.generate(features, 2), model, tiny.encoder(), CpuAccelerator()
    )
    assert any(part.module == "Conv1d" for part in found.rows())


def test_the_garbage_collector_is_held_off(tiny: Transcriber) -> None:
    """What it calls, whenever it comes, is not what a cell costs."""
    came: list[str] = []

    def on_collection(phase: str, _: Any) -> None:
        came.append(phase)

    limits = gc.get_threshold()
    gc.callbacks.append(on_collection)
    gc.set_threshold(20, 2, 2)
    try:
        cost = measure_cost(tiny, 2, RATES, "k")
    finally:
        gc.callbacks.remove(on_collection)
        gc.set_threshold(*limits)
    assert came
    for calls in cost.found.calls.values():
        assert not [name for name in calls if "on_collection" in name]


def test_what_a_call_leaves_for_the_next_one_is_the_same_each_time(tiny: Transcriber) -> None:
    """A layer that keeps a buffer until its next call, as bitsandbytes does, costs the same."""
    kept: list[torch.Tensor] = []
    decoder = tiny.loaded.model.get_decoder()

    def keep(*_: Any) -> None:
        kept.append(torch.zeros(2**20))

    hooks = [
        decoder.register_forward_hook(keep),
        tiny.loaded.model.get_encoder().register_forward_pre_hook(lambda *_: kept.clear()),
    ]
    try:
        assert measure_cost(tiny, 3, RATES, "k").values
    finally:
        for hook in hooks:
            hook.remove()


ROW = PRECISIONS["int8"]
INT8 = BACKENDS[ROW.backend]

OPS = (
    ("bitsandbytes::int8_linear_matmul", "Linear8bitLt"),
    ("aten::_scaled_dot_product_flash_attention", "WhisperAttention"),
)
"""What int8 must have run, with the module that calls it."""


def made_up(
    kernels: int = 5, lost: Counter[str] | None = None, gpu_time_us: float = 1000.0
) -> Tally:
    """A profile of a GPU that is not there."""
    tally = Tally(lost=lost or Counter())
    for stage in STAGES:
        counts = StageTally(gpu_time_us=gpu_time_us, gpu_busy_us=gpu_time_us + 200.0)
        counts.counts.update(aten_ops=9, kernels=kernels, copies_dtoh=2, copy_bytes_dtoh=8)
        for op, module in OPS:
            counts.parts["op", op, "", module] = [16.0, 0.0]
        counts.parts["kernel", "igemm", OPS[0][0], OPS[0][1]] = [float(kernels), gpu_time_us]
        tally.stages[stage] = counts
    return tally


ALLOCATOR = ((10, 50, 99), (12, 60, 70), (32, 65, 90), (33, 50, 66))
"""Requests so far, MiB held and their peak since it was asked last: at the start of an execution,
entering the encoder, leaving it, and at the end."""
FIRST = ((0, 50, 99), (9, 60, 80), (29, 65, 95), (31, 50, 66))
"""The same of a first execution, which fills what is cached."""


@pytest.fixture
def on_gpu(
    tiny: Transcriber,
    counted: tuple[dict[str, LeastWork], dict[str, Counter[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> OnGpu:
    """Measures as if the model were on a GPU, whose profiles and allocator are made up."""
    features = tiny.front_end()
    work, calls = counted

    def measure(
        profiles: list[Tally],
        allocator: Sequence[tuple[int, int, int]] = (*FIRST, *ALLOCATOR, *ALLOCATOR),
        warm_up: Callable[[], object] = lambda: None,
    ) -> Cost:
        kept = iter(profiles)
        asked = [
            AllocatorRequests(count, held * MIB, peak * MIB) for count, held, peak in allocator
        ]
        accelerator = ScriptedAccelerator(requests=asked)
        with monkeypatch.context() as patch:
            patch.setattr(cost_module, "count_work", lambda *_: work)
            patch.setattr(cost_module, "count_calls", lambda *_: calls)
            patch.setattr(profiled, "run_profiled", lambda *_: warm_up())
            patch.setattr(profiled, "profile_once", lambda *_: next(kept))
            patch.setattr(tiny, "front_end", lambda: features)
            patch.setattr(tiny.loaded, "accelerator", accelerator)
            patch.setattr(tiny.loaded, "must", INT8.must(ROW.options, "float32", on_host=False))
            rates = Rates(bytes_per_s=1e10, operations_per_s={"float32": 1e11, "int8": 1e12})
            return measure_cost(tiny, 2, rates, "nvidia-some")

    return measure


def test_a_gpu_gives_kernels_and_their_time(on_gpu: OnGpu) -> None:
    """Counts once, the GPU's time of each execution, all of that device alone."""
    times = (1000.0, 1010.0, 990.0)
    cost = on_gpu([made_up(gpu_time_us=time) for time in times])
    found = {metric.name: metric for metric in figures(cost.values, cost.conditions)}
    assert found["decode_kernels"].value == 5
    assert found["decode_copies_dtoh"].value == 2
    assert found["decode_stream_syncs"].value == found["decode_copies_htod"].value == 0
    assert (found["encoder_allocations"].value, found["decode_allocations"].value) == (20, 3)
    assert found["encoder_allocated_peak_mib"].value == 90 - 60
    assert found["decode_allocated_peak_mib"].value == 70 - 50
    assert cost.found.decode.gpu_busy_ms == 1.2
    assert found["decode_gpu_time_ms"].samples == (1.0, 1.01, 0.99)
    assert found["decode_gpu_time_ms"].kind == "device_time"
    assert found["decode_kernels"].conditions == {"device": "nvidia-some"}
    assert (
        Part(
            kind="kernel",
            name="igemm",
            op="bitsandbytes::int8_linear_matmul",
            module="Linear8bitLt",
            stage="decode",
            count=5,
            time_us=1000.0,
        )
        in cost.found.parts
    )


def test_without_cupti_the_rest_is_counted(on_gpu: OnGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CUPTI tells nothing there is no kernel count of zero, but the reason, in each cell."""
    monkeypatch.setattr(profiled, "CUPTI_SAID", [])
    said = iter([b"CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED\n", b""])  # once a process
    for _ in range(2):
        line = next(said)
        cost = on_gpu([made_up(kernels=0)] * 3, warm_up=partial(os.write, 2, line))
        found = values(cost)
        assert found["decode_aten_ops"] == 9
        assert not [name for name in found if "kernels" in name or "copies" in name]
        reason = "CUPTI told nothing of the GPU (CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED)"
        assert reason in str(cost.found.not_counted)


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("start", RuntimeError("Kineto is not built in")),
        ("start", AssertionError("Kineto is not built in")),
        ("export_chrome_trace", OSError("Kineto is not built in, and the disk is full")),
        ("export_chrome_trace", MemoryError("Kineto is not built in, and there is no room")),
    ],
)
def test_a_profiler_that_fails_leaves_the_calls(
    tiny: Transcriber, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    """Without torch's profiler calls and least work are still counted, and nothing as zero."""

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(torch.profiler.profile, method, fails)
    cost = measure_cost(tiny, 2, RATES, "k")
    assert sorted({name.partition("_")[2] for name in values(cost)}) == [
        "gflop",
        "python_calls",
        "weight_mib_read",
    ]
    assert "Kineto is not built in" in str(cost.found.not_counted)


def test_an_error_of_the_model_is_not_the_profilers(
    tiny: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the model raises under the profiler, such as out of memory, comes as what it is."""
    monkeypatch.setattr(cost_module, "count_calls", lambda *_: {"encoder": 1, "decode": 1})
    left = iter([False] * (1 + 1 + 1) + [True])  # least work, plain and warm-up come before

    def out_of_memory(*_: object) -> None:
        if next(left):
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = tiny.loaded.model.get_encoder().register_forward_hook(out_of_memory)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            measure_cost(tiny, 2, RATES, "k")
    finally:
        hook.remove()


def test_a_profile_with_holes_is_invalid(on_gpu: OnGpu) -> None:
    """A profile that lacks kernels is no count."""
    with pytest.raises(InvalidMeasurementError, match=r"lacks GPU work .*3 by cudaMemsetAsync"):
        on_gpu([made_up(), made_up(lost=Counter(cudaMemsetAsync=3)), made_up()])
    with pytest.raises(InvalidMeasurementError, match=r"lacks GPU work .*1 by cuLaunchKernelEx"):
        on_gpu([made_up(lost=Counter(cuLaunchKernelEx=1))] * 3)


def test_counts_that_differ_on_the_gpu_are_invalid(on_gpu: OnGpu) -> None:
    """One kernel more in one of three executions is enough, and is named."""
    with pytest.raises(InvalidMeasurementError, match=r"kernels 5 and 6; \+1 kernel igemm"):
        on_gpu([made_up(), made_up(), made_up(kernels=6)])


def test_an_allocator_without_statistics_is_no_zero(on_gpu: OnGpu) -> None:
    """Under cudaMallocAsync torch counts nothing: its figures are left out, with the reason."""
    for statistics in ([(0, 0, 0)] * 12, [(count, 0, 0) for count in range(12)]):
        cost = on_gpu([made_up()] * 3, statistics)
        assert not [name for name in values(cost) if "alloc" in name]
        assert "backend:cudaMallocAsync" in str(cost.found.not_counted)
        assert values(cost)["decode_kernels"] == 5


def test_copies_of_no_bytes_are_none(on_gpu: OnGpu) -> None:
    """CUPTI has no record of one, in each execution alike; one that lacks it once is incomplete."""
    empty = Counter(cudaMemcpyAsync=2)
    cost = on_gpu([made_up(lost=empty)] * 3)
    assert values(cost)["decode_copies_dtoh"] == 2
    assert cost.found.copies_of_no_bytes == 2
    with pytest.raises(InvalidMeasurementError, match="2 by cudaMemcpyAsync"):
        on_gpu([made_up(lost=empty), made_up(), made_up(lost=empty)])


def test_requests_that_differ_on_the_gpu_are_invalid(on_gpu: OnGpu) -> None:
    """An execution that asks the GPU's allocator for one thing more, or more of it, is refused."""
    for last, said in (
        ((34, 50, 66), "3 and 4 requests, at most 20971520 and 20971520 bytes"),
        ((33, 50, 71), "3 and 3 requests, at most 20971520 and 22020096 bytes"),
    ):
        with pytest.raises(InvalidMeasurementError, match=f"of the decode stage .*{said}"):
            on_gpu([made_up()] * 3, (*FIRST, *ALLOCATOR, *ALLOCATOR[:3], last))


def test_which_dtype_a_cell_multiplies_in(
    tiny: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU int8 layers are held to the int8 rate, on a CPU to that of their activations."""
    assert tiny.loaded.matrix_dtypes() == ("float32", "float32")
    monkeypatch.setattr(tiny.loaded, "accelerator", CudaAccelerator("cuda:0"))
    assert tiny.loaded.matrix_dtypes() == ("int8", "float32")
