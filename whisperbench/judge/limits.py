"""Limits: which apply to a cell, whether it keeps them, and what to propose for its memory.

Pure: results and suite.toml's data in, verdicts out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from glob import escape
from math import ceil

import msgspec

from whisperbench.asked.suite import LIMITED, Limit, matches
from whisperbench.errors import one_line
from whisperbench.results.metric_row import Level, Pass
from whisperbench.results.metrics import METRICS, peak
from whisperbench.results.passes import MemoryResult
from whisperbench.results.records import Cell, Measurement, Run, Verdict, name_of

HEADROOM_RATIO = 0.02
HOST_HEADROOM_RATIO = 0.25
HEADROOM_MIB = 8.0
"""A proposed limit is the measured figure and this much more. On a GPU 2 % + 8 MiB, the rule for
the kind `memory`. A process's resident memory on a host differs by more between runs of unchanged
code: from 678 to 737 MiB in five of dummy:tiny in int8 on two cores."""

MEMORY: Pass = "memory"
"""The pass, and the benchmark, that limits are proposed from."""

OVER_REFERENCE = "wer_over_reference"
"""The metric that compares a precision with the reference, and so is none of the reference's."""

PROPOSED = ("peak_process_mib", "peak_device_mib")
"""The metric that a proposal is for: the first of these that was measured."""

Figures = Mapping[str, float]


def figures_of(measurement: Measurement) -> dict[str, float]:
    """Return a measurement's plain figures by metric name."""
    return {m.name: m.value for m in measurement.metrics if m.value is not None}


def on_device(limits: Sequence[Limit], device_key: str) -> list[Limit]:
    """Return the limits that are for a device."""
    return [limit for limit in limits if matches(device_key, limit.devices)]


def applying(limits: Sequence[Limit], made_by: Pass, cell: Cell, device_key: str) -> list[Limit]:
    """Return the limits that are for a pass of a cell, in the order of suite.toml.

    Args:
        limits: all of suite.toml's.
        made_by: the pass, one of `JUDGED`.
        cell: what it measures.
        device_key: of the device.
    """
    return [
        limit
        for limit in on_device(limits, device_key)
        if limit.metric in LIMITED[made_by]
        and matches(cell.model, limit.models)
        and matches(cell.precision, limit.precisions)
        and (not limit.batch_sizes or cell.batch_size in limit.batch_sizes)
    ]


def judge(
    cell: Cell,
    figures: Figures,
    limits: Sequence[Limit],
    others: Mapping[str, Figures],
    reference: str,
) -> tuple[Verdict, ...]:
    """Judge a cell by the limits that apply to it.

    Args:
        cell: what was measured.
        figures: its figures by metric name.
        limits: those that apply.
        others: the figures of the same cell in other precisions, by precision.
        reference: the precision whose word error rate others are compared with.

    Returns:
        A verdict a limit; none of the reference where a figure is what others have over it.
        `missing` where there is nothing to judge, which is never a pass: a metric that was not
        measured, or a share of a precision that was not.
    """
    return tuple(
        _judge_share(cell, figures, limit, others)
        if limit.max_ratio is not None
        else _judge_amount(cell, figures, limit, reference)
        for limit in limits
        if limit.metric != OVER_REFERENCE or cell.precision != reference
    )


def is_over(row: Measurement) -> bool:
    """Whether a cell is over one of its limits."""
    return any(verdict.verdict == "over-limit" for verdict in row.verdicts)


