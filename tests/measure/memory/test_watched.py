"""The peak of the resident set, as the system keeps it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from whisperbench.asked.checkout import ROOT

HIGHEST = """
from whisperbench.measure.memory.watched import ResidentPeak
peak = ResidentPeak()
low = peak.highest_bytes()
block = bytearray(b"x") * (64 << 20)
del block
high = peak.highest_bytes()
peak.begin()
print((high - low) >> 20, (high - peak.highest_bytes()) >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not keep it")
def test_the_system_keeps_the_highest_resident_set() -> None:
    """A block that was given back shows in the peak, until that is started anew."""
    # In a process of its own: this one gives back what other tests held, whenever it likes.
    done = subprocess.run(
        [sys.executable, "-c", HIGHEST], cwd=ROOT, capture_output=True, text=True, check=True
    )
    risen_mib, fallen_mib = map(int, done.stdout.split())
    assert risen_mib > 60
    assert fallen_mib > 60
