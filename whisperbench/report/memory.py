"""The memory part of a run's summary: a table a place in the matrix, and the ceilings."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table

from whisperbench.judge.limits import MEMORY, figures_of
from whisperbench.results.records import Measurement, Place, Run, name_of
from whisperbench.units import format_figure

_COLUMNS = (
    ("", "weights", "weight_mib"),
    ("", "context", "context_mib"),
    ("load", "process", "load_peak_process_mib"),
    ("load", "device", "load_peak_device_mib"),
    ("first", "process", "first_call_peak_process_mib"),
    ("steady", "tensors", "steady_call_peak_allocated_mib"),
    ("steady", "torch", "steady_call_peak_reserved_mib"),
    ("steady", "process", "steady_call_peak_process_mib"),
    ("steady", "device", "steady_call_peak_device_mib"),
    ("", "driver", "driver_reserved_mib"),
)
"""Phases, headings, and the metrics under them. A column that nothing was measured for is left
out; the first of a phase that is not says which phase it is."""

_LEGEND_OF_A_GPU = (
    "load, first and steady call: the peak of each. tensors, torch: what torch has allocated and",
    "reserved. process, device: by NVML, the device over idle. driver: what it keeps for itself.",
)


def memory_section(run: Run) -> Iterator[RenderableType]:
    """Yield the tables and lines of a run's memory benchmarks; nothing where it has none."""
    places: dict[Place, list[Measurement]] = {}
    for row in run.measurements:
        if row.stage == MEMORY:
            places.setdefault(row.cell.place, []).append(row)
    if not places:
        return
    for (model, clip, batch_size, attention), rows in places.items():
        yield (
            f"\nmemory, MiB: model {model}, clip {clip}, batch {batch_size}, attention {attention}"
        )
        yield _table(rows)
    measured = [row for rows in places.values() for row in rows]
    yield from _how_it_was_read(measured)
    yield from _ceilings(measured)


def _table(rows: list[Measurement]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="", padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("precision", no_wrap=True, vertical="bottom")
    found = [figures_of(row) for row in rows]
    columns = [column for column in _COLUMNS if any(column[2] in figures for figures in found)]
    last = ""
    for phase, heading, _metric in columns:
        above = phase if phase != last else ""
        last = phase
        table.add_column(f"{above}\n{heading}", justify="right", no_wrap=True, vertical="bottom")
    for row, figures in zip(rows, found, strict=True):
        texts = (
            format_figure(figures[metric]) if metric in figures else "" for *_, metric in columns
        )
        table.add_row(row.cell.precision, *texts)
    return table


def _how_it_was_read(rows: list[Measurement]) -> Iterator[str]:
    """Say which figure was judged, and how closely the probe looked."""
    for judged in dict.fromkeys(str(row.notes.get("judged", "unknown")) for row in rows):
        yield f"judged by: {judged}"
    gaps = [row.number("longest_gap_ms") for row in rows]
    intervals = [row.number("poll_interval_ms") for row in rows]
    yield (
        f"probe: polled every {max(intervals):.1f} ms, longest gap {max(gaps):.1f} ms, "
        f"{sum(row.number('polls') for row in rows):.0f} polls"
    )
    if all(row.cell.device == "cpu" for row in rows):
        yield "process: resident memory. load, first and steady call: the peak of each."
        return
    yield from _LEGEND_OF_A_GPU


def _ceilings(rows: list[Measurement]) -> Iterator[str]:
    """Name the verdicts, and the cells that have no ceiling; what is over one is a failure."""
    for row in rows:
        for verdict in row.verdicts:
            if verdict.verdict == "ok":
                yield f"ceiling ok: {name_of(row.cell)}: {verdict.sentence}"
            elif verdict.verdict == "missing":
                yield f"ceiling not judged: {verdict.sentence}"
    bare = [
        name_of(row.cell)
        for row in rows
        if not row.verdicts and row.metric("weight_mib") is not None  # without, it ran out
    ]
    if bare:
        yield f"no ceiling: {', '.join(dict.fromkeys(bare))} (whisperbench limits proposes some)"
