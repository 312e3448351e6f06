"""The soak's part of a run's summary: a table a place in the matrix, and the limits."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table

from whisperbench.report.rows import Row, by_place, rows_of
from whisperbench.results.metrics import made_by
from whisperbench.results.passes import SoakResult
from whisperbench.results.records import Run, name_of
from whisperbench.units import format_figure

_Row = Row[SoakResult]

_COLUMNS = {
    "malloc": "malloc is what the C library's malloc has given out and not got back.",
    "host": "host is the process's memory on the host, without what malloc keeps free.",
    "tensors": "tensors is what torch has allocated on the device.",
    "torch": "torch is what it has reserved there.",
    "process": "process is the process's memory on the device.",
    "device": "device is the growth of the device's memory.",
}
"""What each column holds, by its heading."""


def soak_section(run: Run) -> Iterator[RenderableType]:
    """Yield the tables and lines of a run's soaks; nothing where it has none."""
    places = by_place(run, SoakResult)
    headings: set[str] = set()
    for (model, clip, batch_size, attention), rows in places.items():
        yield (
            f"\nsoak, growth of memory in KiB a call: model {model}, clip {clip}, batch "
            f"{batch_size}, attention {attention}"
        )
        table, shown = _table(rows)
        headings |= shown
        yield table
    if places:
        yield from _legend(rows_of(run, SoakResult), headings)
        yield from _limits(rows_of(run, SoakResult))


def _table(rows: list[_Row]) -> tuple[Table, set[str]]:
    """Lay out slopes, and name the columns. One that nothing was measured for is left out."""
    table = Table(box=box.SIMPLE_HEAD, header_style="", padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("precision", no_wrap=True)
    table.add_column("calls", justify="right", no_wrap=True)
    metrics = [
        each
        for each in made_by("soak")
        if any(row.value(each.name) is not None for row in rows) and not each.derived
    ]
    for each in metrics:
        table.add_column(each.headings["soak"], justify="right", no_wrap=True)
    for row in rows:
        texts = (_with_bounds(row, each.name) for each in metrics)
        table.add_row(row.cell.precision, str(row.found.calls), *texts)
    return table, {each.headings["soak"] for each in metrics}


def _with_bounds(row: _Row, metric: str) -> str:
    """Write a figure and how far its bounds lie from it, at most."""
    value = row.value(metric)
    if value is None:
        return ""
    own = next((each for each in row.found.creeps if each.metric == metric), None)
    if own is None:
        return format_figure(value)
    return f"{format_figure(value)} ±{format_figure(max(own.high - value, value - own.low))}"


def _legend(rows: list[_Row], headings: set[str]) -> Iterator[str]:
    """Say what the columns hold, and what could not be read."""
    yield " ".join(text for heading, text in _COLUMNS.items() if heading in headings)
    clocks = " or ".join(dict.fromkeys(row.found.clock for row in rows))
    yield (
        f"drift is how many times as long ({clocks}) a call takes at the end as at the beginning. "
        f"The first {max(row.found.left_out for row in rows)} calls count for neither."
    )
    yield from dict.fromkeys(row.found.not_told for row in rows if row.found.not_told is not None)


def _limits(rows: list[_Row]) -> Iterator[str]:
    """Name the verdicts; what is over a limit is a failure, which is told of with the others."""
    for row in rows:
        for verdict in row.measurement.verdicts:
            if verdict.verdict == "ok":
                yield f"limit ok: {name_of(row.cell)}: {verdict.sentence}"
            elif verdict.verdict == "missing":
                yield f"limit not judged: {verdict.sentence}"
