"""The line that says what a precision costs as soon as both are measured."""

from __future__ import annotations

import msgspec

from tests.runs import make_measurement
from whisperbench.report.early import early_line
from whisperbench.results.figure import Metric
from whisperbench.results.records import Measurement


def memory(precision: str, **values: float) -> Measurement:
    """Make up what a memory pass found, in MiB."""
    found = tuple(
        Metric(name=name, unit="MiB", kind="memory", better="lower", value=value)
        for name, value in values.items()
    )
    return msgspec.structs.replace(make_measurement("memory", precision), metrics=found)


def test_time_and_weights_stand_in_one_line() -> None:
    """Shares of the reference's figures, each named; the p50 is what is compared."""
    fp32 = make_measurement("transcribe", "fp32", (1.0, 1.1, 9.0), weight_mib=144.0)
    int8 = make_measurement("transcribe", "int8", (2.0, 2.2, 2.3), weight_mib=96.9)
    said = early_line(fp32, int8)
    assert said == (
        "owner/whisper int8, harbour, 64 tokens: 2.0 x the time, 0.67 x the weights (of fp32)"
    )


def test_the_peak_is_the_process_s_or_else_the_device_s() -> None:
    """Where the process's own peak is hidden, what the device grew by stands in its place."""
    fp16 = memory("fp16", peak_process_mib=4000.0, peak_device_mib=5000.0)
    int8 = memory("int8", peak_process_mib=3000.0, peak_device_mib=2500.0)
    assert early_line(fp16, int8) == (
        "owner/whisper int8, harbour, 64 tokens: 0.75 x the peak memory (of fp16)"
    )
    hidden = memory("int8", peak_device_mib=2500.0)
    assert early_line(fp16, hidden) == (
        "owner/whisper int8, harbour, 64 tokens: 0.50 x the peak memory (of fp16)"
    )


def test_nothing_is_said_of_what_was_not_measured() -> None:
    """A cell that ran out of memory has no figure to compare."""
    fp16 = memory("fp16", peak_process_mib=4000.0)
    assert early_line(fp16, memory("int8")) is None
