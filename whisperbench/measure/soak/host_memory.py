"""What this process holds of the host's memory, and how much of it malloc has given out.

The resident set alone is a poor instrument for a slope. glibc takes heap from the system and gives
it back in steps: between two calls of unchanged code it moved by up to 15 MiB (nano in fp32) and
54 MiB (int8), which a leak of 64 KiB a call takes hundreds of calls to rise above. malloc's own
count knows what of that is free. Without it the same series moves by 0.1 to 0.4 KiB a call.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass

from whisperbench.units import MIB

_FIELDS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)
"""Of `struct mallinfo2`, in its order: mallinfo(3)."""


class _Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


@dataclass(frozen=True, kw_only=True)
class HostHeld:
    """What a process holds of the host, in bytes."""

    resident: int
    """Its resident set."""
    given_out: int | None = None
    """What malloc has given out and not got back; None where it does not count."""
    free: int | None = None
    """What malloc holds and has not given out."""

    @property
    def in_use(self) -> int:
        """The resident set without what malloc holds free, where that is known."""
        return self.resident - (self.free or 0)


class HostMemory:
    """Reads what this process holds."""

    def __init__(self) -> None:
        """Find out whether malloc counts here.

        glibc counts from 2.33 on. Where another malloc was put in its place, glibc's count stands
        still: so it is only believed where it sees a block that is taken for it.
        """
        import psutil

        self._process = psutil.Process()
        self._counts = _mallinfo2()
        if self._counts is not None and not _sees(self._counts):
            self._counts = None

    @property
    def counts(self) -> bool:
        """Whether malloc counts here."""
        return self._counts is not None

    def read(self) -> HostHeld:
        """Return what this process holds now."""
        resident: int = self._process.memory_info().rss
        if self._counts is None:
            return HostHeld(resident=resident)
        found = self._counts()
        return HostHeld(
            resident=resident,
            given_out=found.uordblks + found.hblkhd,
            free=found.fordblks,
        )


def _mallinfo2() -> Callable[[], _Counts] | None:
    """Return glibc's count of malloc; None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return None
    function.restype = _Counts
    counted: Callable[[], _Counts] = function
    return counted


def _sees(counts: Callable[[], _Counts]) -> bool:
    """Whether a block that is taken from malloc is in its count."""

    def given_out() -> int:
        found = counts()
        return int(found.uordblks + found.hblkhd)

    before = given_out()
    block = bytes(MIB)  # larger than what Python keeps in arenas of its own
    return given_out() - before >= len(block)
