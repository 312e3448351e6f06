"""CUDA's accelerator, over a scripted torch.cuda: what it calls, and what it makes of it."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity

from whisperbench.devices.accelerator import AllocatorLevels, AllocatorRequests
from whisperbench.devices.cuda import CudaAccelerator, torch_facts
from whisperbench.errors import DeviceError

GPU = CudaAccelerator("cuda:1")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Record what torch.cuda is asked for, in order."""
    made: list[tuple[Any, ...]] = []
    answers: dict[str, Any] = {
        "synchronize": None,
        "empty_cache": None,
        "reset_peak_memory_stats": None,
        "memory_allocated": 1,
        "memory_reserved": 2,
        "max_memory_allocated": 3,
        "max_memory_reserved": 4,
        "memory_stats": {
            "allocation.all.allocated": 5,
            "requested_bytes.all.current": 6,
            "requested_bytes.all.peak": 7,
        },
    }
    for name, answer in answers.items():

        def answered(*arguments: Any, _name: str = name, _answer: Any = answer) -> Any:
            made.append((_name, *arguments))
            return _answer

        monkeypatch.setattr(torch.cuda, name, answered)
    return made


def test_what_it_asks_of_torch(calls: list[tuple[Any, ...]]) -> None:
    """Each call is for its own GPU; requests are read before their peak begins anew."""
    assert GPU.levels() == AllocatorLevels(
        allocated_bytes=1, reserved_bytes=2, peak_allocated_bytes=3, peak_reserved_bytes=4
    )
    assert GPU.allocated_bytes() == 1
    assert {call[1:] for call in calls} == {("cuda:1",)}
    calls.clear()
    assert GPU.take_requests() == AllocatorRequests(5, 6, 7)
    assert calls == [("memory_stats", "cuda:1"), ("reset_peak_memory_stats", "cuda:1")]
    calls.clear()
    GPU.synchronize()
    GPU.reset_peaks()
    GPU.empty_cache()
    assert calls == [
        ("synchronize", "cuda:1"),
        ("reset_peak_memory_stats", "cuda:1"),
        ("empty_cache",),
    ]


def test_settling_frees_then_waits_then_gives_back(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is garbage is collected first: its blocks are then among those that are given back."""
    monkeypatch.setattr(gc, "collect", lambda: calls.append(("collect",)))
    GPU.settle()
    assert calls == [("collect",), ("synchronize", "cuda:1"), ("empty_cache",)]


def test_the_profiler_records_the_host_and_the_gpu() -> None:
    """Kernels are recorded, and allocations are not: they are the allocator's to count."""
    assert list(GPU.profiler_activities()) == [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    assert not GPU.profiles_memory


def test_facts_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, capability, identity and memory are those of the GPU that the index means."""
    found = SimpleNamespace(name="Some GPU", major=9, minor=0, uuid="abc", total_memory=2**30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: [None, found][index])
    facts = torch_facts("cuda:1")
    assert (facts.kind, facts.torch_name, facts.name) == ("cuda", "cuda:1", "Some GPU")
    assert (facts.memory_mib, facts.compute_capability, facts.uuid) == (1024, (9, 0), "GPU-abc")
    with pytest.raises(DeviceError, match=r"torch sees 2 GPU\(s\); the last is cuda:1"):
        torch_facts("cuda:2")
