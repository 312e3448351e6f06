"""Units, and how figures are written for people."""

from __future__ import annotations

from typing import overload

MIB = 2**20
"""Bytes in a MiB: the only memory unit of the suite."""

SAMPLE_RATE_HZ = 16_000
"""The sample rate of Whisper's log-mel front end (Radford et al. 2022, section 2.2)."""

WINDOW_S = 30.0
"""Seconds of audio that Whisper's encoder sees at a time; shorter audio is padded to it."""


@overload
def mib(size_bytes: float) -> float: ...
@overload
def mib(size_bytes: float | None) -> float | None: ...
def mib(size_bytes: float | None) -> float | None:
    """Convert bytes to MiB; what is not known stays so."""
    return None if size_bytes is None else size_bytes / MIB


def format_seconds(seconds: float) -> str:
    """Write a duration with three significant digits in s, ms or us.

    >>> format_seconds(6.794), format_seconds(0.0412), format_seconds(0.00000871)
    ('6.79 s', '41.2 ms', '8.71 us')
    """
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if abs(seconds) * factor >= 1.0:
            return f"{format_figure(seconds * factor)} {unit}"
    return f"{format_figure(seconds * 1e6)} us"


def format_figure(value: float) -> str:
    """Write a figure with three significant digits and no exponent.

    >>> format_figure(5921.7), format_figure(81.44), format_figure(0.5274), format_figure(0.0)
    ('5922', '81.4', '0.527', '0.00')
    """
    magnitude = abs(value)
    decimals = 0 if magnitude >= 99.95 else 1 if magnitude >= 9.995 else 2
    if 0.0 < magnitude < 0.9995:
        decimals = 3
    return f"{value:.{decimals}f}"


def format_mib(mib: float) -> str:
    """Write an amount of memory in MiB, or in GiB from one on.

    >>> format_mib(81.44), format_mib(3964.0)
    ('81.4 MiB', '3.87 GiB')
    """
    return f"{mib / 1024:.2f} GiB" if mib >= 1024 else f"{format_figure(mib)} MiB"


def counted(number: int, noun: str) -> str:
    """Write how many of something there are.

    >>> counted(1, "process"), counted(2, "process"), counted(0, "benchmark")
    ('1 process', '2 processes', '0 benchmarks')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
