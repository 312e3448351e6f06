"""What ran of a cell, as it was found: its name only promises it."""

from __future__ import annotations

import msgspec

from whisperbench.results.scalars import Count, Line


class Ran(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What ran. What a pass did not look at, or a library does not show, is None."""

    weights: dict[Line, Count]
    """Bytes of the weights as loaded, by the name of their dtype."""
    computes_in: Line
    """The type that the layers multiply in, as the library has resolved it."""
    threads: Count | None = None
    """Of a library that does not take torch's threads: those that it was given, as many."""
    layers: dict[Line, Count] | None = None
    """How many linear layers there are, by their class and the dtype of their weights, as in
    "Linear8bitLt of int8"."""
    emulated: Line | None = None
    """The dtype that the device has no arithmetic of and emulates; None where it has."""
    compiled_graphs: Count | None = None
    """Graphs that torch.compile made for the model; None where it was not asked to make any."""
    compiled_calls: Count | None = None
    """How often what torch.compile has made was called; a graph that is not called ran eagerly."""
    attention: tuple[Line, ...] | None = None
    """Implementations of attention, by the names that measure/cost/seen.py gives them."""
    products: dict[Line, Count] | None = None
    """How often each op was seen that multiplies matrices."""
    kernels: dict[Line, Count] | None = None
    """How many of a GPU's kernels were seen of each family (results/families.py)."""
    graph_launches: Count | None = None
    """How often a CUDA graph was launched."""
