"""The registry of backends: a row for each, and which one loads a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from whisperbench.whisper.backends.bitsandbytes import BitsAndBytes
from whisperbench.whisper.backends.plain import Plain

if TYPE_CHECKING:
    from whisperbench.asked.precisions import Precision
    from whisperbench.whisper.backends.backend import Backend

BACKENDS: dict[str, Backend] = {"transformers": Plain(), "bitsandbytes": BitsAndBytes()}
"""By the name that a precision has for it. That of one which checkpoints are saved by is the
`quant_method` of their quantization_config, too."""


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
