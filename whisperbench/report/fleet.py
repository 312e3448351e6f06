"""Runs of several devices in one table: which precision on which card, what it costs, what fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import msgspec

from whisperbench.errors import InputError
from whisperbench.results.metric_row import STAGES
from whisperbench.results.records import Machine, Measurement, Run, unusual
from whisperbench.units import format_figure, format_seconds

Group = tuple[str, str, int, str]
"""Device key, model, batch size and attention."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A precision of a model on a device. What was not measured is None."""

    device: str
    """The device key."""
    model: str
    batch_size: int
    attention: str
    precision: str
    reference: str
    """The precision that its times are divided by."""
    latency_s: float | None = None
    """p50 of a transcription, with the fixed token count where that was measured."""
    latency_ratio: float | None = None
    """The same over the reference precision's, on the same device."""
    rtfx: float | None = None
    fixed_tokens: bool = False
    """Whether the transcription had the fixed token count."""
    gpu_time_ms: float | None = None
    """Of the kernels of the cost pass, both stages together."""
    peak_mib: float | None = None
    """The most that the process held of the device, or where that is hidden the device's growth."""
    peak_share: float | None = None
    """The same as a share of the device's memory."""
    energy_j_per_audio_s: float | None = None
    wer: float | None = None
    over_limit: tuple[str, ...] = ()
    """Metrics that are over a limit; or that it ran out of memory."""
    judged: bool = False
    """Whether any limit applied."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The rows of all runs, and what there is to say beside them."""

    rows: Sequence[Row]
    machines: Sequence[Machine]
    remarks: Sequence[str]


def fleet_of(runs: Sequence[tuple[str, Run]]) -> Fleet:
    """Put runs of devices together.

    Args:
        runs: what to call each in an error, and the run.

    Raises:
        InputError: two of them measured the same on one kind of device, so that one of two figures
            would be shown.
    """
    seen: dict[tuple[str, str, int, str, str], str] = {}
    rows: list[Row] = []
    for name, run in runs:
        for row in _rows_of(run):
            cell = (row.device, row.model, row.batch_size, row.attention, row.precision)
            if cell in seen:
                raise InputError(
                    f"{name}: has {row.model} {row.precision} on {row.device}, and so has "
                    f"{seen[cell]}: name one run of each device"
                )
            seen[cell] = name
            rows.append(row)
    order = list(dict.fromkeys(row.model for row in rows))
    rows.sort(key=lambda row: (order.index(row.model), row.batch_size, row.attention))
    return Fleet(
        rows=rows,
        machines=[run.machine for _, run in runs],
        remarks=[*_answers(rows), *_differing([run.machine for _, run in runs]), *_left(runs)],
    )


def _rows_of(run: Run) -> Iterator[Row]:
    """Yield a row for each model, batch, attention and precision of a run."""
    found: dict[tuple[str, int, str, str], list[Measurement]] = {}
    for row in run.measurements:
        cell = row.cell
        place = (cell.model, cell.batch_size, cell.attention, cell.precision)
        found.setdefault(place, []).append(row)
    times = {place: _latency(rows) for place, rows in found.items()}
    for place, rows in found.items():
        latency, fixed = times[place]
        base, base_fixed = times.get((*place[:3], run.info.reference), (None, False))
        comparable = latency and base and fixed == base_fixed
        peak = _most(rows, "peak_process_mib") or _most(rows, "peak_device_mib")
        over = [
            verdict.metric
            for row in rows
            for verdict in row.verdicts
            if verdict.verdict == "over-limit"
        ]
        ran_out = any(row.benchmark == "memory" and not _peaks(row) for row in rows)
        yield Row(
            device=run.machine.device_key,
            model=place[0],
            batch_size=place[1],
            attention=place[2],
            precision=place[3],
            reference=run.info.reference,
            latency_s=latency,
            fixed_tokens=fixed,
            latency_ratio=latency / base if latency and base and comparable else None,
            rtfx=_first(rows, "rtfx_fixed_tokens" if fixed else "rtfx"),
            gpu_time_ms=_gpu_time_ms(rows),
            peak_mib=peak,
            peak_share=peak / run.machine.memory_mib if peak and run.machine.memory_mib else None,
            energy_j_per_audio_s=_first(rows, "energy_j_per_audio_s"),
            wer=_first([row for row in rows if row.benchmark == "quality"], "wer"),
            over_limit=(*dict.fromkeys(over), *(("out of memory",) if ran_out else ())),
            judged=any(row.verdicts for row in rows),
        )


