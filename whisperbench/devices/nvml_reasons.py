"""Why a GPU's clocks are what they are: NVML's event reasons and counters, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

EVENT_REASONS: dict[int, str] = {
    0x001: "idle",
    0x002: "application clocks",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "software thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "power brake",
    0x100: "display clocks",
}
"""NVML API reference, "NvmlClocksEventReasons": why the clocks are not at their highest."""

SLOWDOWN_FIELDS: dict[int, str] = {
    269: "software thermal slowdown",
    270: "hardware thermal slowdown",
    271: "power brake",
}
"""NVML_FI_DEV_CLOCKS_EVENT_REASON_*: nanoseconds that each of them has lasted in all."""


def event_reasons(nvml: Any) -> Callable[[Any], int]:
    """Return the function that reads event reasons: it was renamed with driver 535."""
    names = "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"
    functions = [getattr(nvml, name) for name in names if hasattr(nvml, name)]

    def read(card: Any) -> int:
        for function in functions[:-1]:
            try:
                return int(function(card))
            except nvml.NVMLError as error:
                if error.value != nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                    raise
        return int(functions[-1](card))

    return read


def reasons_of(bits: int) -> frozenset[str]:
    """Name the set bits; a bit that has no name here keeps its number."""
    single = [1 << place for place in range(bits.bit_length()) if bits >> place & 1]
    return frozenset(EVENT_REASONS.get(bit, f"{bit:#x}") for bit in single)
