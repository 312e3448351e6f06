"""What must be true of what ran, by what its row names: as data, and held against it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from whisperbench.results.ran import Ran
from whisperbench.units import counted


@dataclass(frozen=True, kw_only=True)
class Layers:
    """What must be true of each linear layer that a precision is of."""

    name: str
    """Name of their class."""
    dtype: str
    """torch dtype of their weights."""
    bits: int
    """That a weight takes."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Attributes of each layer, by their path from it, and their values; dtypes by torch's name."""
    left_out: frozenset[str] = frozenset()
    """Names, or ends of names, of linear layers that stay as they were."""


@dataclass(frozen=True, kw_only=True)
class Must:
    """What must be true of a model that a backend has loaded, and of what it then does.

    What is left empty may be anything. What a pass has not looked at is not held against it.
    """

    layers: Layers | None = None
    """None of a library that does not show its layers."""
    holds: tuple[str, ...] = ()
    """dtypes that weights are held in: there must be bytes of each."""
    computes_in: tuple[str, ...] = ()
    """Types that the layers may multiply in."""
    products: str = ""
    """Pattern of how the names of ops begin, one of which multiplies in each layer that `layers` is
    on."""
    never: Mapping[str, str] = field(default_factory=dict)
    """Such patterns of ops that multiply otherwise, and what it means that one ran."""
    kernels: tuple[str, ...] = ()
    """Families of a GPU's kernels, of each of which some must have run."""
    may_be_emulated: bool = False
    """Whether the device may emulate the dtype: as a CPU does, whose times nobody takes for a
    GPU's."""
    compiled: bool = False
    """Whether torch.compile must have made graphs, and these must have run."""


FUSED = ("flash", "flash on a CPU", "efficient", "cudnn", "fused")
"""Implementations of attention that torch's scaled_dot_product_attention chooses from, but for the
one that is made of plain products and is none of the names."""

ATTENTION: Mapping[str, tuple[str, ...]] = {
    "sdpa": FUSED,
    "eager": ("eager",),
    "flash_attention_2": ("flash-attn",),
}
"""By what `--attention` names: the implementations that it stands for."""


def departures(must: Must, attention: str, ran: Ran) -> Iterator[str]:
    """Say what is not as it must be, and what ran instead; nothing of a cell that is as named.

    Args:
        must: of the backend, or of the row.
        attention: as `--attention` names it.
        ran: what ran, as far as it was looked at.
    """
    held = ", ".join(ran.weights) or "nothing"
    for dtype in must.holds:
        if not ran.weights.get(dtype):
            yield f"no weights are held in {dtype}: they are held in {held}"
    if must.computes_in and ran.computes_in not in must.computes_in:
        yield f"its layers multiply in {ran.computes_in}, not in {' or '.join(must.computes_in)}"
    if ran.emulated is not None and not must.may_be_emulated:
        yield f"the device has no arithmetic in {ran.emulated} and emulates it"
    if must.compiled and ran.compiled_graphs == 0:
        yield "torch.compile made no graph, so it ran eagerly"
    elif must.compiled and ran.compiled_calls == 0:
        yield "what torch.compile made was never called, so it ran eagerly"
    if ran.attention is not None and (allowed := ATTENTION.get(attention)):
        if must.compiled and attention == "eager":
            allowed = (*allowed, "math")  # by its kernels a compiled graph's eager is the same
        others = [name for name in ran.attention if name not in allowed]
        if others or not ran.attention:
            instead = ", ".join(others) or "no attention that is known"
            yield f"attention ran as {instead}, which is not what {attention} stands for"
    yield from _of_products(must, ran)
    if ran.kernels is not None:
        for family in must.kernels:
            if not ran.kernels.get(family):
                seen = ", ".join(ran.kernels) or "none"
                yield f"no kernel of the family {family} ran; those that did are {seen}"


def _of_products(must: Must, ran: Ran) -> Iterator[str]:
    if ran.products is None:
        return
    for pattern, meaning in must.never.items():
        if any(re.match(pattern, name) for name in ran.products):
            yield meaning
    if not must.products:
        return
    found = sum(n for name, n in ran.products.items() if re.match(must.products, name))
    least = _quantized(must, ran)
    if found < least:
        seen = ", ".join(f"{n} {name}" for name, n in ran.products.items()) or "none"
        yield f"{counted(least, 'layer')} multiplied by {counted(found, 'op')} of its kind: {seen}"


def _quantized(must: Must, ran: Ran) -> int:
    """Return how many layers the row is on; 1 where the library does not show them."""
    if must.layers is None or ran.layers is None:
        return 1
    return ran.layers.get(f"{must.layers.name} of {must.layers.dtype}", 0)
