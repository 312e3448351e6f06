"""Made-up limits, and figures to judge by them."""

from __future__ import annotations

import msgspec

from tests.runs import (
    make_cell,
)
from whisperbench.asked.suite import Limit
from whisperbench.judge.limits import (
    judge,
)
from whisperbench.results.records import Cell, Verdict

GPU_FIGURES = {
    "weight_mib": 1500.0,
    "context_mib": 520.0,
    "load_peak_allocated_mib": 1600.0,
    "load_peak_reserved_mib": 1700.0,
    "load_peak_process_mib": 2250.0,
    "load_peak_device_mib": 2260.0,
    "peak_allocated_mib": 1825.0,
    "peak_reserved_mib": 2000.0,
    "peak_process_mib": 2530.0,
    "peak_device_mib": 2540.0,
    "driver_reserved_mib": 600.0,
}
CPU_FIGURES = {
    "weight_mib": 144.0,
    "context_mib": 274.0,
    "load_peak_process_mib": 504.0,
    "peak_process_mib": 551.0,
}
INT8 = make_cell("int8")


def a_limit(metric: str = "peak_process_mib", max_mib: float = 1024.0) -> Limit:
    """Return an absolute limit on every cell."""
    return Limit(
        models=("*",),
        precisions=("*",),
        devices=("*",),
        metric=metric,
        reason="it must fit",
        max=max_mib,
    )


def a_ratio(metric: str = "weight_mib", max_ratio: float = 0.5, of: str = "fp16") -> Limit:
    """Return a relative limit on every cell."""
    return msgspec.structs.replace(
        a_limit(metric), max=None, max_ratio=max_ratio, of=of, reason="halving is the point"
    )


def only(
    limit: Limit,
    figures: dict[str, float],
    references: dict[str, dict[str, float]] | None = None,
    cell: Cell = INT8,
) -> Verdict:
    """Judge a cell by one limit."""
    (verdict,) = judge(cell, figures, [limit], references or {}, "fp16")
    return verdict
