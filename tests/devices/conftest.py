"""What the tests of NVIDIA GPUs are given: a device over a scripted NVML."""

from __future__ import annotations

import pytest

from tests.devices.scripted_nvml import (
    FIRST,
    FakeNvml,
    Open,
    torch_facts,
)
from whisperbench.devices.nvml import NvmlDevice


@pytest.fixture
def device_of(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Give the device that torch knows by a UUID, over a scripted NVML."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def of(nvml: FakeNvml, uuid: str = f"GPU-{FIRST}") -> NvmlDevice:
        monkeypatch.setattr(
            "whisperbench.devices.nvml.torch_facts", lambda _name: torch_facts(uuid)
        )
        return NvmlDevice("cuda:0", library=nvml)

    return of
