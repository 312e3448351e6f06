"""The part of a run's summary on what ran: what the passes found in memory and in profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from rich import box
from rich.console import RenderableType
from rich.table import Table

from whisperbench.errors import printable
from whisperbench.results.ran import Ran
from whisperbench.results.records import Run, unusual
from whisperbench.units import counted, format_figure, mib

_LEGEND = (
    "What ran was read from the model in memory, in every pass, and from the cost pass's profile.",
    "Where that is not what the name of the precision stands for, the cell is invalid.",
)

_COLUMNS = ("precision", "weights, MiB", "linear layers", "multiplied in", "attention", "products")

_WRAPPERS = ("aten::linear", "aten::matmul")
"""Ops that hand the product on to another one, which is counted, too."""

_COUNTS = ("products", "kernels", "graph_launches", "compiled_calls")
"""Fields of `Ran` that differ from pass to pass: they are of as many tokens as it decodes."""

MOST_PRODUCTS = 2
"""Kinds of products that a row shows."""


def what_ran_section(run: Run) -> Iterator[RenderableType]:
    """Yield a table for each model and its lines; nothing of files that do not say what ran."""
    models: dict[str, dict[str, list[Ran]]] = {}
    for row in run.measurements:
        if row.found.ran is not None:
            name = f"{row.cell.precision}{unusual(1, row.cell.attention)}"
            models.setdefault(row.cell.model, {}).setdefault(name, []).append(row.found.ran)
    for model, precisions in models.items():
        yield f"\nwhat ran: model {printable(model)}"
        table = Table(box=box.SIMPLE_HEAD, header_style="", padding=(0, 1, 0, 0), pad_edge=False)
        cells = [
            ([name], *_cells(ran)) for name, found in precisions.items() for ran in _joined(found)
        ]
        # Where no cost was counted, nobody has looked at attention and at products.
        shown = [place for place in range(len(_COLUMNS)) if any(cell[place] for cell in cells)]
        for place in shown:
            table.add_column(_COLUMNS[place], overflow="fold")
        for cell in cells:
            table.add_row(*("\n".join(map(printable, cell[place])) for place in shown))
        yield table
    if models:
        yield from _LEGEND


def in_words(found: Sequence[Ran]) -> str:
    """Say in a few words what ran, as far as the passes of a precision agree; else nothing."""
    rows = _joined(found)
    if len(rows) != 1:
        return ""
    (ran,) = rows
    held = sorted(ran.weights, key=lambda dtype: -ran.weights[dtype])[:2]
    # How many graphs were launched is a matter of how many tokens were counted.
    computes = ", ".join(_computes(msgspec.structs.replace(ran, graph_launches=None)))
    kernels = ", ".join(ran.attention or ())
    return "; ".join(
        filter(
            None,
            (f"{' and '.join(held)} weights" if held else "", f"in {computes}", kernels),
        )
    )


def _joined(found: Sequence[Ran]) -> list[Ran]:
    """Join what the passes of one precision found: as few rows as say all of it."""
    rows: list[Ran] = []
    for ran in found:
        for place, other in enumerate(rows):
            if (joined := _join(other, ran)) is not None:
                rows[place] = joined
                break
        else:
            rows.append(ran)
    return rows


def _join(one: Ran, two: Ran) -> Ran | None:
    """Return what two passes found together; None where they contradict each other."""
    told: dict[str, object] = {}
    for name in _COUNTS:
        told[name] = getattr(one, name) if getattr(one, name) is not None else getattr(two, name)
    # A pass has as many as the numbers of threads that it compiles for. None of it is not hidden.
    graphs = [each for each in (one.compiled_graphs, two.compiled_graphs) if each is not None]
    told["compiled_graphs"] = min(graphs, default=None)
    for name in set(Ran.__struct_fields__) - set(told):
        first, second = getattr(one, name), getattr(two, name)
        if first is not None and second is not None and first != second:
            return None
        told[name] = first if first is not None else second
    return msgspec.convert(told, Ran)


def _cells(ran: Ran) -> tuple[list[str], ...]:
    """Write what stands under the columns but the first, line by line."""
    weights = sorted(ran.weights.items(), key=lambda item: -item[1])
    return (
        [f"{format_figure(mib(size))} {dtype}" for dtype, size in weights],
        _counts(ran.layers or {}),
        _computes(ran),
        [*(ran.attention or ())],
        _counts(_products(ran)),
    )


def _computes(ran: Ran) -> list[str]:
    computes = [ran.computes_in]
    if ran.emulated is not None:
        computes.append("emulated")
    if ran.compiled_graphs is not None:
        computes.append("compiled" if ran.compiled_graphs else "not compiled")
    if ran.graph_launches:
        computes.append(counted(ran.graph_launches, "launched CUDA graph"))
    return computes


def _counts(found: Mapping[str, int]) -> list[str]:
    return [f"{count} {name}" for name, count in found.items()]


def _is_within(name: str) -> bool:
    """Whether an op is part of another library's, which is counted, too."""
    return " in " in name and not name.endswith("a compiled graph")


def _products(ran: Ran) -> dict[str, int]:
    """Return products, the most frequent first: of a GPU families of kernels, of a CPU ops.

    Ops of libraries come before torch's, and are named without their library.
    """
    if ran.kernels:
        found = {name: n for name, n in ran.kernels.items() if name.endswith("matrix products")}
    else:
        found = {
            name: n
            for name, n in (ran.products or {}).items()
            if name not in _WRAPPERS and "::" in name and not _is_within(name)
        }
    ordered = sorted(found, key=lambda name: name.startswith("aten::"))
    return {name.partition("::")[2] or name: found[name] for name in ordered[:MOST_PRODUCTS]}
