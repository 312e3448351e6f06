"""A fleet's table as text, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from whisperbench.report.fleet import Fleet, Row
from whisperbench.report.inert import inert
from whisperbench.results.records import Machine, unusual
from whisperbench.units import format_figure, format_seconds

WIDTH = 120
"""Columns of the table, which has a device key in each line."""

_HEADINGS = (
    *("model", "device", "precision", "p50", "× ref", "RTFx", "GPU ms", "MiB", "of card", "J/s"),
    *("WER", "limits"),
)


def _cells(row: Row) -> list[str]:
    """Write a row."""
    mark = "*" if row.fixed_tokens else ""
    return [
        f"{row.model}{unusual(row.batch_size, row.attention)}",
        row.device,
        row.precision,
        format_seconds(row.latency_s) if row.latency_s is not None else "",
        f"{row.latency_ratio:.2f}" if row.latency_ratio is not None else "",
        f"{format_figure(row.rtfx)}{mark}" if row.rtfx is not None else "",
        _text(row.gpu_time_ms),
        _text(row.peak_mib),
        f"{100 * row.peak_share:.1f} %" if row.peak_share is not None else "",
        _text(row.energy_j_per_audio_s),
        f"{100 * row.wer:.2f} %" if row.wer is not None else "",
        f"over: {', '.join(row.over_limit)}" if row.over_limit else "ok" if row.judged else "none",
    ]


def _text(value: float | None) -> str:
    return "" if value is None else format_figure(value)


def _shown(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells; a column that nothing was measured for is left out."""
    cells = [_cells(row) for row in rows]
    kept = [place for place in range(len(_HEADINGS)) if any(line[place] for line in cells)]
    return [_HEADINGS[place] for place in kept], [[line[place] for place in kept] for line in cells]


_LEGEND = (
    "p50 is the median time of a transcription; × ref is that time divided by the one of the",
    "run's reference precision on the same device. RTFx is seconds of audio transcribed in a",
    "second; * marks a fixed token count. GPU ms is the summed time of the kernels of the cost",
    "pass. MiB is the highest peak of the process; of card is its share of the card's memory.",
    "J/s is joules for a second of audio. The limits are those of suite.toml; over names what",
    "is over its limit, or out of memory.",
)


def _device(machine: Machine) -> str:
    driver = f", driver {machine.driver}" if machine.driver else ""
    return f"{machine.device_key}: {machine.device}, {machine.memory_mib / 1024:.0f} GiB{driver}"


def as_text(fleet: Fleet) -> str:
    """Write the table for a terminal."""
    out = StringIO()
    console = Console(
        file=out, width=WIDTH, color_system=None, highlight=False, emoji=False, markup=False
    )
    headings, lines = _shown(fleet.rows)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for place, heading in enumerate(headings):
        figures = heading not in ("model", "device", "precision", "limits")
        table.add_column(heading, justify="right" if figures else "left", no_wrap=place > 1)
    for row, line, after in zip(fleet.rows, lines, [*fleet.rows[1:], None], strict=True):
        ends = after is not None and (after.model, after.device) != (row.model, row.device)
        table.add_row(*line, end_section=ends)
    console.print(table)
    for said in (*_LEGEND, *map(_device, fleet.machines), *fleet.remarks):
        console.print(said, soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def as_markdown(fleet: Fleet) -> str:
    """Write the table for a page."""
    headings, lines = _shown(fleet.rows)
    table = [headings, ["---"] * len(headings), *([*map(inert, line)] for line in lines)]
    rows = [f"| {' | '.join(row)} |" for row in table]
    said = (*map(_device, fleet.machines), *fleet.remarks)
    return "\n".join([*rows, "", " ".join(_LEGEND), "", *(f"- {inert(line)}" for line in said)])


def as_json(fleet: Fleet) -> str:
    """Write all of it, for a program."""
    data = msgspec.json.encode(
        {
            "rows": fleet.rows,
            "machines": fleet.machines,
            "remarks": fleet.remarks,
        }
    )
    return msgspec.json.format(data, indent=1).decode()


FORMATS: dict[str, Callable[[Fleet], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "json": as_json,
}
"""What `whisperbench show A.json B.json --format` takes."""
