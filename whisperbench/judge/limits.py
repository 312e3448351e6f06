"""Memory ceilings: which apply to a cell, whether it keeps them, and what to propose.

Pure: results and suite.toml's data in, verdicts out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from glob import escape
from math import ceil

import msgspec

from whisperbench.asked.suite import Ceiling, matches
from whisperbench.errors import one_line
from whisperbench.results.records import Cell, Measurement, Run, Verdict

HEADROOM_RATIO = 0.02
HOST_HEADROOM_RATIO = 0.25
HEADROOM_MIB = 8.0
"""A proposed ceiling is the measured figure and this much more. On a GPU 2 % + 8 MiB, the rule for
the kind `memory`. A process's resident memory on a host differs by more between runs of unchanged
code: from 678 to 737 MiB in five of dummy:tiny in int8 on two cores."""

MEMORY = "memory"
"""The stage of a memory pass."""

PROPOSED = ("peak_process_mib", "peak_device_mib")
"""The metric that a proposal is for: the first of these that was measured."""

Figures = Mapping[str, float]


def figures_of(measurement: Measurement) -> dict[str, float]:
    """Return a measurement's plain figures by metric name."""
    return {m.name: m.value for m in measurement.metrics if m.value is not None}


def on_device(ceilings: Sequence[Ceiling], device_key: str) -> list[Ceiling]:
    """Return the ceilings that are for a device."""
    return [ceiling for ceiling in ceilings if matches(device_key, ceiling.devices)]


def applying(
    ceilings: Sequence[Ceiling], *, model: str, precision: str, device_key: str, batch_size: int
) -> list[Ceiling]:
    """Return the ceilings that are for a cell, in the order of suite.toml."""
    return [
        ceiling
        for ceiling in on_device(ceilings, device_key)
        if matches(model, ceiling.models)
        and matches(precision, ceiling.precisions)
        and (not ceiling.batch_sizes or batch_size in ceiling.batch_sizes)
    ]


def judge(
    cell: Cell,
    figures: Figures,
    ceilings: Sequence[Ceiling],
    references: Mapping[str, Figures],
) -> tuple[Verdict, ...]:
    """Judge a cell by the ceilings that apply to it.

    Args:
        cell: what was measured.
        figures: its figures by metric name.
        ceilings: those that apply.
        references: the figures of the same cell in other precisions, by precision.

    Returns:
        A verdict a ceiling. `missing` where there is nothing to judge, which is never a pass: a
        metric that was not measured, or a ratio to a precision that was not.
    """
    return tuple(_judge(cell, figures, ceiling, references) for ceiling in ceilings)


def is_over(row: Measurement) -> bool:
    """Whether a cell is over one of its ceilings."""
    return any(verdict.verdict == "over-limit" for verdict in row.verdicts)


def propose(run: Run) -> list[Ceiling]:
    """Propose ceilings for the cells whose memory a run measured.

    Cells that a ceiling cannot tell apart, of two clips for example, share one: the highest. A
    cell that ran out of memory has none, because it says nothing about how much it takes; nor has
    one that is over its ceiling, because a regression is no reason for a higher one.
    """
    rows: dict[tuple[object, ...], Ceiling] = {}
    for row in run.measurements:
        figures = figures_of(row)
        metric = next((name for name in PROPOSED if name in figures), None)
        if row.benchmark != MEMORY or metric is None or "weight_mib" not in figures or is_over(row):
            continue
        measured = figures[metric]
        ratio = HOST_HEADROOM_RATIO if run.machine.on_host else HEADROOM_RATIO
        proposed = Ceiling(
            models=(escape(row.cell.model),),
            precisions=(row.cell.precision,),
            devices=(run.machine.device_key,),
            batch_sizes=(row.cell.batch_size,),
            metric=metric,
            max_mib=float(ceil(measured * (1 + ratio) + HEADROOM_MIB)),
            reason=f"{measured:.0f} MiB measured, and {100 * ratio:.0f} % + 8 MiB",
        )
        same = (row.cell.model, row.cell.precision, row.cell.batch_size, metric)
        if same not in rows or (rows[same].max_mib or 0.0) < (proposed.max_mib or 0.0):
            rows[same] = proposed
    return list(rows.values())


def as_toml(ceiling: Ceiling) -> str:
    """Write a ceiling as a table of suite.toml. A JSON array or string is TOML as it stands."""
    rows = ["[[ceiling]]"]
    for name, value in msgspec.to_builtins(ceiling).items():
        rows.append(f"{name} = {msgspec.json.encode(value).decode()}")
    return "\n".join(rows)


def describe(ceiling: Ceiling) -> str:
    """Write a ceiling as a sentence."""
    batches = f", batch {', '.join(map(str, ceiling.batch_sizes))}" if ceiling.batch_sizes else ""
    cells = f"{' '.join(ceiling.models)}, {' '.join(ceiling.precisions)}{batches}"
    return f"{cells}: {_condition(ceiling)}"


def _condition(ceiling: Ceiling) -> str:
    if ceiling.max_ratio is not None:
        return f"{ceiling.metric} at most {ceiling.max_ratio:g} of {ceiling.of}'s"
    return f"{ceiling.metric} at most {ceiling.max_mib:g} MiB"