def _peaks(row: Measurement) -> bool:
    return any(metric.kind == "memory" for metric in row.metrics)


def _latency(rows: Iterable[Measurement]) -> tuple[float | None, bool]:
    """Return the p50 of a transcription, and whether it had the fixed token count."""
    of_tokens = {
        row.cell.tokens is not None: found
        for row in rows
        if row.benchmark == "transcribe" and (found := _figure(row, "latency_s")) is not None
    }
    return (of_tokens[True], True) if True in of_tokens else (of_tokens.get(False), False)


def _figure(row: Measurement, name: str) -> float | None:
    metric = row.metric(name)
    return median(metric.figures) if metric is not None else None


def _figures(rows: Iterable[Measurement], name: str) -> list[float]:
    return [found for row in rows if (found := _figure(row, name)) is not None]


def _first(rows: Iterable[Measurement], name: str) -> float | None:
    return next(iter(_figures(rows, name)), None)


def _most(rows: Iterable[Measurement], name: str) -> float | None:
    """Return the highest figure: of several clips, and of the processes of a baseline."""
    found = [
        max(metric.figures)
        for row in rows
        if row.benchmark == "memory" and (metric := row.metric(name)) is not None
    ]
    return max(found, default=None)


def _gpu_time_ms(rows: Iterable[Measurement]) -> float | None:
    for row in rows:
        stages = [_figure(row, f"{stage}_gpu_time_ms") for stage in STAGES]
        known = [each for each in stages if each is not None]
        if len(known) == len(STAGES):
            return sum(known)
    return None


def _answers(rows: Sequence[Row]) -> Iterator[str]:
    """Say of each device which precision is quickest, and which takes the least memory."""
    groups: dict[Group, list[Row]] = {}
    for row in rows:
        if not row.over_limit:
            group = (row.device, row.model, row.batch_size, row.attention)
            groups.setdefault(group, []).append(row)
    for (device, model, batch_size, attention), own in groups.items():
        lengths = {row.fixed_tokens for row in own if row.latency_s is not None}
        timed = [(row.latency_s, row) for row in own if row.latency_s is not None]
        held = [(row.peak_mib, row) for row in own if row.peak_mib is not None]
        # Times of other numbers of tokens tell nothing of each other.
        if len(timed) < 2 or len(lengths) > 1 or not held:
            continue
        least_s, quickest = min(timed, key=lambda each: each[0])
        least_mib, smallest = min(held, key=lambda each: each[0])
        line = (
            f"{model}{unusual(batch_size, attention)} on {device}: {quickest.precision} is the "
            f"quickest ({format_seconds(least_s)})"
        )
        if smallest is quickest:
            yield f"{line} and takes the least memory ({format_figure(least_mib)} MiB)"
            continue
        line += f"; {smallest.precision} takes the least memory ({format_figure(least_mib)} MiB"
        if quickest.peak_mib is not None:
            line += f", {least_mib / quickest.peak_mib:.2f} of {quickest.precision}'s"
        if smallest.latency_s is not None:
            line += f", in {smallest.latency_s / least_s:.2f} times the time"
        yield f"{line})"


def _differing(machines: Sequence[Machine]) -> Iterator[str]:
    """Name what beside the devices differs, and so may be why figures do."""
    names = dict.fromkeys(name for machine in machines for name in machine.versions)
    versions = {
        name: [machine.versions.get(name, "absent") for machine in machines] for name in names
    }
    versions |= {"driver": [machine.driver or "none" for machine in machines]}
    for name, found in versions.items():
        if len(set(found)) > 1:
            where = (
                f"{version} on {machine.device_key}"
                for version, machine in zip(found, machines, strict=True)
            )
            yield f"suspect: {name} differs: {', '.join(where)}"


def _left(runs: Sequence[tuple[str, Run]]) -> Iterator[str]:
    """Name what a run was asked for and did not measure."""
    for name, run in runs:
        for line in run.unmeasured():
            yield f"{name}: {line}"
