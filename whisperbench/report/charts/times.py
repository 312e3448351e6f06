"""Floor, GPU and wall: what a stage would take at least, what the GPU works, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10

from whisperbench.errors import printable
from whisperbench.report.charts.chart import (
    HOVER,
    Chart,
    Specification,
    Table,
    Values,
    category,
    coloured,
    hovering,
    quantity,
    shown,
    specified,
    titled,
)
from whisperbench.report.charts.theme import colour
from whisperbench.results.metric_row import STAGES, Stage
from whisperbench.results.passes import CostResult
from whisperbench.results.records import Measurement, executions, name_of
from whisperbench.units import format_figure

ROW = 30
"""Pixels of a stage of a precision."""

_MARKS = {"floor": ("fp32", "triangle-up"), "GPU": ("fp16", "square"), "wall": ("int8", "circle")}
"""The colour and the shape of each time."""


def times(name: str, place: str, rows: Sequence[Measurement]) -> Chart | None:
    """Draw the times of the cost pass, of cells of one place; None where there are none.

    Args:
        name: of the chart.
        place: the model, clip and batch size, for the title.
        rows: a cost each.
    """
    counted = [row for row in rows if isinstance(row.found, CostResult)]
    values = [each for row in counted for each in _values(row)]
    if not values:
        return None
    kinds = [kind for kind in _MARKS if any(each["kind"] == kind for each in values)]
    found = dict.fromkeys(str(each["row"]) for each in values)
    order = sorted(found, key=lambda row: not row.startswith(STAGES[0]))
    return Chart(
        name=name,
        title=titled("Floor, GPU and wall", place),
        alt=_alt(place, counted),
        specification=_specification(values, order, kinds),
        table=_table(counted),
        notes=(
            "The floor is the least time: each weight read once, or the arithmetic done, at the "
            "rates that this device was seen to reach.",
            *(("GPU is the time in which the GPU works.",) if "GPU" in kinds else ()),
            "Wall is the time without a profiler. The encoder is given 30 s of audio; decode is "
            "per token.",
        ),
    )


def _specification(
    values: Sequence[Values], order: Sequence[str], kinds: Sequence[str]
) -> Specification:
    spans = [float(each["ms"] or 0.0) for each in values]
    low, high = floor(log10(min(spans))), ceil(log10(max(spans)))
    x = quantity(
        "ms",
        "ms (each step of the axis is ten times the last)",
        scale={"type": "log", "domain": [10.0**low, 10.0 ** max(high, low + 1)]},
        axis={"format": "~g", "values": [10.0**each for each in range(low, high + 1)]},
    )
    y = category("row", order)
    shapes = {"domain": [*kinds], "range": [_MARKS[kind][1] for kind in kinds]}
    by_kind = coloured("kind", {kind: colour(_MARKS[kind][0]) for kind in kinds}, legend=True)
    return specified(
        {
            "layer": [
                {
                    "mark": {"type": "line", "color": colour("line"), "strokeWidth": 3},
                    "encoding": {"x": x, "y": y, "detail": {"field": "row"}},
                },
                {
                    "mark": {"type": "point", "size": 90},
                    "encoding": {
                        "x": x,
                        "y": y,
                        "color": by_kind,
                        "shape": {"field": "kind", "type": "nominal", "scale": shapes},
                        "description": hovering(),
                    },
                },
            ]
        },
        values,
        height=90 + ROW * len(order),
    )


def _parts(row: Measurement, stage: Stage) -> dict[str, float]:
    """Return the milliseconds of a stage, those that there are; of decoding for each token."""
    assert isinstance(row.found, CostResult)  # noqa: S101 - the caller has looked
    spent = row.found.times(stage)
    known = {"floor": spent.floor_ms, "GPU": spent.gpu_busy_ms, "wall": spent.wall_ms}
    each = executions(row.cell, stage)
    return {kind: ms / each for kind, ms in known.items() if ms is not None and ms > 0}


def _values(row: Measurement) -> Iterator[Values]:
    for stage in STAGES:
        label = f"{stage} {shown(row.cell.precision)}"
        for kind, ms in _parts(row, stage).items():
            said = f"{label}: {kind} {format_figure(ms)} ms"
            yield {"row": label, "kind": kind, "ms": ms, "hover": HOVER + said}


def _table(rows: Sequence[Measurement]) -> Table:
    made = []
    for stage in STAGES:
        for row in rows:
            parts = _parts(row, stage)
            texts = [format_figure(parts[kind]) if kind in parts else "" for kind in _MARKS]
            made.append((stage, printable(row.cell.precision), *texts))
    return Table(
        headings=("stage", "precision", "floor, ms", "GPU, ms", "wall, ms"), rows=tuple(made)
    )


def _alt(place: str, rows: Sequence[Measurement]) -> str:
    said = []
    for row in rows:
        parts = _parts(row, "decode")
        told = ", ".join(f"{kind} {format_figure(ms)} ms" for kind, ms in parts.items())
        said.append(f"{name_of(row.cell)}: {told}")
    return printable(
        f"For each precision and stage of {place}, the least time, the GPU's and the time taken. "
        f"A token decoded: {'; '.join(said)}."
    )