def _judge(
    cell: Cell, figures: Figures, ceiling: Ceiling, references: Mapping[str, Figures]
) -> Verdict:
    metric = _judged_metric(ceiling.metric, figures)
    actual = figures.get(metric)
    if ceiling.max_ratio is not None:
        return _judge_ratio(cell, metric, actual, references.get(str(ceiling.of)), ceiling)
    assert ceiling.max_mib is not None  # noqa: S101 - Ceiling has one of the two
    limit = ceiling.max_mib
    if actual is None:
        return _missing(cell, ceiling, limit, "MiB", f"{metric} was not measured")
    stand_in = "" if metric == ceiling.metric else f" (in place of {ceiling.metric}, which hides)"
    if actual <= limit:
        sentence = f"{metric} is {actual:.1f} MiB of at most {limit:.1f} MiB{stand_in}"
        return Verdict(
            verdict="ok", metric=metric, head=actual, limit=limit, unit="MiB", sentence=sentence
        )
    sentence = (
        f"{name_of(cell)}: {metric} is {_apart(actual, limit, 1)} MiB{stand_in}, "
        f"{_apart(actual - limit, 0.0, 1)} MiB over its ceiling of {limit:.1f} MiB "
        f"({one_line(ceiling.reason)}){what_filled(metric, figures)}; find "
        "what grew, or raise the ceiling in benchmarks/suite.toml and say why"
    )
    return Verdict(
        verdict="over-limit",
        metric=metric,
        head=actual,
        limit=limit,
        unit="MiB",
        sentence=sentence,
    )


def _judge_ratio(
    cell: Cell, metric: str, actual: float | None, reference: Figures | None, ceiling: Ceiling
) -> Verdict:
    assert ceiling.max_ratio is not None  # noqa: S101 - the caller has looked
    limit = ceiling.max_ratio
    base = (reference or {}).get(metric)
    if actual is None or not base:
        whose = cell.precision if actual is None else ceiling.of
        absent = ceiling.of if actual is not None and reference is None else None
        return _missing(cell, ceiling, limit, "1", f"no {metric} of {whose} in this run", absent)
    ratio = actual / base
    over = ratio > limit
    share = _apart(ratio, limit, 3) if over else f"{ratio:.3f}"
    what = f"{metric} is {share} of {ceiling.of}'s ({actual:.1f} of {base:.1f} MiB)"
    return Verdict(
        verdict="over-limit" if over else "ok",
        metric=metric,
        head=ratio,
        limit=limit,
        unit="1",
        sentence=f"{name_of(cell)}: {what}, over its ceiling of {limit:g} "
        f"({one_line(ceiling.reason)}); look "
        "at which layers are not quantized, or raise the ceiling in benchmarks/suite.toml and "
        "say why"
        if over
        else f"{what}, of at most {limit:g}",
    )


def _missing(
    cell: Cell, ceiling: Ceiling, limit: float, unit: str, why: str, absent: str | None = None
) -> Verdict:
    return Verdict(
        verdict="missing",
        metric=ceiling.metric,
        head=None,
        limit=limit,
        unit=unit,
        absent=absent,
        sentence=f"{name_of(cell)}: {_condition(ceiling)} could not be judged: {why}",
    )


def _judged_metric(metric: str, figures: Figures) -> str:
    """Take the device's growth where the driver hides what a process holds."""
    stand_in = metric.replace("_process_", "_device_")
    return stand_in if metric not in figures and stand_in in figures else metric


def what_filled(metric: str, figures: Figures) -> str:
    """Take a peak apart: weights, other tensors, torch's cache, and what lies outside torch.

    Returns:
        A clause that begins with a semicolon; nothing for a figure that is no peak.
    """
    phase, is_peak, kind = metric.partition("peak_")
    if not is_peak:
        return ""
    weights = figures.get("weight_mib", 0.0)
    inside = ("allocated",) if kind == "allocated_mib" else ("allocated", "reserved")
    levels = [figures.get(f"{phase}peak_{inner}_mib") for inner in inside]
    names = ["weights", "other tensors", "torch's cache", "context and libraries"]
    heights = [weights, *(level for level in levels if level is not None)]
    if len(heights) == 1:  # a CPU, where torch keeps no count
        names = ["weights", "interpreter and libraries", "everything else"]
        heights.append(weights + figures.get("context_mib", 0.0))
    if kind not in ("allocated_mib", "reserved_mib"):
        heights.append(figures[metric])
    steps = [high - low for low, high in zip([0.0, *heights], heights, strict=False)]
    shown = [
        f"{name} {step:.0f} MiB" for name, step in zip(names, steps, strict=False) if step > 0.5
    ]
    return "; in it: " + ", ".join(shown)


def _apart(figure: float, limit: float, decimals: int) -> str:
    """Write a figure with as many decimals as it takes to tell it from a limit."""
    while decimals < 6 and f"{figure:.{decimals}f}" == f"{limit:.{decimals}f}":
        decimals += 1
    return f"{figure:.{decimals}f}"


def name_of(cell: Cell) -> str:
    """Name a cell in a sentence."""
    batch = f" b{cell.batch_size}" if cell.batch_size != 1 else ""
    attention = f" {cell.attention}" if cell.attention != "sdpa" else ""
    return f"{cell.model} {cell.precision}{batch}{attention}"
