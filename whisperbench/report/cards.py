"""Cards that advice can be asked for: memory and compute capability, each with its source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from whisperbench.errors import InputError, printable
from whisperbench.results.records import Machine

CAPABILITIES = "https://developer.nvidia.com/cuda-gpus"
"""Where the compute capabilities are from."""

_TOTALS = "https://github.com/modal-labs/modal-client/pull/2797"
"""What nvidia-smi shows as the total of each, as a provider who rents them out has listed it."""

_OWN = "docs/recordings/"
"""Recordings of this project's own, whose machine_info has the total by NVML."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A model of GPU."""

    name: str
    """As `--card` takes it."""
    title: str
    word: str
    """What the device keys of these cards have among their words."""
    memory_mib: int
    """The total that NVML and nvidia-smi show. The driver keeps a part of it for itself."""
    capability: tuple[int, int]
    source: str
    """Of the memory."""

    def is_same(self, machine: Machine) -> bool:
        """Whether a run was measured on such a card: by its key's words, and its memory to 5 %."""
        words = re.split(r"[^a-z0-9]+", machine.device_key)
        near = abs(machine.memory_mib - self.memory_mib) <= 0.05 * self.memory_mib
        return not machine.on_host and self.word in words and near


CARDS: Mapping[str, Card] = {
    card.name: card
    for card in (
        Card(
            name="t4",
            title="NVIDIA T4",
            word="t4",
            memory_mib=15360,
            capability=(7, 5),
            source=_TOTALS,
        ),
        Card(
            name="l4",
            title="NVIDIA L4",
            word="l4",
            memory_mib=23034,
            capability=(8, 9),
            source=_TOTALS,
        ),
        Card(
            name="a10",
            title="NVIDIA A10",
            word="a10",
            memory_mib=23028,
            capability=(8, 6),
            source=_TOTALS,
        ),
        Card(
            name="l40s",
            title="NVIDIA L40S",
            word="l40s",
            memory_mib=46068,
            capability=(8, 9),
            source=_TOTALS,
        ),
        Card(
            name="a100-40gb",
            title="NVIDIA A100 40 GB",
            word="a100",
            memory_mib=40960,
            capability=(8, 0),
            source=_TOTALS,
        ),
        Card(
            name="a100-80gb",
            title="NVIDIA A100 80 GB",
            word="a100",
            memory_mib=81920,
            capability=(8, 0),
            source=_TOTALS,
        ),
        Card(
            name="rtx-3090",
            title="NVIDIA GeForce RTX 3090",
            word="3090",
            memory_mib=24576,
            capability=(8, 6),
            source="https://github.com/noonghunna/club-3090/issues/390",
        ),
        Card(
            name="rtx-4090",
            title="NVIDIA GeForce RTX 4090",
            word="4090",
            memory_mib=24564,
            capability=(8, 9),
            source="https://github.com/RLinf/RLinf/issues/255",
        ),
        Card(
            name="rtx-5090",
            title="NVIDIA GeForce RTX 5090",
            word="5090",
            memory_mib=32607,
            capability=(12, 0),
            source="https://github.com/noonghunna/club-3090/issues/1229",
        ),
        Card(
            name="h100",
            title="NVIDIA H100 80 GB",
            word="h100",
            memory_mib=81559,
            capability=(9, 0),
            source=f"{_OWN}h100-cost.json",
        ),
        Card(
            name="h200",
            title="NVIDIA H200",
            word="h200",
            memory_mib=143771,
            capability=(9, 0),
            source=f"{_OWN}h200-cost.json",
        ),
    )
}
"""The registry of cards. A new one is a row here, with the source of its memory."""


def card_named(name: str) -> Card:
    """Look a card up; upper case and lower case are the same.

    Raises:
        InputError: there is no such row.
    """
    try:
        return CARDS[name.lower()]
    except KeyError:
        raise InputError(
            f"--card {printable(name)}: unknown; choose from {', '.join(CARDS)}, or say its memory "
            "with --vram"
        ) from None
