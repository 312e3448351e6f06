"""A made-up run of 500 cells with everything in it, and a baseline; no figure was measured."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

import msgspec

from tests.runs import make_cell, make_cost, make_measurement, make_memory, make_run
from whisperbench.results.passes import CostResult, MemoryCourse, MemoryPhase, MemoryResult, Part
from whisperbench.results.records import Measurement, Run, Verdict

MODELS = ("dummy:large-v3", "openai/whisper-large-v3-turbo", "openai/whisper-small", "nano")
PRECISIONS = ("fp16", "fp32", "bf16", "int8", "int8-t0", "nf4")
CLIPS = ("harbour", "yes", "market")
BATCHES = (1, 4, 8, 16, 24, 32, 48)

KERNELS = (
    "nvjet_sm90_hsh_128x120_64x6_2x1_v_bz_bias_TNT",
    "cutlass_80_tensorop_i16832gemm_s8_128x64_128x3_tn_align16",
    "kInt8VectorQuant",
    "at::native::vectorized_layer_norm_kernel",
    "at::native::elementwise_kernel",
    "cudnn_generated_fort_native_sdpa_sm90_flash_fprop",
)


def make_large(*, slower: float = 1.0, cells: int = 500) -> Run:
    """Make the run: a transcription, memory and a cost of each cell.

    Args:
        slower: what its times are multiplied by.
        cells: how many of them.
    """
    dice = random.Random(20)
    places = list(product(MODELS, CLIPS, BATCHES, PRECISIONS))[:cells]
    assert len(places) == cells
    return make_run(*(row for place in places for row in _of_cell(*place, slower, dice)))


def _of_cell(
    model: str, clip: str, batch_size: int, precision: str, slower: float, dice: random.Random
) -> Iterator[Measurement]:
    middle = (0.5 + PRECISIONS.index(precision)) * slower * (1 + batch_size / 10)
    yield make_measurement(
        "transcribe",
        precision,
        tuple(middle * dice.lognormvariate(0, 0.02) for _ in range(30)),
        model=model,
        clip=clip,
        batch_size=batch_size,
        weight_mib=3000.0 / (1 + PRECISIONS.index(precision)),
        rtfx_fixed_tokens=26.4 / middle,
    )
    cell = make_cell(precision, model=model, clip=clip, batch_size=batch_size)
    peak = 4000.0 + 100 * batch_size
    held = make_memory(
        cell,
        {"weight_mib": 3000.0, "peak_process_mib": peak, "steady_call_peak_process_mib": peak},
        verdicts=(
            Verdict(
                verdict="ok",
                metric="peak_process_mib",
                unit="MiB",
                sentence=f"peak_process_mib is {peak} MiB of at most 9000 MiB",
                head=peak,
                limit=9000.0,
            ),
        ),
    )
    assert isinstance(held.found, MemoryResult)
    course = MemoryCourse(
        of="process",
        at_s=tuple(0.05 * step for step in range(200)),
        held_mib=tuple(min(peak, 30.0 * step) for step in range(200)),
        phases=(
            MemoryPhase(name="start", start_s=0.0, end_s=3.0),
            MemoryPhase(name="load", start_s=3.0, end_s=7.0),
            MemoryPhase(name="first call", start_s=7.0, end_s=8.5),
            MemoryPhase(name="steady call", start_s=8.5, end_s=9.9),
        ),
    )
    yield msgspec.structs.replace(held, found=msgspec.structs.replace(held.found, course=course))
    cost = make_cost(
        msgspec.structs.replace(cell, tokens=3),
        {"kernels": 4000, "aten_ops": 9000, "python_calls": 20000},
        gpu_ms=20.0,
    )
    assert isinstance(cost.found, CostResult)
    parts = tuple(
        Part(
            kind="kernel",
            name=name,
            op="aten::mm",
            module="Linear",
            stage=stage,
            count=40,
            time_us=900.0 + 100 * at,
        )
        for stage in ("encoder", "decode")
        for at, name in enumerate(KERNELS)
    )
    yield msgspec.structs.replace(cost, found=msgspec.structs.replace(cost.found, parts=parts))
