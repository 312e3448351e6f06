"""What a process holds of the host: what malloc gave out, and that nobody else's count is taken."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest

from whisperbench.measure.soak.host_memory import HostHeld, HostMemory
from whisperbench.units import MIB

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")


@linux
@pytest.mark.parametrize("size", [4096, 64 * 1024, 50 * MIB])
def test_malloc_s_count_is_exact(size: int) -> None:
    """A block is in it while it is held, of the heap or mapped, and is not when it is gone."""
    host = HostMemory()
    assert host.counts
    before = host.read().given_out or 0
    block = bytearray(size)
    held = (host.read().given_out or 0) - before
    del block
    left = (host.read().given_out or 0) - before
    assert size <= held <= size + 8192
    assert abs(left) <= 4096


def test_what_malloc_keeps_free_is_not_in_use() -> None:
    """Of the resident set the free heap is taken off; where it is not known nothing is."""
    assert HostHeld(resident=100, given_out=50, free=30).in_use == 70
    assert HostHeld(resident=100).in_use == 100


@pytest.mark.parametrize("other", ["no glibc", "an old glibc", "another malloc"])
def test_a_count_that_stands_still_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Where another malloc is in its place, glibc's count sees no block, and so no leak either."""

    class Function:
        restype: type[ctypes.Structure]

        def __call__(self) -> ctypes.Structure:
            return self.restype()  # zeros

    if other == "no glibc":
        monkeypatch.setattr(sys, "platform", "darwin")
    library = SimpleNamespace(mallinfo2=Function()) if other == "another malloc" else object()
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: library)
    host = HostMemory()
    assert not host.counts
    held = host.read()
    assert held.given_out is held.free is None
    assert held.resident > MIB
