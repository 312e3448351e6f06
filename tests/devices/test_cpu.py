"""The CPU as an accelerator: what it counts as memory of the host."""

from __future__ import annotations

import pytest
import torch

from whisperbench.devices.cpu import CpuAccelerator


@pytest.mark.filterwarnings("error")
def test_stand_ins_for_tensors_hold_no_memory() -> None:
    """What torch.compile keeps of a program that it has read holds no memory."""
    from torch._subclasses import FakeTensorMode

    before = CpuAccelerator().allocated_bytes()
    with FakeTensorMode():
        kept = torch.empty(2**30)
    assert kept.device.type == "cpu"
    assert CpuAccelerator().allocated_bytes() - before < 2**20
