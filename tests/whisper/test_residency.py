"""Models in memory: one at a time, given back, and what happens when there is too little."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.cuda import CudaAccelerator
from whisperbench.errors import InvalidMeasurementError, OutOfMemoryError
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.loading import LoadedModel, load_model
from whisperbench.whisper.residency import (
    RELEASE_SLACK_MIB,
    ModelCache,
    memory_errors,
)

MIB = 2**20


class FakeAllocator:
    """An allocator whose level the test sets."""

    def __init__(self) -> None:
        self.level = 0
        self.settled = 0

    def settle(self) -> None:
        """Count the calls."""
        self.settled += 1

    def allocated_bytes(self) -> int:
        """Return the level."""
        return self.level


class FakeModel:
    """Weights that raise the allocator's level until they are closed."""

    def __init__(self, allocator: FakeAllocator, size: int, leak: int = 0) -> None:
        self.model: Any = type("Weights", (), {})()
        self._allocator = allocator
        self._size, self._leak = size, leak
        allocator.level += size

    def close(self) -> None:
        """Give back all but the leak."""
        del self.model
        self._allocator.level -= self._size - self._leak


def test_a_checkpoint_is_loaded_once_while_it_is_resident() -> None:
    """Asking again for the resident key loads nothing; another key replaces it."""
    allocator, loads = FakeAllocator(), []

    def load(key: str) -> FakeModel:
        loads.append((key, allocator.level))
        return FakeModel(allocator, 100 * MIB)

    cache = ModelCache(load, allocator)
    first = cache.get("fp16")
    assert cache.get("fp16") is first
    cache.get("int8")
    cache.release()
    assert loads == [("fp16", 0), ("int8", 0)], "two models were resident at once"
    assert allocator.settled == 3, "the level was read before what is unused was freed"
    assert allocator.level == 0


def test_a_leak_fails_loudly_and_keeps_failing() -> None:
    """Memory that is not given back fails the release, and every load after it."""
    allocator = FakeAllocator()
    cache: ModelCache[str, FakeModel] = ModelCache(
        lambda _key: FakeModel(allocator, 100 * MIB, leak=60 * MIB), allocator
    )
    cache.get("fp16")
    with pytest.raises(InvalidMeasurementError, match="60 MiB are still allocated"):
        cache.release()
    with pytest.raises(InvalidMeasurementError, match="60 MiB"):
        cache.get("int8")
    allocator.level = 0
    cache.get("int8")


def test_a_library_workspace_is_not_a_leak() -> None:
    """A level within the slack, which libraries keep for themselves, passes."""
    allocator = FakeAllocator()
    leak = int(RELEASE_SLACK_MIB * MIB)
    cache: ModelCache[str, FakeModel] = ModelCache(
        lambda _key: FakeModel(allocator, 100 * MIB, leak=leak), allocator
    )
    cache.get("fp16")
    cache.release()


def test_a_model_that_somebody_holds_is_a_leak_however_small() -> None:
    """A reference to the model itself fails the release, whatever the allocator says."""
    allocator = FakeAllocator()
    cache: ModelCache[str, FakeModel] = ModelCache(lambda _key: FakeModel(allocator, 0), allocator)
    held = cache.get("fp16").model
    with pytest.raises(InvalidMeasurementError, match="not given back"):
        cache.release()
    del held


def test_a_failed_load_is_not_resident() -> None:
    """After a load that raised, the next one starts from nothing."""
    allocator = FakeAllocator()

    def load(key: str) -> FakeModel:
        if key == "bad":
            raise OutOfMemoryError("too large")
        return FakeModel(allocator, MIB)

    cache = ModelCache(load, allocator)
    cache.get("good")
    with pytest.raises(OutOfMemoryError):
        cache.get("bad")
    assert allocator.level == 0
    cache.get("good")


def _load(dummy: Checkpoint, precision: str) -> LoadedModel:
    key = CheckpointKey(model=dummy.spec, precision=PRECISIONS[precision], attention="sdpa")
    return load_model(dummy, key, CpuAccelerator())


