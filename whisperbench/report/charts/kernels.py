"""What the GPU's time goes into, by families of kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
    panels,
    quantity,
    shown,
    titled,
)
from whisperbench.report.charts.theme import colour
from whisperbench.results.families import OTHER, family_of
from whisperbench.results.metric_row import STAGES, Stage
from whisperbench.results.passes import CostResult
from whisperbench.results.records import Measurement, executions
from whisperbench.units import format_figure

ROW = 30
"""Pixels of a precision."""

COLOURS = {
    "matrix products": "fp16",
    "8-bit matrix products": "int8",
    "quantizing": "int8-t0",
    "attention": "bf16",
    "search and sort": "other-1",
    "norms and sums": "nf4",
    "moving data": "other-2",
    "element by element": "other-3",
    OTHER: "fp32",
}
"""Families in the order in which they are stacked, and the colour of each."""

_Times = Mapping[str, float]


def kernels(name: str, place: str, rows: Sequence[Measurement]) -> Chart | None:
    """Draw the GPU's time by families, of cells of one place; None where no kernel is known.

    Args:
        name: of the chart.
        place: the model, clip and batch size, for the title.
        rows: a cost each.
    """
    found = {
        (stage, row.cell.precision): times
        for stage in STAGES
        for row in rows
        if (times := _times(row, stage))
    }
    if not found:
        return None
    stages = list(dict.fromkeys(stage for stage, _ in found))
    families = [each for each in COLOURS if any(each in times for times in found.values())]
    values = list(_values(found, families))
    precisions = len({precision for _, precision in found})
    return Chart(
        name=name,
        title=titled("GPU time by kind of kernel", place),
        alt=_alt(place, found),
        specification=_specification(values, stages, families, precisions),
        table=_table(found, families),
        notes=(
            "A kernel's kind is told by its name. Decoding is for each token; the encoder is given "
            "30 s of audio.",
        ),
    )


def _times(row: Measurement, stage: Stage) -> dict[str, float]:
    """Return milliseconds by family; of decoding for each token."""
    summed: dict[str, float] = {}
    if isinstance(row.found, CostResult):
        each = executions(row.cell, stage)
        for part in row.found.parts:
            family = family_of(part)
            if family is not None and part.stage == stage and part.time_us > 0:
                summed[family] = summed.get(family, 0.0) + part.time_us / 1000 / each
    return summed


def _values(found: Mapping[tuple[Stage, str], _Times], families: Sequence[str]) -> Iterator[Values]:
    for (stage, precision), times in found.items():
        whole = sum(times.values())
        for at, family in enumerate(families):
            if family in times:
                ms = times[family]
                share = f"{family}: {format_figure(ms)} ms, {ms / whole:.0%}"
                said = f"{stage}, {shown(precision)}: {share}"
                yield {
                    "stage": stage,
                    "precision": shown(precision),
                    "family": family,
                    "ms": ms,
                    "at": at,
                    "hover": HOVER + said,
                }


def _specification(
    values: Sequence[Values], stages: Sequence[str], families: Sequence[str], precisions: int
) -> Specification:
    order = list(dict.fromkeys(str(each["precision"]) for each in values))
    by_family = coloured("family", {each: colour(COLOURS[each]) for each in families})
    bars = {
        "mark": {"type": "bar", "height": {"band": 0.72}},
        "encoding": {
            "x": quantity("ms", "ms", stack="zero"),
            "y": category("precision", order),
            "order": {"field": "at", "type": "quantitative"},
            "color": {**by_family, "legend": {"columns": 4, "symbolType": "square"}},
            "description": hovering(),
        },
    }
    return panels(bars, values, field="stage", order=stages, height=ROW * precisions, own="x")


def _table(found: Mapping[tuple[Stage, str], _Times], families: Sequence[str]) -> Table:
    rows = [
        (
            stage,
            printable(precision),
            format_figure(sum(times.values())),
            *(format_figure(times[each]) if each in times else "" for each in families),
        )
        for (stage, precision), times in found.items()
    ]
    return Table(headings=("stage", "precision", "all, ms", *families), rows=tuple(rows))


def _alt(place: str, found: Mapping[tuple[Stage, str], _Times]) -> str:
    said = []
    for (stage, precision), times in found.items():
        first = max(times, key=lambda family: times[family])
        whole = sum(times.values())
        said.append(
            f"{stage} in {precision} takes {format_figure(whole)} ms, of which {first} are "
            f"{times[first] / whole:.0%}"
        )
    return printable(f"A bar for each stage and precision of {place}: {'; '.join(said)}.")
