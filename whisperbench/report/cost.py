"""The cost part of a run's summary: counts by stage, and how far a cell is from its limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table

from whisperbench.asked.models import DUMMY_PREFIX, SIZES
from whisperbench.report.rows import Row, by_place, rows_of
from whisperbench.results.metric_row import STAGES, MetricRow, Stage
from whisperbench.results.metrics import made_by
from whisperbench.results.passes import CostResult
from whisperbench.results.records import Run, executions, name_of
from whisperbench.units import format_figure

_Row = Row[CostResult]

GPU = "GPU"
"""The column of the GPU's time, which stands beside the other times."""

LAYERS = ("encoder_layers", "decoder_layers")
"""Fields of a `WhisperSize` that say how many layers each stage has."""

_WHERE = ("encoder", "a second", "a token")
"""What counts are given of: the encoder's pass, each second of audio in it, each token decoded."""

_LEGEND = (
    "Counts are exact. The encoder is given 30 s of audio, and a second is a 30th of that. A token",
    "is all the rest of generate() divided by the number of tokens, what it does once included.",
    "aten ops are torch's, and other ops are those of other libraries. The column calls counts",
    "calls of Python functions.",
)

_COMPILED = (
    "Of a compiled precision, a token's time is mostly that of the pass over the prompt, which is",
    "not compiled: in a longer transcript a token takes less.",
)

_FLOOR = (
    "The floor is the least time that a stage can take: to read each weight once, or to do its",
    "arithmetic, at the rates that this device was seen to reach.",
)

GPU_BUSY = 2 / 3
"""Share of the wall time from which the GPU, and not the host, is what a stage waits for."""

LAUNCH_US = 7.0
"""What a launch takes the host at least: 6.6 to 7.0 us for torch's smallest op beside an H200.
Shorter work leaves the GPU waiting for the next."""

NEAR_FLOOR = 1 / 2
"""Share of the time taken from which the floor is what bounds a stage."""


def cost_section(run: Run) -> Iterator[RenderableType]:
    """Yield the tables and lines of a run's cost benchmarks; nothing where it has none."""
    places = by_place(run, CostResult)
    for (model, clip, batch_size, attention), rows in places.items():
        tokens = rows[0].cell.tokens
        yield (
            f"\ncost: model {model}, clip {clip}, batch {batch_size}, attention {attention}; "
            f"{tokens} tokens; times in ms"
        )
        yield _table(rows)
    if not places:
        return
    measured = rows_of(run, CostResult)
    yield from _LEGEND
    if any(row.found.compiles for row in measured):
        yield from _COMPILED
    yield from _layers(measured)
    yield from _limits(measured)
    for row in measured:
        if row.found.not_counted is not None:
            yield f"not counted: {name_of(row.cell)}: {row.found.not_counted}"


def _headings() -> list[str]:
    """Return the columns of counts, in the registry's order."""
    found = dict.fromkeys(row.headings.get("cost") for row in made_by("cost"))
    return [heading for heading in found if heading not in (None, GPU)]


