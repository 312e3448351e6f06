"""dummy:large-v3 on an H200, by the figures of docs/memory.md and docs/h200-large-v3.md.

Times, weights and memory at batch size 1 were measured, and stand in those documents. Whatever a
test adds to them is made up, and the test says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tests.runs import MACHINE, make_cell, make_measurement, make_memory, make_run
from whisperbench.results.records import Measurement, Run

MODEL = "dummy:large-v3"

TIMES_S = {"fp32": 0.792, "fp16": 0.862, "bf16": 0.885, "int8": 6.19, "int8-t0": 2.72, "nf4": 1.17}
"""p50 of transcribing harbour with 64 tokens."""

WEIGHTS_MIB = {"fp32": 5888, "fp16": 2944, "bf16": 2944, "int8": 1547, "int8-t0": 1547, "nf4": 932}

PEAKS_MIB = {
    "fp32": (6426, 6644, 7330),
    "fp16": (3231, 3272, 3964),
    "int8": (1835, 1894, 2650),
    "nf4": (1219, 1260, 1952),
}
"""Of the steady calls: torch's tensors, torch with its cache, the process."""

MACHINE_H200 = msgspec.structs.replace(
    MACHINE, memory_mib=143771, compute_capability="9.0", driver="580.159.04"
)


def make_timed(precision: str, seconds: float, *, batch_size: int = 1) -> Measurement:
    """Make a transcription of 64 tokens."""
    return make_measurement(
        precision=precision,
        samples=(seconds,) * 3,
        model=MODEL,
        batch_size=batch_size,
        weight_mib=WEIGHTS_MIB[precision],
    )


def make_held(
    precision: str, allocated: float, reserved: float, process: float, *, batch_size: int = 1
) -> Measurement:
    """Make what a memory pass found."""
    cell = make_cell(precision, model=MODEL, batch_size=batch_size)
    return make_memory(
        cell,
        {
            "weight_mib": WEIGHTS_MIB[precision],
            "steady_call_peak_allocated_mib": allocated,
            "steady_call_peak_reserved_mib": reserved,
            "steady_call_peak_process_mib": process,
            "peak_process_mib": process,
            "driver_reserved_mib": 615,
        },
    )


def make_h200(*more: Measurement, precisions: Sequence[str] = tuple(TIMES_S)) -> Run:
    """Make the run, with what else a test needs."""
    timed = [make_timed(name, TIMES_S[name]) for name in precisions]
    held = [make_held(name, *PEAKS_MIB[name]) for name in precisions if name in PEAKS_MIB]
    return make_run(*timed, *held, *more, machine=MACHINE_H200)
