"""The memory of models: one resident at a time, given back before the next, or run out of."""

from __future__ import annotations

import gc
import inspect
import sys
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from whisperbench.errors import InvalidMeasurementError, OutOfMemoryError
from whisperbench.units import mib

if TYPE_CHECKING:
    from whisperbench.devices.accelerator import Accelerator

RELEASE_SLACK_MIB = 48.0
"""Growth of the allocator's level that is not a leak: cuBLAS keeps a workspace for each stream
once it has been used, 32 MiB on Hopper (PyTorch notes, "CUDA semantics: cuBLAS workspaces")."""


@contextmanager
def memory_errors(what: str, accelerator: Accelerator) -> Iterator[None]:
    """Turn running out of memory, on the device or the host, into one line that says so.

    Raises:
        OutOfMemoryError: the block ran out of memory.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        _clear_frames(error)  # they hold the tensors of the failed call
        host = (
            accelerator.on_host
            or isinstance(error, MemoryError)
            or "DefaultCPUAllocator" in str(error)
        )
        where = (
            "the host is out of memory"
            if host
            else f"out of memory on {accelerator.torch_device}{accelerator.fill()}"
        )
        raise OutOfMemoryError(
            f"{what}: {where}; try a smaller model, precision or --batch-size, or free some",
            on_host=host,
        ) from None


def is_out_of_memory(error: Exception) -> bool:
    """Tell running out of memory from other errors: torch has a class for it, and uses others."""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and any(
            words in str(error)
            for words in (
                "can't allocate memory",
                "Cannot allocate memory",  # the system's words, as of a file that does not map
                "out of memory",
                "_ALLOC_FAILED",
            )
        )
    )


class Allocator(Protocol):
    """What the cache needs of an accelerator: how many bytes of it are held by tensors."""

    def settle(self) -> None:
        """Free what nobody holds any more."""
        ...

    def allocated_bytes(self) -> int:
        """Return the bytes that live tensors hold."""
        ...


class Closable(Protocol):
    """A loaded model, as its cache needs to know it."""

    model: Any

    def close(self) -> None:
        """Let go of the model."""
        ...


Key = TypeVar("Key")
Loaded = TypeVar("Loaded", bound=Closable)


class ModelCache(Generic[Key, Loaded]):
    """Holds one loaded model at a time, and checks that the one before is really gone."""

    def __init__(self, load: Callable[[Key], Loaded], allocator: Allocator) -> None:
        self._load = load
        self._allocator = allocator
        self._key: Key | None = None
        self._loaded: Loaded | None = None
        self._idle_bytes: int | None = None
        self.used = False
        """Whether a model was loaded, or was to be, so that this process is on the device."""

    def get(self, key: Key) -> Loaded:
        """Return the model of a key; load it, after releasing another, unless it is resident.

        Raises:
            InvalidMeasurementError: the memory of an earlier model was not given back.
        """
        if self._loaded is not None and self._key == key:
            return self._loaded
        self.release()
        self.used = True
        try:
            self._loaded, self._key = self._load(key), key
        except Exception as error:
            # pytest keeps the error for the tests to come, and its frames hold loaded tensors.
            _clear_frames(error)
            raise
        return self._loaded

    def release(self) -> None:
        """Release the resident model, if any, and check the allocator's level.

        The level must be what it was before the first model, but for `RELEASE_SLACK_MIB`; it is
        checked again before each load, so a leak fails every measurement that it could spoil.

        Raises:
            InvalidMeasurementError: the model is alive, or the level is higher.
        """
        _forget_failures()
        alive = None
        if self._loaded is not None:
            _clear_finished_calls(self._loaded.model)
            alive = weakref.ref(self._loaded.model)
            self._loaded.close()
            self._loaded = None
        self._allocator.settle()
        level = self._allocator.allocated_bytes()
        if self._idle_bytes is None:
            self._idle_bytes = level
        grown = mib(level - self._idle_bytes)
        if (alive is not None and alive() is not None) or grown > RELEASE_SLACK_MIB:
            raise InvalidMeasurementError(
                f"the memory of the model before was not given back: {grown:.0f} MiB are still "
                f"allocated (after {self._key}); something keeps a reference to it, and what is "
                "measured beside it would not be comparable"
            )


def _clear_frames(error: BaseException | None) -> None:
    """Drop the local variables of an error's frames, and of the errors behind it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _clear_finished_calls(model: object) -> None:
    """Drop the local variables of calls that are over but whose frames still hold a model.

    An exception that some library caught and logged while the model was loaded keeps the whole
    call stack of that moment, for as long as pytest keeps the log record.
    """
    for holder in gc.get_referrers(model):
        if isinstance(holder, FrameType) and not holder.f_code.co_flags & inspect.CO_GENERATOR:
            with suppress(RuntimeError):  # a call that is not over
                holder.clear()


def _forget_failures() -> None:
    """Drop what Python and pytest keep of the last failed test: its frames hold tensors."""
    for name in ("last_exc", "last_value"):
        _clear_frames(getattr(sys, name, None))
    for name in ("last_exc", "last_value", "last_traceback", "last_type"):
        if hasattr(sys, name):
            delattr(sys, name)