def test_real_models_come_and_go(dummy_tiny: Checkpoint) -> None:
    """fp32, int8 and nf4 models on the CPU give back all of their tensors."""
    allocator = CpuAccelerator()
    cache: ModelCache[str, LoadedModel] = ModelCache(
        lambda name: _load(dummy_tiny, name), allocator
    )
    cache.release()
    idle = allocator.allocated_bytes()
    for name in ("fp32", "int8", "nf4"):
        loaded = cache.get(name)
        assert allocator.allocated_bytes() - idle >= sum(loaded.weights_by_dtype.values()) * 0.99
        del loaded
        cache.release()
        assert allocator.allocated_bytes() - idle < MIB


def test_a_real_tensor_that_is_kept_is_found(dummy_tiny: Checkpoint) -> None:
    """A weight that somebody keeps, without the model, is seen by the CPU's allocator."""
    cache: ModelCache[str, LoadedModel] = ModelCache(
        lambda name: _load(dummy_tiny, name), CpuAccelerator()
    )
    kept = cache.get("fp32").model.get_input_embeddings().weight
    with pytest.raises(InvalidMeasurementError, match="76 MiB are still allocated"):
        cache.release()
    del kept
    cache.release()


def test_a_failed_call_does_not_keep_the_model(dummy_tiny: Checkpoint) -> None:
    """An exception that pytest keeps, raised deep inside the model, does not keep its weights."""
    import sys

    cache: ModelCache[str, LoadedModel] = ModelCache(
        lambda name: _load(dummy_tiny, name), CpuAccelerator()
    )
    try:
        cache.get("fp32").model(input_features=torch.zeros(1, 3, 3))
    except Exception as error:  # noqa: BLE001 - whichever it is
        sys.last_exc = error  # type: ignore[attr-defined, unused-ignore]
        sys.last_value = error
    cache.release()


def test_a_logged_exception_does_not_keep_the_model(dummy_tiny: Checkpoint) -> None:
    """Frames of the load that some library's logged exception keeps alive are emptied."""
    kept: list[BaseException] = []

    def load(name: str) -> LoadedModel:
        loaded = _load(dummy_tiny, name)
        model = loaded.model  # as a local variable of the frame that the traceback keeps
        try:
            raise ValueError(f"caught and logged by {type(model).__name__}")
        except ValueError as error:
            kept.append(error)
        return loaded

    cache = ModelCache(load, CpuAccelerator())
    cache.get("int8")
    cache.release()
    assert kept[0].__traceback__ is not None


def test_the_hosts_out_of_memory_says_what_to_do() -> None:
    """Too large a tensor on the CPU, which torch reports its own way, is one line with the remedy.

    So is too large a Python object.
    """
    line = "loading: the host is out of memory; try a smaller model"
    with pytest.raises(OutOfMemoryError, match=line), memory_errors("loading", CpuAccelerator()):
        torch.empty(10**15)
    with (
        pytest.raises(OutOfMemoryError, match=line),
        memory_errors("loading", CudaAccelerator("cuda:0")),
    ):
        bytearray(10**15)


def test_other_errors_stay_what_they_are() -> None:
    """Only running out of memory is translated."""
    with pytest.raises(RuntimeError, match="shape"), memory_errors("loading", CpuAccelerator()):
        torch.zeros(2, 3) @ torch.zeros(2, 3)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_device_out_of_memory_says_how_much_was_in_use(
    monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    """The card's out of memory, in each of its forms, names the card's fill and the remedy."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (24 * MIB, 1000 * MIB))
    with (
        pytest.raises(OutOfMemoryError, match="976 of 1000 MiB were in use; try a smaller"),
        memory_errors("loading", CudaAccelerator("cuda:0")),
    ):
        raise error


def test_a_card_that_does_not_answer_is_still_out_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where even asking for its fill fails, the line leaves that out."""

    def fails(_device: str) -> None:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "mem_get_info", fails)
    with (
        pytest.raises(OutOfMemoryError, match="out of memory on cuda:0; try"),
        memory_errors("loading", CudaAccelerator("cuda:0")),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory.")
