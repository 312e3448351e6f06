"""The GPUs of this host that this process may use, and the cores of its own that each can have.

NVML is handed in by `devices.nvml`, the only module that imports it. torch is not imported: what
lists cards starts the processes that use them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from whisperbench.devices import nvml as nvidia
from whisperbench.devices.nvml_handles import device_error, mig_parts
from whisperbench.errors import DeviceError, InputError

_WORD_BITS = 64
"""Of NVML's set of CPUs, which is an array of C's unsigned long."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A GPU, or a part of one that MIG has divided."""

    uuid: str
    """As CUDA_VISIBLE_DEVICES takes it."""
    name: str
    near: frozenset[int] = frozenset()
    """Numbers of the CPUs that its host's buses bring closest to it; none where that is unknown."""

    def __str__(self) -> str:
        return f"{self.name} {self.uuid}"


def cards(library: Any = None) -> list[Card]:
    """List the GPUs that this process may use, in NVML's order, which is that of the PCI bus.

    Args:
        library: what stands in for pynvml, in tests.

    Raises:
        DeviceError: NVML does not answer, or shows none; or CUDA_VISIBLE_DEVICES hides all.
        InputError: CUDA_VISIBLE_DEVICES names none that there is, or cannot be understood.
    """
    if nvidia.gpus_are_hidden():
        raise DeviceError("CUDA_VISIBLE_DEVICES hides every GPU of this host: unset it")
    try:
        with nvidia.opened(library) as nvml:
            try:
                found = list(_all(nvml))
            except nvml.NVMLError as error:
                raise device_error("which GPUs there are", error) from error
    except DeviceError as error:
        raise DeviceError(f"the GPUs of this host cannot be listed: {error}") from error
    if not found:
        raise DeviceError("NVML shows no NVIDIA GPU on this host")
    return _visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _all(nvml: Any) -> Iterator[list[Card]]:
    """Yield what each card is: itself, or the parts that MIG has made of it."""
    for index in range(int(nvml.nvmlDeviceGetCount())):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        near = _near(nvml, handle)
        parts = mig_parts(nvml, handle)
        if parts is None:
            yield [_card(nvml, handle, near)]
        else:
            yield [_card(nvml, part, near) for part in parts.values()]


def _card(nvml: Any, handle: Any, near: frozenset[int]) -> Card:
    return Card(
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        name=_text(nvml.nvmlDeviceGetName(handle)),
        near=near,
    )


def _text(answer: Any) -> str:
    """Return a text of NVML's, which pynvml gives as bytes in older versions."""
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def _near(nvml: Any, handle: Any) -> frozenset[int]:
    """Return the CPUs near a card; none where the driver or the container does not tell."""
    words = -(-_cpus_of_host() // _WORD_BITS)
    try:
        found = nvml.nvmlDeviceGetCpuAffinity(handle, words)
    except nvml.NVMLError as error:
        if error.value == nvml.NVML_ERROR_GPU_IS_LOST:
            raise
        return frozenset()  # virtual machines answer in many ways, and it is a preference alone
    return frozenset(
        place * _WORD_BITS + bit
        for place, word in enumerate(found)
        for bit in range(_WORD_BITS)
        if int(word) >> bit & 1
    )


def _cpus_of_host() -> int:
    """Return how many CPUs NVML is asked about: all of the host, whichever we may use."""
    return max(os.cpu_count() or 1, 1024)


def _visible(found: Sequence[Sequence[Card]], said: str | None) -> list[Card]:
    """Keep what CUDA_VISIBLE_DEVICES leaves, in its order.

    Raises:
        InputError: it names what there is not, or numbers where numbers do not tell cards apart.
    """
    if said is None:
        return [card for own in found for card in own]
    kept: list[Card] = []
    for name in (part.strip() for part in said.split(",")):
        matching = [card for own in found for card in own if name and card.uuid.startswith(name)]
        if name.isascii() and name.isdecimal() and int(name) < len(found):
            matching = list(found[int(name)])
            names = {card.name for own in found for card in own}
            # CUDA's own order begins with the fastest card, unless it is told otherwise.
            if len(names) > 1 and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
                raise InputError(
                    f"CUDA_VISIBLE_DEVICES={said}: the cards of this host differ, and a number "
                    "does not tell which: set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name UUIDs"
                )
        if len(matching) != 1:
            shown = ", ".join(card.uuid for own in found for card in own)
            raise InputError(f"CUDA_VISIBLE_DEVICES={said}: choose among {shown}")
        kept += matching
    return list(dict.fromkeys(kept))