def _table(rows: list[_Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="", padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("stage", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    shown = [
        heading
        for heading in _headings()
        if any(_count(row, stage, heading) for row in rows for stage in STAGES)
    ]
    for heading in shown:
        table.add_column(heading, justify="right", no_wrap=True)
    with_gpu = any(_gpu_ms(row, stage) is not None for row in rows for stage in STAGES)
    for heading in ("floor", *((GPU,) if with_gpu else ()), "wall"):
        table.add_column(heading, justify="right", no_wrap=True)
    for where in _WHERE:
        stage: Stage = "decode" if where == "a token" else "encoder"
        for row in rows:
            times = _times(row, where)
            counts = [_count(row, stage, heading) for heading in shown]
            spent = row.found.times(stage)
            times_ms: list[float | None] = [spent.floor_ms, spent.wall_ms]
            if with_gpu:
                times_ms.insert(1, _gpu_ms(row, stage))
            table.add_row(
                where,
                row.cell.precision,
                *(_count_text(count, times) for count in counts),
                *(_figure(value, times) for value in times_ms),
                end_section=row is rows[-1],
            )
    return table


def _times(row: _Row, where: str) -> float:
    """Return what a stage's figures are divided by."""
    if where == "a token":
        return executions(row.cell, "decode")
    return row.found.encoded_s if where == "a second" else 1


def _count(row: _Row, stage: Stage, heading: str) -> float | None:
    """Sum the counts of a stage that stand under a heading; None where none was counted."""
    under_it = (each for each in made_by("cost") if each.headings.get("cost") == heading)
    return _sum(row, under_it, stage)


def _sum(row: _Row, metrics: Iterable[MetricRow], stage: Stage) -> float | None:
    found = [row.value(each.name) for each in metrics if each.stage == stage]
    values = [value for value in found if value is not None]
    return sum(values) if values else None


def _gpu_ms(row: _Row, stage: Stage) -> float | None:
    return _count(row, stage, GPU)


def _layers(rows: list[_Row]) -> Iterator[str]:
    """Say what a layer costs, of dummies that were counted at two depths, and what all of them do.

    Layers are alike, so the difference between two depths is the layers', to the last op.
    """
    depths: dict[tuple[str, str, tuple[object, ...]], dict[int, _Row]] = {}
    for row in rows:
        cell = row.cell
        size, colon, layers = cell.model.removeprefix(DUMMY_PREFIX).partition(":")
        if colon and cell.model.startswith(DUMMY_PREFIX):
            # In all else the two must be one cell: another attention is another program.
            key = (size, cell.precision, (*cell.place[1:], cell.tokens))
            depths.setdefault(key, {})[int(layers)] = row
    for (size, precision, _), by_depth in depths.items():
        if len(by_depth) < 2:
            continue
        few, many = sorted(by_depth)[:2]
        for stage, where, layers_of in zip(STAGES, ("encoder", "a token"), LAYERS, strict=True):
            for heading in _headings():
                low, high = (_count(by_depth[depth], stage, heading) for depth in (few, many))
                if low is None or high is None or low == high:
                    continue
                times = _times(by_depth[few], where)
                layer = (high - low) / (many - few) / times
                whole = low / times + layer * (getattr(SIZES[size], layers_of) - few)
                yield (
                    f"{DUMMY_PREFIX}{size} {precision}, {where}: {layer:.10g} "
                    f"{_in_words(heading)} a layer, {whole:.10g} in all"
                )


def _in_words(heading: str) -> str:
    """Return what stands under a heading: the count's own name, where it is one."""
    names = {each.count for each in made_by("cost") if each.headings.get("cost") == heading}
    return names.pop().replace("_", " ") if len(names) == 1 else heading


def _count_text(count: float | None, times: float) -> str:
    """Write a count out, and what it comes to per something in three digits, unless it is whole."""
    if count is None:
        return ""
    each = count / times
    return str(int(each)) if each.is_integer() else format_figure(each)


def _figure(value: float | None, times: float) -> str:
    return "" if value is None else format_figure(value / times)


def _limits(rows: list[_Row]) -> Iterator[str]:
    """Say of each cell and stage what its time goes to."""
    yield from _FLOOR
    for row in rows:
        found = [
            f"{'the encoder' if stage == 'encoder' else 'decoding'} {reason}"
            for stage in STAGES
            if (reason := bound_by(row, stage)) is not None
        ]
        if found:
            yield f"{name_of(row.cell)}: {'; '.join(found)}"


def bound_by(row: Row[CostResult], stage: Stage) -> str | None:
    """Say what a stage of a cell is bound by, and by how much; None where it took no time.

    A stage that leaves the GPU idle for over a third of the time waits for the host. One that
    does not is bound by what its floor is made of if it comes within twice of that; else by
    launches, if what it launches is over before the next could follow, or by its kernels.
    Of decoding that is compiled nothing is said: the few tokens that are counted do not tell.
    """
    spent = row.found.times(stage)
    wall, floor, gpu = spent.wall_ms, spent.floor_ms, spent.gpu_busy_ms
    if wall <= 0 or (row.found.compiles and stage == "decode"):
        return None
    times = f"{wall / floor:.1f} x its floor" if floor else "no floor"
    if gpu is not None and gpu < GPU_BUSY * wall:
        return f"is bound by the host: the GPU works {100 * gpu / wall:.0f} % of the time ({times})"
    if floor >= NEAR_FLOOR * (gpu if gpu is not None else wall):
        return f"is bound by {spent.floor_bound} ({times})"
    if gpu is None:
        return f"is bound by neither memory nor arithmetic ({times})"
    launched = _sum(row, filter(_is_launched, made_by("cost")), stage) or 0.0
    if launched and 1e3 * gpu / launched < LAUNCH_US:
        each_us = 1e3 * gpu / launched
        return f"is bound by {launched:.0f} launches, which take {each_us:.1f} us each ({times})"
    return f"is bound by its kernels: {_longest_kernel(row, stage, gpu)} ({times})"


def _is_launched(row: MetricRow) -> bool:
    """Whether a metric counts what the host gives the GPU to do."""
    launched = ("kernel", "copy", "memset")
    return row.unit == "1" and row.made_of is not None and row.made_of.kind in launched


def _longest_kernel(row: _Row, stage: Stage, gpu_ms: float) -> str:
    """Name the kernel that takes the most of a stage's time, and how much."""
    spent: dict[str, float] = {}
    for part in row.found.parts:
        if part.stage == stage and part.kind == "kernel":
            spent[part.name] = spent.get(part.name, 0.0) + part.time_us
    if not spent:
        return "which are not known"
    name = max(spent, key=lambda kernel: spent[kernel])
    return f"{100 * spent[name] / 1e3 / gpu_ms:.0f} % of the GPU's time is {name}"
