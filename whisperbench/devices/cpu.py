"""The CPU as an accelerator: what runs on the host itself."""

from __future__ import annotations

import gc
import platform
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whisperbench.devices.accelerator import AllocatorLevels, AllocatorRequests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.profiler import ProfilerActivity


@dataclass(frozen=True)
class CpuAccelerator:
    """torch on the CPU: nothing to wait for, and no count of what is allocated."""

    kind: str = "cpu"
    torch_device: str = "cpu"
    on_host: bool = True
    profiles_memory: bool = True
    profiler_device_type: int = 0

    def synchronize(self) -> None:
        """Do nothing: a call has ended when it returns."""

    def settle(self) -> None:
        """Collect garbage."""
        gc.collect()

    def empty_cache(self) -> None:
        """Do nothing: torch caches no memory of the host."""

    def allocated_bytes(self) -> int:
        """Sum the storages of all tensors that Python can reach, since torch keeps no count."""
        import torch

        storages = {}
        for thing in gc.get_objects():
            if issubclass(type(thing), torch.Tensor) and thing.device.type == "cpu":
                # What wraps other tensors, as a weight of torchao's, has no storage. Those inside
                # are found themselves.
                with suppress(RuntimeError):
                    storage = thing.untyped_storage()
                    # A FakeTensor names the CPU as its device, and its storage is on meta.
                    if storage.device.type == "cpu":
                        storages[storage.data_ptr()] = storage.nbytes()
        return sum(storages.values())

    def levels(self) -> AllocatorLevels | None:
        """Return None: torch keeps no count."""
        return None

    def reset_peaks(self) -> None:
        """Do nothing."""

    def take_requests(self) -> AllocatorRequests:
        """Return zeros: the profiler counts allocations instead."""
        return AllocatorRequests(0, 0, 0)

    def fill(self) -> str:
        """Return nothing: who is out of memory on a host is said without it."""
        return ""

    def profiler_activities(self) -> Sequence[ProfilerActivity]:
        """Return the CPU's."""
        from torch.profiler import ProfilerActivity

        return [ProfilerActivity.CPU]

    def threads(self) -> int:
        """Return torch's intra-op threads."""
        import torch

        return torch.get_num_threads()

    def computes_in(self, dtype: str) -> str:
        """Return the dtype itself."""
        return dtype

    def emulates(self, dtype: str) -> bool:
        """Whether the CPU lacks instructions for products of 16-bit floats."""
        import torch

        if platform.machine().lower() not in _X86:
            return False  # torch does not tell
        asked = _NATIVE.get(dtype)
        return asked is not None and not any(
            getattr(torch.cpu, name, lambda: False)() for name in asked
        )


_X86 = ("x86_64", "amd64")

_NATIVE = {
    "bfloat16": ("_is_avx512_bf16_supported", "_is_amx_tile_supported"),
    "float16": ("_is_amx_fp16_supported",),
}
"""What torch.cpu is asked whether an x86 CPU multiplies in a dtype; an older torch has not all."""


def instruction_set(*, with_bf16: bool) -> str:
    """Name what of this CPU decides which code torch and bitsandbytes run on it.

    As in "x86_64 AVX512 bf16": the architecture, and the level that torch dispatches on, which is
    the CPU's own unless ATEN_CPU_CAPABILITY names a lower one (bitsandbytes asks torch for it).

    Args:
        with_bf16: whether to say as well that bfloat16 is native. Some precisions take another path
            where it is (`Precision.looks_at_bf16`), at whatever level torch dispatches.
    """
    import torch

    native_bf16 = with_bf16 and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    level = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {level}{' bf16' * native_bf16}"
