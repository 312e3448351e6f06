"""What a precision costs, in a line, as soon as it and the reference are measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from whisperbench.results.records import Measurement, name_of

EARLY = ("memory", "transcribe")
"""Benchmarks that answer what is asked first."""

_PEAKS = ("peak_process_mib", "peak_device_mib")
"""The memory at the peak: what the process held, or, where that is hidden, what the device grew."""


def early_line(reference: Measurement, other: Measurement) -> str | None:
    """Write what another precision takes, as shares of what the reference does.

    Args:
        reference: a measurement in the reference precision.
        other: the same benchmark of the same cell in another precision.

    Returns:
        A line such as "dummy:tiny int8, harbour, 32 tokens: 1.9 x the time, 0.67 x the weights (of
        fp32)"; None where there is nothing to say.
    """
    shares = list(_shares(reference, other))
    if not shares:
        return None
    name = name_of(other.cell, with_clip=True)
    return f"{name}: {', '.join(shares)} (of {reference.cell.precision})"


def _shares(reference: Measurement, other: Measurement) -> Iterator[str]:
    if share := _share(_seconds(reference), _seconds(other)):
        yield f"{share} x the time"
    if share := _share(_figure(reference, "weight_mib"), _figure(other, "weight_mib")):
        yield f"{share} x the weights"
    for name in _PEAKS:
        if share := _share(_figure(reference, name), _figure(other, name)):
            yield f"{share} x the peak memory"
            break


def _share(base: float | None, value: float | None) -> str:
    if not base or not value:
        return ""
    share = value / base
    return f"{share:.1f}" if share >= 1.95 else f"{share:.2f}"


def _seconds(row: Measurement) -> float | None:
    metric = row.metric("latency_s")
    return median(metric.samples) if metric is not None and metric.samples else None


def _figure(row: Measurement, name: str) -> float | None:
    metric = row.metric(name)
    return metric.value if metric is not None else None
