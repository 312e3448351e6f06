"""The memory part of a run's summary: a table a place in the matrix, and the limits."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table

from whisperbench.report.rows import Row, by_place, rows_of
from whisperbench.results.metric_row import PEAK_PHASES
from whisperbench.results.metrics import made_by
from whisperbench.results.passes import MemoryResult
from whisperbench.results.records import Run, name_of
from whisperbench.units import format_figure

_Row = Row[MemoryResult]

_PHASES = "load, first and steady are the peaks of loading, of the first call and of later calls."

_LEGEND_OF_A_GPU = (
    _PHASES,
    "tensors is what torch has allocated, and torch is what it has reserved. process and device",
    "are read through NVML; device is the growth over the idle device. driver is what the driver",
    "keeps for itself.",
)

_LEGEND_OF_A_CPU = (_PHASES, "The column process is the resident memory of the process.")


def memory_section(run: Run) -> Iterator[RenderableType]:
    """Yield the tables and lines of a run's memory benchmarks; nothing where it has none."""
    places = by_place(run, MemoryResult)
    if not places:
        return
    for (model, clip, batch_size, attention), rows in places.items():
        yield (
            f"\nmemory, MiB: model {model}, clip {clip}, batch {batch_size}, attention {attention}"
        )
        yield _table(rows)
    measured = rows_of(run, MemoryResult)
    yield from _how_it_was_read(measured)
    yield from _limits(measured)


def _table(rows: list[_Row]) -> Table:
    """Lay out peaks. A column that nothing was measured for is left out."""
    table = Table(box=box.SIMPLE_HEAD, header_style="", padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("precision", no_wrap=True, vertical="bottom")
    metrics = [
        each
        for each in made_by("memory")
        if "memory" in each.headings and any(row.value(each.name) is not None for row in rows)
    ]
    last = ""
    for each in metrics:
        phase = PEAK_PHASES.get(each.phase, "")
        above = phase if phase != last else ""
        last = phase
        heading = f"{above}\n{each.headings['memory']}"
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for row in rows:
        found = [row.value(each.name) for each in metrics]
        texts = ("" if value is None else format_figure(value) for value in found)
        table.add_row(row.cell.precision, *texts)
    return table


def _how_it_was_read(rows: list[_Row]) -> Iterator[str]:
    """Say which figure was judged, and how closely the probe looked."""
    for judged in dict.fromkeys(row.found.judged for row in rows):
        yield f"Limits are judged by the figure: {judged}."
    gaps = [row.found.longest_gap_ms for row in rows]
    intervals = [row.found.poll_interval_ms for row in rows]
    yield (
        f"The probe polled {sum(row.found.polls for row in rows)} times, every "
        f"{max(intervals):.1f} ms; its longest gap was {max(gaps):.1f} ms."
    )
    if all(row.value("peak_reserved_mib") is None for row in rows):  # torch keeps no count
        yield from _LEGEND_OF_A_CPU
        return
    yield from _LEGEND_OF_A_GPU


def _limits(rows: list[_Row]) -> Iterator[str]:
    """Name the verdicts, and the cells that have no limit; what is over one is a failure."""
    for row in rows:
        for verdict in row.measurement.verdicts:
            if verdict.verdict == "ok":
                yield f"limit ok: {name_of(row.cell)}: {verdict.sentence}"
            elif verdict.verdict == "missing":
                yield f"limit not judged: {verdict.sentence}"
    bare = [
        name_of(row.cell)
        for row in rows
        if not row.measurement.verdicts
        and row.value("weight_mib") is not None  # without, it ran out
    ]
    if bare:
        names = ", ".join(dict.fromkeys(bare))
        yield f"no limit: {names} (whisperbench limits --propose RUN.json writes some)"
