"""Which backend loads a checkpoint: each module of whisper/backends is one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, NamedTuple

from whisperbench.whisper import backends

if TYPE_CHECKING:
    from whisperbench.asked.precisions import Precision
    from whisperbench.whisper.backend import Backend

BACKENDS: dict[str, Backend] = {
    module.name: import_module(f"{backends.__name__}.{module.name}").BACKEND
    for module in iter_modules(backends.__path__)
}
"""By the name of its module, which a precision calls it by. That of one which checkpoints are saved
by is the `quant_method` of their quantization_config, too."""


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
    """
    if precision.as_saved and saved is not None:
        return Chosen(BACKENDS[method_of(saved)], dict(saved), saved=True)
    return Chosen(BACKENDS[precision.backend], precision.options, saved=False)


def method_of(saved: Mapping[str, Any]) -> str:
    """Return the name of what quantized a checkpoint's weights: bitsandbytes where it says none."""
    return str(saved.get("quant_method") or "bitsandbytes")


def saved_bits(saved: Mapping[str, Any]) -> int | None:
    """Return what a checkpoint's quantized weights take; None where that is not known here."""
    backend = BACKENDS.get(method_of(saved))
    return backend.bits(saved) if backend is not None else None
