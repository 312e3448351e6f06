"""What the suite does on a device: waits, torch's allocator, torch's profiler.

`Accelerator` is execution, where `Device` is readings. It is a plain value: a fresh process gets
it pickled with the cell that it is to run, and needs no registry to make one. torch is imported
when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.profiler import ProfilerActivity


class AllocatorLevels(msgspec.Struct, frozen=True, kw_only=True):
    """torch's own count on a device: now, and the highest since the peaks were last reset."""

    allocated_bytes: int
    """In tensors."""
    reserved_bytes: int
    """In tensors and in the allocator's cache."""
    peak_allocated_bytes: int
    peak_reserved_bytes: int


class AllocatorRequests(NamedTuple):
    """What torch's allocator was asked for.

    Requests, for the blocks that it gives depend on what it has cached.
    """

    requests: int
    """Since the process began."""
    held_bytes: int
    peak_bytes: int
    """The most that was held since the requests were last taken."""


class Accelerator(Protocol):
    """A device that torch computes on, as everything that executes sees it."""

    @property
    def kind(self) -> str:
        """What `--device` calls its kind, in small letters and digits."""
        ...

    @property
    def torch_device(self) -> str:
        """What torch calls it, such as "cpu" or "cuda:0"."""
        ...

    @property
    def on_host(self) -> bool:
        """Whether it is the host itself.

        Its memory is then a process's resident set, of which a forked process would show too
        little. torch counts its allocations under the profiler alone. There are no kernels apart
        from the host's work, and neither 16-bit floats nor int8 are sure to be faster than 32-bit
        floats.
        """
        ...

    def synchronize(self) -> None:
        """Wait until it has done what it was given."""
        ...

    def settle(self) -> None:
        """Free what nobody holds any more, on the device too."""
        ...

    def empty_cache(self) -> None:
        """Give the blocks that torch has cached back to the device."""
        ...

    def allocated_bytes(self) -> int:
        """Return the bytes that live tensors hold."""
        ...

    def levels(self) -> AllocatorLevels | None:
        """Return torch's count of its memory; None where torch keeps none."""
        ...

    def reset_peaks(self) -> None:
        """Let the peaks of `levels` begin anew."""
        ...

    def take_requests(self) -> AllocatorRequests:
        """Return what was asked of the allocator, and let its peak begin anew.

        All of it is zero where torch does not count.
        """
        ...

    def fill(self) -> str:
        """Say how full it is, as ": 976 of 1000 MiB were in use"; "" where it does not tell."""
        ...

    def profiler_activities(self) -> Sequence[ProfilerActivity]:
        """Return what torch's profiler is to record."""
        ...

    def threads(self) -> int:
        """Return how many threads torch takes for the host's part of an op."""
        ...

    def computes_in(self, dtype: str) -> str:
        """Return what products of matrices of a dtype are computed in: as a rule, that dtype.

        Args:
            dtype: torch's name of it.
        """
        ...

    def emulates(self, dtype: str) -> bool:
        """Whether it has no arithmetic in a dtype, so that torch computes in another one.

        Args:
            dtype: torch's name of it.
        """
        ...

    @property
    def profiles_memory(self) -> bool:
        """Whether its allocations are counted by the profiler, and not by `take_requests`."""
        ...

    @property
    def profiler_device_type(self) -> int:
        """torch's number of its type, as a profile has it (c10::DeviceType)."""
        ...