def propose(run: Run) -> list[Limit]:
    """Propose limits for the cells whose memory a run measured.

    Cells that a limit cannot tell apart, of two clips for example, share one: the highest. A
    cell that ran out of memory has none, because it says nothing about how much it takes; nor has
    one that is over its limit, because a regression is no reason for a higher one.
    """
    rows: dict[tuple[object, ...], Limit] = {}
    for row in run.measurements:
        figures = figures_of(row)
        metric = next((name for name in PROPOSED if name in figures), None)
        if (
            not isinstance(row.found, MemoryResult)
            or metric is None
            or "weight_mib" not in figures
            or is_over(row)
        ):
            continue
        measured = figures[metric]
        ratio = HOST_HEADROOM_RATIO if run.machine.on_host else HEADROOM_RATIO
        proposed = Limit(
            models=(escape(row.cell.model),),
            precisions=(row.cell.precision,),
            devices=(run.machine.device_key,),
            batch_sizes=(row.cell.batch_size,),
            metric=metric,
            max=float(ceil(measured * (1 + ratio) + HEADROOM_MIB)),
            reason=f"{measured:.0f} MiB were measured; {100 * ratio:.0f} % + 8 MiB may be added",
        )
        same = (row.cell.model, row.cell.precision, row.cell.batch_size, metric)
        if same not in rows or (rows[same].max or 0.0) < (proposed.max or 0.0):
            rows[same] = proposed
    return list(rows.values())


def as_toml(limit: Limit) -> str:
    """Write a limit as a table of suite.toml. A JSON array or string is TOML as it stands."""
    rows = ["[[limit]]"]
    for name, value in msgspec.to_builtins(limit).items():
        rows.append(f"{name} = {msgspec.json.encode(value).decode()}")
    return "\n".join(rows)


def describe(limit: Limit) -> str:
    """Write a limit as a sentence: its cells and its condition."""
    batches = f", batch {', '.join(map(str, limit.batch_sizes))}" if limit.batch_sizes else ""
    models = "any model" if limit.models == ("*",) else ", ".join(limit.models)
    precisions = "any precision" if limit.precisions == ("*",) else ", ".join(limit.precisions)
    return f"{models} in {precisions}{batches}: {_condition(limit)}"


def _condition(limit: Limit) -> str:
    if limit.max_ratio is not None:
        return f"{limit.metric} at most {limit.max_ratio:g} of {limit.of}'s"
    unit = f" {METRICS[limit.metric].unit}".removesuffix(" 1")
    if limit.max is not None:
        return f"{limit.metric} at most {limit.max:g}{unit}"
    return f"{limit.metric} at least {limit.min:g}{unit}"


def _judge_amount(cell: Cell, figures: Figures, limit: Limit, reference: str) -> Verdict:
    """Judge a figure by the most or the least that it may be."""
    metric = _judged_metric(limit.metric, figures)
    actual, unit = figures.get(metric), METRICS[limit.metric].unit
    bound = limit.max if limit.max is not None else limit.min
    assert bound is not None  # noqa: S101 - a limit that is no share has one of the two
    if actual is None:
        if limit.metric == OVER_REFERENCE:
            why = f"{reference} was not measured in this run"
            return _missing(cell, limit, bound, unit, why, reference)
        return _missing(cell, limit, bound, unit, f"{metric} was not measured")
    excess = actual - bound if limit.max is not None else bound - actual
    stand_in = "" if metric == limit.metric else f" (in place of {limit.metric}, which hides)"
    if excess <= 0:
        which = "most" if limit.max is not None else "least"
        sentence = f"{metric} is {_said(actual, unit)} of at {which} {_said(bound, unit)}{stand_in}"
    else:
        which = "over its limit" if limit.max is not None else "under its limit"
        remedy = "find what grew, or raise the limit" if unit == "MiB" else _LOOK
        sentence = (
            f"{name_of(cell)}: {metric} is {_said(actual, unit, bound)}{stand_in}, "
            f"{_said(excess, unit, 0.0)} {which} of {_said(bound, unit)} "
            f"({one_line(limit.reason)}){what_filled(metric, figures)}; {remedy} {_WHERE}"
        )
    return _verdict(metric, actual, bound, unit, sentence, over=excess > 0)


