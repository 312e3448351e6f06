"""NVIDIA GPUs through a scripted NVML: which card is read, or which part of one."""

from __future__ import annotations

import pynvml
import pytest

from tests.devices.scripted_nvml import (
    FIRST,
    GONE,
    PARTS,
    SECOND,
    UNSUPPORTED,
    Card,
    FakeNvml,
    Handle,
    Open,
    divided,
    one_line_of,
    whole,
)
from whisperbench.devices.nvml_handles import find_handle
from whisperbench.errors import DeviceError


@pytest.mark.parametrize("prefix", ["GPU-", ""])
@pytest.mark.parametrize("order", [1, -1])
def test_a_card_is_found_by_its_uuid(device_of: Open, order: int, prefix: str) -> None:
    """Torch's device 0 may be NVML's 1: whatever the order, the UUID decides."""
    cards = [Card(f"GPU-{FIRST}", used=1), Card(f"GPU-{SECOND}", used=2)][::order]
    assert device_of(FakeNvml(*cards), prefix + FIRST).memory().used_bytes == 1
    assert device_of(FakeNvml(*cards), prefix + SECOND).memory().used_bytes == 2


@pytest.mark.parametrize("visible", ["0", "7", f"GPU-{SECOND}", f"MIG-{PARTS[0]}", ""])
def test_a_whole_card_does_not_depend_on_the_environment(
    monkeypatch: pytest.MonkeyPatch, device_of: Open, visible: str
) -> None:
    """Torch has obeyed CUDA_VISIBLE_DEVICES already; nothing is looked up by it again."""
    device = device_of(FakeNvml(Card(f"GPU-{SECOND}", used=2), Card(f"GPU-{FIRST}", used=1)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device.memory().used_bytes == 1


def test_a_card_that_nvml_does_not_show_is_an_error(device_of: Open) -> None:
    """A UUID that NVML lacks, as in a container, is one line with the UUID and the remedy."""
    with pytest.raises(DeviceError, match=f"no GPU .*{SECOND}.*--gpus") as caught:
        device_of(whole(), f"GPU-{SECOND}").memory()
    one_line_of(caught)


@pytest.mark.parametrize("prefix", ["MIG-", "GPU-"])
def test_a_part_that_torch_names_is_found(device_of: Open, prefix: str) -> None:
    """Where torch gives the UUID of a MIG part, under either prefix, that part is read."""
    device = device_of(divided(2), prefix + PARTS[1])
    assert device.memory().used_bytes == 2
    assert device.facts().mig is True


def test_the_only_part_is_meant(device_of: Open) -> None:
    """Where torch gives the card's UUID, and the card has one part, that part is read."""
    device = device_of(divided(1))
    assert device.memory().used_bytes == 1
    assert device.facts().mig is True


@pytest.mark.parametrize(
    "visible", [f"MIG-{PARTS[1]}", f"MIG-{PARTS[1]},MIG-{PARTS[0]}", f" MIG-{PARTS[1][:8]} "]
)
def test_the_part_that_cuda_is_told_is_meant(
    monkeypatch: pytest.MonkeyPatch, device_of: Open, visible: str
) -> None:
    """Of two parts, CUDA uses the first that CUDA_VISIBLE_DEVICES names, in full or by its start.

    Torch gives the card's UUID.
    """
    device = device_of(divided(2))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device.memory().used_bytes == 2


@pytest.mark.parametrize("visible", [None, "", "0", "MIG-", f"GPU-{FIRST}"])
def test_one_of_several_parts_is_not_guessed(
    monkeypatch: pytest.MonkeyPatch, device_of: Open, visible: str | None
) -> None:
    """With two parts and none named, the error names both, and the variable that chooses."""
    nvml = divided(2)
    device = device_of(nvml)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(DeviceError, match=r"into 2 parts.*CUDA_VISIBLE_DEVICES") as caught:
        device.memory()
    assert all(f"MIG-{part}" in one_line_of(caught) for part in PARTS)


def test_a_divided_card_without_parts_is_an_error(device_of: Open) -> None:
    """MIG that is on with no part set up runs nothing, and says so."""
    with pytest.raises(DeviceError, match="none is set up") as caught:
        device_of(divided(0)).memory()
    one_line_of(caught)


@pytest.mark.parametrize(
    "missing",
    [
        ("nvmlDeviceGetMigMode",),
        ("nvmlDeviceGetMigMode", "nvmlDeviceIsMigDeviceHandle"),
        (),
    ],
    ids=["card without MIG", "driver without MIG", "MIG off"],
)
def test_a_card_without_mig_is_whole(device_of: Open, missing: tuple[str, ...]) -> None:
    """A card that cannot be divided, or is not, is read as it is."""
    device = device_of(whole(used=5).fails(UNSUPPORTED, *missing))
    assert device.memory().used_bytes == 5
    assert device.facts().mig is False


def test_whether_a_card_is_divided_is_not_guessed(device_of: Open) -> None:
    """An unexplained failure to read the MIG mode does not make a divided card a whole one."""
    nvml = divided(1).fails(pynvml.NVML_ERROR_UNKNOWN, "nvmlDeviceGetMigMode")
    with pytest.raises(DeviceError) as caught:
        device_of(nvml).memory()
    one_line_of(caught)


@pytest.mark.parametrize(
    "name", ["nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetUUID", "nvmlDeviceGetHandleByUUID"]
)
def test_a_lost_card_is_told_while_it_is_looked_for(device_of: Open, name: str) -> None:
    """A GPU that drops off the bus before it is found is not reported as a missing option."""
    with pytest.raises(DeviceError, match="dropped off the bus") as caught:
        device_of(divided(1).fails(GONE, name)).memory()
    one_line_of(caught)


def test_a_part_whose_card_is_not_shown_is_an_error(device_of: Open) -> None:
    """Where NVML does not lead from a part to its card, that is one line too."""
    nvml = divided(1).fails(
        pynvml.NVML_ERROR_NO_PERMISSION, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle"
    )
    with pytest.raises(DeviceError) as caught:
        device_of(nvml, f"MIG-{PARTS[0]}").memory()
    one_line_of(caught)


def test_a_handle_comes_with_its_card() -> None:
    """A whole card is its own card, the same object; a part's is the card around it."""
    nvml = divided(1)
    nvml.initialised = 1
    handle, card = find_handle(nvml, f"GPU-{SECOND}")
    assert handle is card
    for uuid in (f"MIG-{PARTS[0]}", f"GPU-{FIRST}"):
        assert find_handle(nvml, uuid) == (Handle(f"MIG-{PARTS[0]}"), Handle(f"GPU-{FIRST}"))
