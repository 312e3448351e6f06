"""Which backend loads a checkpoint: each module of whisper/backends is one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, NamedTuple

from whisperbench.errors import DeviceError, ModelError, one_line
from whisperbench.whisper import backends

if TYPE_CHECKING:
    from whisperbench.asked.precisions import Precision
    from whisperbench.whisper.backend import Backend

BACKENDS: dict[str, Backend] = {
    module.name: import_module(f"{backends.__name__}.{module.name}").BACKEND
    for module in iter_modules(backends.__path__)
}
"""By the name of its module, which a precision calls it by."""


def installed(backend: Backend) -> list[str]:
    """Return the packages of a backend that are installed."""
    return [name for name in backend.packages if find_spec(name) is not None]


def require_installed(precision: Precision) -> None:
    """Refuse a precision whose backend's packages are not all installed.

    Raises:
        DeviceError: one is absent; it is named.
    """
    backend = BACKENDS[precision.backend]
    absent = [name for name in backend.packages if name not in installed(backend)]
    if absent:
        raise DeviceError(
            f"--precision {precision.name}: needs {', '.join(absent)}, which is not installed; "
            "install it, or name other precisions"
        )


def saved_by(saved: Mapping[str, Any]) -> Backend | None:
    """Return the backend that weights were saved quantized by; None of another library's."""
    method = method_of(saved)
    return next((each for each in BACKENDS.values() if each.saves_as == method), None)


class Chosen(NamedTuple):
    """What loads a checkpoint in a precision."""

    backend: Backend
    options: Mapping[str, Any]
    saved: bool
    """Whether the options are those that the checkpoint was saved with."""


def choose(precision: Precision, saved: Mapping[str, Any] | None) -> Chosen:
    """Return the backend of a precision, with its options.

    Args:
        precision: may be that of the checkpoint.
        saved: `quantization_config` of config.json; None of weights that are plain floats.

    Raises:
        ModelError: the weights were saved quantized by what is no backend here.
    """
    if precision.as_saved and saved is not None:
        backend = saved_by(saved)
        if backend is None:
            raise ModelError(f"weights saved quantized by {one_line(method_of(saved))}: no backend")
        return Chosen(backend, dict(saved), saved=True)
    return Chosen(BACKENDS[precision.backend], precision.options, saved=False)


def method_of(saved: Mapping[str, Any]) -> str:
    """Return the name of what quantized a checkpoint's weights: bitsandbytes where it says none."""
    return str(saved.get("quant_method") or "bitsandbytes")


def saved_bits(saved: Mapping[str, Any]) -> int | None:
    """Return what a checkpoint's quantized weights take; None where that is not known here."""
    backend = saved_by(saved)
    return backend.bits(saved) if backend is not None else None
