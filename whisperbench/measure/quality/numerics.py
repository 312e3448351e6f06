"""How far a precision computes from 32-bit floats: the same tokens forced through both.

A broken kernel, a wrong scale or a layer that should not have been quantized shows here without any
transcript, and so on random weights too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from whisperbench.errors import InvalidMeasurementError, NotOfferedError
from whisperbench.results.passes import NumericsResult

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from whisperbench.results.ran import Ran
    from whisperbench.whisper.transcriber import Transcriber

REFERENCE = "fp32"
"""The precision that others are held against."""

ANY_TEXT = "The library opens at nine in the morning and closes at seven."
"""Whose tokens are forced where nobody wrote down what a clip says: any that are fixed will do."""

MOST_TOKENS = 64
"""Of a clip's text that are forced."""


@dataclass(frozen=True, kw_only=True)
class Forced:
    """What a model made of a clip's first window and of given tokens.

    In arrays: a tensor that outlives its model would be taken for memory that it did not give back.
    """

    logits: NDArray[np.float32]
    """float32 of shape (tokens, vocabulary)."""
    layers: dict[str, NDArray[np.float32]]
    """The hidden states after each layer, by its name, of shape (frames or tokens, width); empty
    where layers cannot be looked into."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far one is from another."""

    logit_error: float
    """The norm of the difference of all logits over the norm of the reference's."""
    top1_agreement: float
    """Share of the tokens after which both find the same one the likeliest."""
    worst_layer: str | None
    worst_layer_error: float | None
    """The same of the hidden states after the layer where it is largest; None where the model's
    layers cannot be looked into."""
    ran: Ran | None = None
    """What ran, where it was looked at."""

    @property
    def values(self) -> dict[str, float]:
        """These by the names of their metrics."""
        found = {"logit_error": self.logit_error, "top1_agreement": self.top1_agreement}
        if self.worst_layer_error is not None:
            found["worst_layer_error"] = self.worst_layer_error
        return found

    @property
    def found(self) -> NumericsResult:
        """What a result has beside them."""
        return NumericsResult(worst_layer=self.worst_layer, ran=self.ran)


def force(transcriber: Transcriber) -> Forced:
    """Put the first window of a clip and the first tokens of its text through a model.

    Raises:
        InvalidMeasurementError: its logits are not finite.
    """
    import torch

    # Whisper begins a text with a space.
    text = f" {(transcriber.audio.clip.text or ANY_TEXT).strip()}"
    prompt = transcriber.prompt()[:1]
    ids = torch.tensor([transcriber.token_ids(text)[:MOST_TOKENS]], device=prompt.device)
    whole = transcriber.front_end()
    features = replace(whole, mel=whole.mel[:1], mask=whole.mask[:1])
    layers: Mapping[str, torch.nn.Module] = {}
    with suppress(NotOfferedError):
        layers = transcriber.layers()
    with _hidden_states(layers) as states:
        logits = transcriber.logits_of(features, torch.cat([prompt, ids], dim=1))
    if not bool(torch.isfinite(logits).all()):
        raise InvalidMeasurementError(
            f"{transcriber.loaded.key.id}: the logits are not finite; the precision overflows, or "
            "a kernel is broken on this device"
        )
    return Forced(logits=_array(logits), layers=states)


@contextmanager
def _hidden_states(
    layers: Mapping[str, torch.nn.Module],
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Keep what each of these modules makes, by its name."""
    found: dict[str, NDArray[np.float32]] = {}
    hooks = []

    def keep(name: str, _module: Any, _inputs: Any, output: Any) -> None:
        found[name] = _array(output[0] if isinstance(output, tuple) else output)

    for name, module in layers.items():
        hooks.append(module.register_forward_hook(partial(keep, name)))
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def difference(found: Forced, reference: Forced) -> Difference:
    """Hold what a precision made against what 32-bit floats made of the same."""
    errors = {
        name: _relative(states, reference.layers[name]) for name, states in found.layers.items()
    }
    worst = max(errors, key=lambda name: errors[name], default=None)
    agreeing = found.logits.argmax(-1) == reference.logits.argmax(-1)
    return Difference(
        logit_error=_relative(found.logits, reference.logits),
        top1_agreement=float(agreeing.mean()),
        worst_layer=worst,
        worst_layer_error=errors[worst] if worst is not None else None,
    )


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    """Take the first of a batch to the host."""
    array: NDArray[np.float32] = tensor[0].float().cpu().numpy()
    return array


def _relative(found: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Return the norm of the difference over the norm of the reference, in double precision."""
    expected = reference.astype("float64")
    return float(((found - expected) ** 2).sum() ** 0.5 / (expected**2).sum() ** 0.5)
