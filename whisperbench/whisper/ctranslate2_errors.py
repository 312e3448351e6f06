"""What CTranslate2 raises, as lines that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from whisperbench.errors import DeviceError, ModelError, one_line
from whisperbench.whisper.residency import is_out_of_memory


@contextmanager
def runtime_errors(what: str) -> Iterator[None]:
    """Turn what CTranslate2 raises into one line that says what to do.

    Args:
        what: was being done.

    Raises:
        DeviceError: the device does not run what it was asked for, or a library of CUDA is absent.
        ModelError: something else went wrong in it.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        said = one_line(error)
        if "cannot be loaded" in said or "CUDA driver version" in said:
            raise DeviceError(
                f"{what}: {said}; CTranslate2's wheels need the libraries of CUDA 12: install "
                "nvidia-cublas-cu12 and put its folder on LD_LIBRARY_PATH, or build CTranslate2 "
                "for the CUDA that is here"
            ) from error
        if "compute type" in said or "not compiled with CUDA" in said or "no CUDA-capable" in said:
            raise DeviceError(f"{what}: CTranslate2: {said}; name another precision") from error
        raise ModelError(f"{what}: CTranslate2: {said}") from error
