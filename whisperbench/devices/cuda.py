"""CUDA GPUs as accelerators: the only module that calls torch's CUDA interface."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whisperbench.devices.accelerator import AllocatorLevels, AllocatorRequests
from whisperbench.devices.device import DeviceFacts
from whisperbench.errors import DeviceError
from whisperbench.units import mib

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.profiler import ProfilerActivity


def is_in_bad_fork() -> bool:
    """Whether this process was forked from one that had used CUDA, so that it cannot use a GPU."""
    import torch

    return bool(torch.cuda._is_in_bad_fork())  # noqa: SLF001 - it has no other name


@dataclass(frozen=True)
class CudaAccelerator:
    """One GPU, by torch's name for it, with torch's caching allocator."""

    torch_device: str
    """"cuda:<index>"."""
    kind: str = "cuda"
    on_host: bool = False
    # The allocator reports the sizes of its blocks, which depend on what it has cached.
    profiles_memory: bool = False
    profiler_device_type: int = 1

    @classmethod
    def named(cls, device: str) -> CudaAccelerator:
        """Return the GPU that "cuda" or "cuda:<index>" means; without an index the first."""
        return cls(f"cuda:{int(device.partition(':')[2] or 0)}")

    def synchronize(self) -> None:
        """Wait for all of its streams."""
        import torch

        torch.cuda.synchronize(self.torch_device)

    def settle(self) -> None:
        """Collect garbage, wait for the GPU and give cached blocks back to it."""
        import torch

        gc.collect()
        torch.cuda.synchronize(self.torch_device)
        torch.cuda.empty_cache()

    def empty_cache(self) -> None:
        """Give cached blocks back to the driver; of all GPUs of this process, as torch does it."""
        import torch

        torch.cuda.empty_cache()

    def allocated_bytes(self) -> int:
        """Return torch's count of allocated bytes."""
        import torch

        return torch.cuda.memory_allocated(self.torch_device)

    def levels(self) -> AllocatorLevels | None:
        """Return torch's count."""
        import torch

        return AllocatorLevels(
            allocated_bytes=torch.cuda.memory_allocated(self.torch_device),
            reserved_bytes=torch.cuda.memory_reserved(self.torch_device),
            peak_allocated_bytes=torch.cuda.max_memory_allocated(self.torch_device),
            peak_reserved_bytes=torch.cuda.max_memory_reserved(self.torch_device),
        )

    def reset_peaks(self) -> None:
        """Let torch's peaks begin anew."""
        import torch

        torch.cuda.reset_peak_memory_stats(self.torch_device)

    def take_requests(self) -> AllocatorRequests:
        """Return torch's count of requests; zeros where its allocator keeps no statistics."""
        import torch

        stats = torch.cuda.memory_stats(self.torch_device)
        torch.cuda.reset_peak_memory_stats(self.torch_device)
        return AllocatorRequests(
            stats["allocation.all.allocated"],
            stats["requested_bytes.all.current"],
            stats["requested_bytes.all.peak"],
        )

    def fill(self) -> str:
        """Say how full the GPU is, if it still answers."""
        import torch

        try:
            free, total = torch.cuda.mem_get_info(self.torch_device)
        except RuntimeError:
            return ""
        return f": {mib(total - free):.0f} of {mib(total):.0f} MiB were in use"

    def profiler_activities(self) -> Sequence[ProfilerActivity]:
        """Return the host's and the GPU's."""
        from torch.profiler import ProfilerActivity

        return [ProfilerActivity.CPU, ProfilerActivity.CUDA]

    def threads(self) -> int:
        """Return torch's intra-op threads."""
        import torch

        return torch.get_num_threads()

    def computes_in(self, dtype: str) -> str:
        """Return "tf32" of 32-bit floats where torch was told to multiply in it."""
        import torch

        if dtype != "float32" or torch.cuda.get_device_capability(self.torch_device) < _TF32:
            return dtype
        matmul = torch.backends.cuda.matmul
        told = getattr(matmul, "fp32_precision", None)  # from torch 2.9 on
        if told is None:
            told = "tf32" if matmul.allow_tf32 else "ieee"
        elif told == "none":
            told = getattr(torch.backends, "fp32_precision", told)
        return "tf32" if told == "tf32" else dtype

    def emulates(self, dtype: str) -> bool:
        """Whether it is bfloat16 on a GPU before Ampere: torch calls it supported there, too."""
        import torch

        capability = torch.cuda.get_device_capability(self.torch_device)
        return dtype == "bfloat16" and capability < _BF16


_BF16 = _TF32 = (8, 0)
"""The compute capability of Ampere, which both came with."""


def torch_facts(torch_name: str) -> DeviceFacts:
    """Return what torch knows of a GPU. Makes no context on it.

    Args:
        torch_name: "cuda" or "cuda:<index>".

    Raises:
        DeviceError: torch has no such CUDA device.
    """
    import torch

    if not torch.cuda.is_available():
        why = (
            f"torch {torch.__version__} is built without CUDA: install a CUDA build"
            if torch.version.cuda is None
            else "torch finds no usable NVIDIA GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES"
        )
        raise DeviceError(f"--device {torch_name}: {why}, or pass --device cpu")
    index = torch.device(torch_name).index or 0
    if index >= torch.cuda.device_count():
        raise DeviceError(
            f"--device {torch_name}: torch sees {torch.cuda.device_count()} GPU(s); "
            f"the last is cuda:{torch.cuda.device_count() - 1}"
        )
    found = torch.cuda.get_device_properties(index)
    uuid = str(found.uuid)
    return DeviceFacts(
        kind="cuda",
        torch_name=f"cuda:{index}",
        name=found.name,
        memory_mib=round(mib(found.total_memory)),
        compute_capability=(found.major, found.minor),
        uuid=uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}",
        cuda=torch.version.cuda,
    )
