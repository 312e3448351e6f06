"""How fast a device is at best: measured, and the best kept beside the dummies in the cache."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from whisperbench.errors import InputError, one_line
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder
from whisperbench.results.run_file import write_whole

if TYPE_CHECKING:
    import torch

    from whisperbench.devices.accelerator import Accelerator

_REPEATS = 5
_COPY_BYTES = 2**28
_MATRIX_SIZE = 8192
_HOST_COPY_BYTES = 2**26
_HOST_MATRIX_SIZE = 2048


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What a device reaches in the two things that decoding is made of."""

    bytes_per_s: float
    """Of memory: a large copy, its reading and its writing counted."""
    operations_per_s: dict[str, float]
    """Of products of large square matrices, two operations a multiplication and addition, by
    dtype."""


def rates_of(accelerator: Accelerator, device_key: str, dtypes: tuple[str, ...]) -> Rates:
    """Measure the device's rates, and return the best that it was ever seen to reach.

    What else the machine does only slows it down, so the best of several counts, over all runs
    with the same device key, version of torch and number of threads.

    Args:
        accelerator: what is measured.
        device_key: names the file that they are kept in.
        dtypes: of matrices: float32, float16, bfloat16 or int8.

    Raises:
        InputError: the rates cannot be kept.
    """
    import torch

    version = torch.__version__.partition("+")[0]
    name = f"{device_key}-torch{version}-{torch.get_num_threads()}t.json"
    path = cache_folder() / "rates" / name
    known = _read(path)
    best = dict(known.operations_per_s)
    for dtype in dict.fromkeys(dtypes):
        # Where it is known, one more look says whether the machine has become faster.
        repeats = 1 if dtype in best else _REPEATS
        best[dtype] = max(best.get(dtype, 0.0), _matrix_rate(accelerator, dtype, repeats))
    rates = Rates(
        bytes_per_s=max(known.bytes_per_s, _copy_rate(accelerator)), operations_per_s=best
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent}: cannot be made: {one_line(error.strerror)}; set {CACHE_VARIABLE} to a "
            "folder that can be written"
        ) from error
    write_whole(path, msgspec.json.encode(rates))
    return rates


def _read(path: Path) -> Rates:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Rates)
    except (OSError, msgspec.DecodeError):
        return Rates(bytes_per_s=0.0, operations_per_s={})


def _copy_rate(accelerator: Accelerator) -> float:
    import torch

    size = _HOST_COPY_BYTES if accelerator.on_host else _COPY_BYTES
    source = torch.ones(size, dtype=torch.uint8, device=accelerator.torch_device)
    target = torch.empty_like(source)
    return 2 * size / _best_s(lambda: target.copy_(source), accelerator)


def _matrix_rate(accelerator: Accelerator, dtype: str, repeats: int) -> float:
    import torch

    size = _HOST_MATRIX_SIZE if accelerator.on_host else _MATRIX_SIZE
    kind: torch.dtype = getattr(torch, dtype)
    left = torch.ones(size, size, device=accelerator.torch_device).to(kind)
    right = left.t()

    def product() -> torch.Tensor:
        if kind == torch.int8:
            return torch._int_mm(left, right)  # noqa: SLF001 - torch has no other for int8
        return left @ right

    return 2 * float(size) ** 3 / _best_s(product, accelerator, repeats)


def _best_s(call: Callable[[], object], accelerator: Accelerator, repeats: int = _REPEATS) -> float:
    """Return the shortest of a few, after one that is not counted."""
    spent = []
    for _ in range(1 + repeats):
        accelerator.synchronize()
        started_s = time.perf_counter()
        call()
        accelerator.synchronize()
        spent.append(time.perf_counter() - started_s)
    return min(spent[1:])
