"""Every round of every process: how far each lies from the middle of its benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from whisperbench.errors import printable
from whisperbench.report.charts.chart import (
    HOVER,
    Chart,
    Specification,
    Table,
    Values,
    at_zero,
    category,
    coloured,
    hovering,
    quantity,
    specified,
    told_apart,
)
from whisperbench.report.charts.theme import colour
from whisperbench.results.records import Cell, Measurement, Run, name_of
from whisperbench.units import counted, format_seconds

MOST_ROWS = 20
"""Benchmarks that are drawn; the table has all of them."""

MOST_TICKS = 400
"""Rounds that are drawn, all in all: a tick takes 200 bytes."""

ROW = 34
"""Pixels of a benchmark."""

_FAR = 3.0
"""Times the middle beyond which a round stands at the edge: one of them would press all others
together."""

_Key = tuple[str, Cell]


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process that was timed."""

    side: str
    """"base" or "head", or "run" where there is but one."""
    name: str
    """What to call it, such as "pair 3"; empty where its side says it."""
    run: Run


@dataclass(frozen=True)
class _Round:
    side: str
    said: str
    seconds: float


def rounds(name: str, processes: Sequence[Process]) -> Chart | None:
    """Draw the rounds of all timed benchmarks; None where there is none.

    Of a baseline, which keeps no rounds, the figure of each of its processes is drawn.
    """
    found: dict[_Key, list[_Round]] = {}
    for process in processes:
        for row in process.run.measurements:
            for each in _rounds_of(process, row):
                found.setdefault((row.benchmark, row.cell), []).append(each)
    if not found:
        return None
    order = sorted(found, key=lambda key: key[0] != "transcribe")
    drawn = order[:MOST_ROWS]
    names = _names(drawn)
    sides = list(dict.fromkeys(process.side for process in processes))
    values = [each for key in drawn for each in _values(names[key], found[key], len(drawn))]
    return Chart(
        name=name,
        title="Time of each round, against the middle of its benchmark",
        alt=_alt(found, len(processes)),
        specification=_specification(values, sides, len(drawn)),
        table=_table(order, found),
        notes=tuple(_notes(len(order), len(drawn), values, found)),
    )


def _specification(values: Sequence[Values], sides: Sequence[str], rows: int) -> Specification:
    low, high = _range(values)
    alone = len(sides) == 1
    colours = {side: colour("int8" if side == "head" else "fp16") for side in sides}
    return specified(
        {
            "layer": [
                at_zero("x"),
                {
                    "mark": {
                        "type": "tick",
                        "thickness": 2,
                        "opacity": 0.75,
                        "size": 18 if alone else 13,
                    },
                    "encoding": {
                        "x": quantity(
                            "percent",
                            "over or under the middle of the benchmark, %",
                            scale={"domain": [low, high], "nice": False},
                        ),
                        "y": category("row"),
                        **({} if alone else {"yOffset": category("side", sides)}),
                        "color": coloured("side", colours, legend=not alone),
                        "description": hovering(),
                    },
                },
            ]
        },
        values,
        height=70 + ROW * rows,
    )


def _rounds_of(process: Process, row: Measurement) -> Iterator[_Round]:
    metric = row.metric("latency_s")
    if metric is None:
        return
    of_processes = metric.processes is not None
    what = "process" if of_processes else "round"
    before = f"{process.name}, " if process.name else ""
    for number, seconds in enumerate(metric.samples or metric.figures, start=1):
        yield _Round(process.side, f"{process.side}, {before}{what} {number}", seconds)


def _names(keys: Sequence[_Key]) -> dict[_Key, str]:
    """Name each benchmark as shortly as tells them apart."""
    models = {cell.model for _, cell in keys}
    found = []
    for benchmark, cell in keys:
        short = f"{benchmark} {cell.precision}"
        whole = f"{benchmark} {name_of(cell)}"
        found.append([*([short] if len(models) == 1 else []), whole, f"{whole}, {cell.clip}"])
    return dict(zip(keys, told_apart(found), strict=True))


def _values(row: str, found: Sequence[_Round], rows: int) -> Iterator[Values]:
    middle = median(each.seconds for each in found)
    room = max(2, MOST_TICKS // rows)
    kept = sorted(found, key=lambda each: each.seconds)
    if len(kept) > room:  # the least, the most, and evenly of those between
        kept = [kept[round(at * (len(kept) - 1) / (room - 1))] for at in range(room)]
    for each in kept:
        share = each.seconds / middle - 1 if middle else 0.0
        yield {
            "row": row,
            "side": each.side,
            "percent": 100 * min(share, _FAR - 1),
            "hover": f"{HOVER}{row}: {each.said}: {format_seconds(each.seconds)}, {share:+.1%}",
        }


def _range(values: Sequence[Values]) -> tuple[float, float]:
    shares = [float(each["percent"] or 0.0) for each in values]
    least, most = min([*shares, -2.0]), max([*shares, 2.0])
    room = 0.04 * (most - least)
    return least - room, most + room


def _table(order: Sequence[_Key], found: dict[_Key, list[_Round]]) -> Table:
    rows = []
    for benchmark, cell in order:
        for side in dict.fromkeys(each.side for each in found[benchmark, cell]):
            seconds = [each.seconds for each in found[benchmark, cell] if each.side == side]
            quarter = quantiles(seconds, n=4, method="inclusive") if len(seconds) > 2 else []
            rows.append(
                (
                    printable(f"{benchmark}, {name_of(cell, with_clip=True)}"),
                    side,
                    str(len(seconds)),
                    format_seconds(min(seconds)),
                    format_seconds(median(seconds)),
                    f"{format_seconds(quarter[0])} to {format_seconds(quarter[2])}"
                    if quarter
                    else "",
                    format_seconds(max(seconds)),
                )
            )
    return Table(
        headings=("benchmark", "side", "rounds", "least", "middle", "middle half", "most"),
        rows=tuple(rows),
    )


def _alt(found: dict[_Key, list[_Round]], processes: int) -> str:
    number = sum(map(len, found.values()))
    return (
        f"A line for each of {counted(len(found), 'benchmark')}, and a tick on it for each round: "
        f"{counted(number, 'round')} of {counted(processes, 'process')}. The table below has the "
        "least, the middle and the most of each."
    )


def _notes(
    rows: int, drawn: int, values: Sequence[Values], found: dict[_Key, list[_Round]]
) -> Iterator[str]:
    yield "Zero is the median of all rounds of a benchmark, of both sides where there are two."
    if any(float(each["percent"] or 0.0) >= 100 * (_FAR - 1) for each in values):
        yield "A tick at the right edge took three times the median or more."
    if rows > drawn:
        yield f"{counted(rows - drawn, 'further benchmark')} stand in the table alone."
    rounds_of = sum(map(len, list(found.values())))
    if rows == drawn and len(values) < rounds_of:
        yield f"Of {rounds_of} rounds {len(values)} are drawn, the least and the most among them."
