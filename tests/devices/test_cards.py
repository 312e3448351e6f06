"""The cards of a host, and the cores that each of them gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.devices.scripted_nvml import FIRST, GONE, UNSUPPORTED, Card, FakeNvml, divided
from whisperbench.devices.cards import cards
from whisperbench.devices.cores import own_cores, physical_cores
from whisperbench.errors import DeviceError, InputError


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)


def host(*names: str, nvml: FakeNvml | None = None) -> FakeNvml:
    """Make a host whose cards have these names; the first half is near CPUs 0 to 3, 64 the rest."""
    made = nvml or FakeNvml(*(Card(f"GPU-{place}{FIRST[1:]}") for place in range(len(names))))
    uuids = [card.uuid for card in made.cards]

    def near(handle: Any, words: int) -> list[int]:
        first = uuids.index(handle.uuid) < len(uuids) / 2
        return [0b1111 if first else 0, 0 if first else 1, *([0] * (words - 2))]

    made.functions |= {
        "nvmlDeviceGetHandleByIndex": lambda index: made.functions["nvmlDeviceGetHandleByUUID"](
            made.cards[index].uuid.encode()
        ),
        "nvmlDeviceGetName": lambda handle: dict(zip(uuids, names, strict=False)).get(
            handle.uuid, "part"
        ),
        "nvmlDeviceGetCpuAffinity": near,
    }
    return made


def test_cards_are_listed_with_what_is_near() -> None:
    """Each has its UUID, its name and the CPUs near it; NVML is shut down in the end."""
    nvml = host("H100", "H100")
    found = cards(nvml)
    assert [card.uuid for card in found] == [card.uuid for card in nvml.cards]
    assert [sorted(card.near) for card in found] == [[0, 1, 2, 3], [64]]
    assert {card.name for card in found} == {"H100"}
    assert nvml.initialised == 0


def test_a_driver_that_tells_no_cpus_is_no_fault() -> None:
    """Containers often hide them; a card that is lost is another thing."""
    nvml = host("H100").fails(UNSUPPORTED, "nvmlDeviceGetCpuAffinity")
    assert cards(nvml)[0].near == frozenset()
    with pytest.raises(DeviceError, match=r"cannot be listed.*dropped off the bus"):
        cards(host("H100").fails(GONE, "nvmlDeviceGetCpuAffinity"))


def test_parts_of_a_divided_card_are_cards() -> None:
    """MIG's parts have UUIDs of their own, which CUDA takes one at a time."""
    found = cards(host("H100", "H100", nvml=divided(2)))
    assert [card.uuid.partition("-")[0] for card in found] == ["GPU", "MIG", "MIG"]


@pytest.mark.parametrize(
    ("visible", "places"),
    [
        ("1,0", [1, 0]),
        ("GPU-1", [1]),
        (f"GPU-0{FIRST[1:]},GPU-2", [0, 2]),
        (" 2 ", [2]),
        ("0,0", [0]),
    ],
)
def test_what_is_visible_is_used(
    visible: str, places: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA_VISIBLE_DEVICES says which cards, by number or by the beginning of a UUID."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    nvml = host("H100", "H100", "H100")
    assert [card.uuid for card in cards(nvml)] == [nvml.cards[place].uuid for place in places]


@pytest.mark.parametrize("visible", ["3", "GPU-", "GPU-9", "0,,1", "first"])
def test_what_names_no_card_is_refused(visible: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA would stop at it, or take another card; the line says what there is."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(InputError, match="choose among GPU-0"):
        cards(host("H100", "H100", "H100"))


def test_numbers_of_unlike_cards_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA numbers them by speed and NVML by the bus, unless CUDA is told to do likewise."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with pytest.raises(InputError, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        cards(host("L4", "H100"))
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert [card.name for card in cards(host("L4", "H100"))] == ["H100"]


@pytest.mark.parametrize("visible", ["", "-1"])
def test_a_host_without_a_card_is_one_line(visible: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No card, none that is visible and no driver are three lines."""
    with pytest.raises(DeviceError, match="NVML shows no NVIDIA GPU on this host"):
        cards(host())
    with pytest.raises(DeviceError, match="cannot be listed: NVML does not answer"):
        cards(FakeNvml().fails(GONE, "nvmlInit"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(DeviceError, match="hides every GPU of this host: unset it"):
        cards(host("H100"))


def test_a_core_is_what_shares_its_threads(tmp_path: Path) -> None:
    """CPUs of one core go together, as far as they may be used; one that is not told is a core."""
    for cpu, siblings in ((0, "0,4"), (4, "0,4"), (1, "1,5"), (5, "1,5"), (2, "2-3"), (3, "2-3")):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n", encoding="ascii")
    found = physical_cores(frozenset({0, 1, 2, 3, 4, 6}), tmp_path)
    assert [sorted(core) for core in found] == [[0, 4], [1], [2, 3], [6]]


def cores_of(*cpus: int) -> list[frozenset[int]]:
    """Make cores of one CPU each."""
    return [frozenset({cpu}) for cpu in cpus]


def test_each_card_has_cores_near_it() -> None:
    """Cards of one side of a host share its cores, those of the other side have the others."""
    left, right = frozenset(range(4)), frozenset(range(4, 8))
    found = own_cores([left, right, left], cores_of(*range(8)))
    assert [sorted(own) for own in found] == [[0, 1], [4, 5], [2, 3]]


def test_unknown_sides_share_what_there_is() -> None:
    """Where a card's side is not known, or lies outside what may be used, all cores are shared."""
    unknown = frozenset[int]()
    assert [sorted(own) for own in own_cores([unknown, unknown], cores_of(0, 1, 2))] == [[0], [1]]
    # One is known: it would be given cores that the other is given too.
    found = own_cores([frozenset({0, 1}), unknown], cores_of(0, 1, 2, 3))
    assert [sorted(own) for own in found] == [[0, 1], [2, 3]]


def test_too_few_cores_are_refused() -> None:
    """Two processes on one core would measure each other."""
    with pytest.raises(DeviceError, match="1 core may be used for 2 GPUs"):
        own_cores([frozenset(), frozenset()], cores_of(0))


@given(
    near=st.lists(st.frozensets(st.integers(0, 11)), min_size=1, max_size=6),
    usable=st.frozensets(st.integers(0, 11), min_size=1),
)
def test_no_core_is_given_twice(near: list[frozenset[int]], usable: frozenset[int]) -> None:
    """Whatever the driver says is near, shares are alike, disjoint, and of what may be used."""
    try:
        found = own_cores(near, cores_of(*sorted(usable)))
    except DeviceError:
        return
    assert len({len(own) for own in found}) == 1
    assert sum(map(len, found)) == len(frozenset[int]().union(*found))
    assert frozenset[int]().union(*found) <= usable