def _judge_share(
    cell: Cell, figures: Figures, limit: Limit, others: Mapping[str, Figures]
) -> Verdict:
    """Judge what a figure is of the same figure of another precision."""
    assert limit.max_ratio is not None  # noqa: S101 - the caller has looked
    metric = _judged_metric(limit.metric, figures)
    actual, bound = figures.get(metric), limit.max_ratio
    other = others.get(str(limit.of))
    base = (other or {}).get(metric)
    if actual is None or not base:
        whose = cell.precision if actual is None else limit.of
        absent = limit.of if actual is not None and other is None else None
        return _missing(cell, limit, bound, "1", f"no {metric} of {whose} in this run", absent)
    ratio, unit = actual / base, METRICS[limit.metric].unit
    over = ratio > bound
    share = _apart(ratio, bound, 3) if over else f"{ratio:.3f}"
    of = f"{_number(actual, unit)} of {_said(base, unit)}"
    sentence = f"{metric} is {share} of {limit.of}'s ({of}), of at most {bound:g}"
    if over:
        remedy = "look at which layers are not quantized, or raise the limit"
        sentence = (
            f"{name_of(cell)}: {metric} is {share} of {limit.of}'s ({of}), over its limit of "
            f"{bound:g} ({one_line(limit.reason)}); {remedy if unit == 'MiB' else _LOOK} {_WHERE}"
        )
    return _verdict(metric, ratio, bound, "1", sentence, over=over)


_LOOK = "find out why, or change the limit"
_WHERE = "in benchmarks/suite.toml and say why"


def _verdict(
    metric: str, actual: float, bound: float, unit: str, sentence: str, *, over: bool
) -> Verdict:
    return Verdict(
        verdict="over-limit" if over else "ok",
        metric=metric,
        head=actual,
        limit=bound,
        unit=unit,
        sentence=sentence,
    )


def _missing(
    cell: Cell, limit: Limit, bound: float, unit: str, why: str, absent: str | None = None
) -> Verdict:
    return Verdict(
        verdict="missing",
        metric=limit.metric,
        head=None,
        limit=bound,
        unit=unit,
        absent=absent,
        sentence=f"{name_of(cell)}: {_condition(limit)} could not be judged: {why}",
    )


def _said(figure: float, unit: str, beside: float | None = None) -> str:
    """Write a figure with its unit, and with the decimals that tell it from another one."""
    return f"{_number(figure, unit, beside)} {unit}".removesuffix(" 1")


def _number(figure: float, unit: str, beside: float | None = None) -> str:
    if unit != "MiB":
        return f"{figure:.4g}"
    return f"{figure:.1f}" if beside is None else _apart(figure, beside, 1)


def _judged_metric(metric: str, figures: Figures) -> str:
    """Take the device's growth where the driver hides what a process holds."""
    row = METRICS[metric]
    if metric in figures or row.level != "process":
        return metric
    stand_in = peak(row.phase, "device").name
    return stand_in if stand_in in figures else metric


def what_filled(metric: str, figures: Figures) -> str:
    """Take a peak apart: weights, other tensors, torch's cache, and what lies outside torch.

    Returns:
        A clause that begins with a semicolon; nothing for a figure that is no peak.
    """
    row = METRICS[metric]
    if row.level is None:
        return ""
    weights = figures.get("weight_mib", 0.0)
    inside: tuple[Level, ...] = (
        ("allocated",) if row.level == "allocated" else ("allocated", "reserved")
    )
    levels = [figures.get(peak(row.phase, inner).name) for inner in inside]
    names = ["weights", "other tensors", "torch's cache", "context and libraries"]
    heights = [weights, *(level for level in levels if level is not None)]
    if len(heights) == 1:  # a CPU, where torch keeps no count
        names = ["weights", "interpreter and libraries", "everything else"]
        heights.append(weights + figures.get("context_mib", 0.0))
    if row.level not in ("allocated", "reserved"):
        heights.append(figures[metric])
    steps = [high - low for low, high in zip([0.0, *heights], heights, strict=False)]
    named = zip(names, steps, strict=False)
    shown = [f"{name} {step:.0f} MiB" for name, step in named if step > 0.5]
    return "; in it: " + ", ".join(shown)


def _apart(figure: float, limit: float, decimals: int) -> str:
    """Write a figure with as many decimals as it takes to tell it from a limit."""
    while decimals < 6 and f"{figure:.{decimals}f}" == f"{limit:.{decimals}f}":
        decimals += 1
    return f"{figure:.{decimals}f}"
