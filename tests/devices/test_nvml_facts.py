"""NVIDIA GPUs through a scripted NVML: what is known of a card."""

from __future__ import annotations

import pynvml
import pytest

from tests.devices.scripted_nvml import (
    FIRST,
    UNSUPPORTED,
    Open,
    torch_facts,
    whole,
)
from whisperbench.devices.device import DeviceFacts
from whisperbench.devices.nvml import NvmlDevice
from whisperbench.errors import DeviceError


def test_facts_are_filled_in(device_of: Open) -> None:
    """NVML adds driver, limits, modes and clocks to what torch knows, and its memory is NVML's."""
    assert device_of(whole()).facts() == DeviceFacts(
        kind="cuda",
        torch_name="cuda:0",
        name="NVIDIA H200",
        memory_mib=140_000,
        compute_capability=(9, 0),
        uuid=f"GPU-{FIRST}",
        driver="580.95.05",
        cuda="12.8",
        power_limit_w=600.0,
        default_power_limit_w=700.0,
        compute_mode="default",
        persistence_mode=True,
        max_sm_clock_mhz=1980,
        mig=False,
    )


def test_facts_that_a_card_lacks_are_none(device_of: Open) -> None:
    """What a card does not tell, such as a laptop's power limit, is None beside what it does."""
    nvml = whole().fails(
        UNSUPPORTED,
        "nvmlDeviceGetEnforcedPowerLimit",
        "nvmlDeviceGetPowerManagementDefaultLimit",
        "nvmlDeviceGetPersistenceMode",
        "nvmlDeviceGetComputeMode",
        "nvmlDeviceGetMaxClockInfo",
    )
    facts = device_of(nvml).facts()
    assert (facts.power_limit_w, facts.default_power_limit_w) == (None, None)
    assert (facts.persistence_mode, facts.compute_mode, facts.max_sm_clock_mhz) == (None,) * 3
    assert (facts.driver, facts.memory_mib, facts.mig) == ("580.95.05", 140_000, False)


@pytest.mark.parametrize(
    "name", ["nvmlInit", "nvmlDeviceGetHandleByUUID", "nvmlSystemGetDriverVersion"]
)
def test_facts_without_nvml_are_torchs(device_of: Open, name: str) -> None:
    """Times can be taken without NVML, so facts do not need it."""
    nvml = whole().fails(pynvml.NVML_ERROR_UNKNOWN, name)
    assert device_of(nvml).facts() == torch_facts(f"GPU-{FIRST}")


def test_facts_are_asked_again_after_a_failure(device_of: Open) -> None:
    """What NVML did not answer once is not kept; what it did is."""
    nvml = whole()
    driver = nvml.functions["nvmlSystemGetDriverVersion"]
    device = device_of(nvml.fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlSystemGetDriverVersion"))
    assert device.facts().driver is None
    nvml.functions["nvmlSystemGetDriverVersion"] = driver
    assert device.facts().driver == driver
    nvml.fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlSystemGetDriverVersion")
    assert device.facts().driver == driver


def test_an_absent_gpu_stays_torchs_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch has no such device, facts and readings say so, and NVML is not asked."""

    def absent(_name: str) -> DeviceFacts:
        raise DeviceError("--device cuda:5: torch sees 1 GPU(s)")

    monkeypatch.setattr("whisperbench.devices.nvml.torch_facts", absent)
    nvml = whole()
    for look in (NvmlDevice.facts, NvmlDevice.memory):
        with pytest.raises(DeviceError, match="torch sees 1"):
            look(NvmlDevice("cuda:5", library=nvml))
    assert nvml.calls == []
