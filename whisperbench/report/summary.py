"""What a run says, as text: pure, from the result types alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from math import isnan
from statistics import median

import msgspec
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from whisperbench.errors import printable
from whisperbench.report.answer import paragraphs, title
from whisperbench.report.contenders import instead_section
from whisperbench.report.cost import cost_section
from whisperbench.report.durations import BENCHMARK, duration_section
from whisperbench.report.look import PLAIN, Look, wrapped
from whisperbench.report.memory import memory_section
from whisperbench.report.overview import overview
from whisperbench.report.quality import quality_section
from whisperbench.report.soak import soak_section
from whisperbench.report.standing import spread, subjects_of
from whisperbench.report.what_ran import what_ran_section
from whisperbench.results.metrics import METRICS
from whisperbench.results.passes import LatencyResult, StartupResult
from whisperbench.results.records import DESELECTED, Cell, Machine, Measurement, Place, Run, name_of
from whisperbench.units import counted, format_figure, format_seconds

WIDTH = 100
"""Columns of a report: what fits a CI log and a divided screen."""

_ENERGY, _COMPILING = "energy_j_per_audio_s", "compile_s"

_TIMED = (LatencyResult, StartupResult)
"""Passes whose benchmarks stand in the first tables; the others have tables of their own."""

_STACK = ("torch", "transformers", "bitsandbytes")


def summarise(run: Run, look: Look = PLAIN) -> str:
    """Write a run: what 8-bit costs, a table a model, and then the details of every pass."""
    subjects = subjects_of(run)
    answers = list(paragraphs(run, subjects))
    parts: list[RenderableType] = []
    if answers:
        parts.append(Text(title(run, subjects), style="bold"))
        for name, text in answers:
            parts += ["", *wrapped(f"{printable(name)}: {text}", min(look.width, 100))]
        parts += ["", *overview(subjects, run.machine, look)]
        parts += instead_section(subjects, run.machine, min(look.width, 100))
        parts += ["", Text("Details", style="bold")]
    head = look.written(*parts)
    return f"{head}\n\n{details(run, look)}" if head else details(run, look)


def details(run: Run, look: Look = PLAIN) -> str:
    """Write the tables of every pass, cell by cell, and what was not measured."""
    parts: list[RenderableType] = [*_head(run.machine)]
    parts += (f"note: {remark}" for remark in run.info.remarks)
    places: dict[Place, list[Measurement]] = {}
    for row in _ordered(row for row in run.measurements if _has_a_row(row)):
        places.setdefault(row.cell.place, []).append(row)
    for place, rows in places.items():
        parts += ["", _table(place, rows, run.info.reference)]
    parts += (*_legend(run), *_heard(run), *_not_believed(run), *_compiled_anew(run))
    parts += duration_section(run)
    parts += (*quality_section(run), *memory_section(run), *soak_section(run))
    parts += cost_section(run)
    parts += what_ran_section(run)
    parts += _fates(run)
    return replace(look, width=max(WIDTH, look.width)).written(*parts)


def p50(samples: tuple[float, ...]) -> float | None:
    """Return the median, or None of nothing."""
    return median(samples) if samples else None


def _has_a_row(row: Measurement) -> bool:
    """Whether a measurement stands in the first tables."""
    return isinstance(row.found, _TIMED) and row.benchmark != BENCHMARK


def _head(machine: Machine) -> list[str]:
    device = [machine.device]
    if machine.on_host:
        device.append(f"{machine.cpu_cores:g} cores")
    if machine.driver:
        device.append(f"driver {machine.driver}")
    if machine.cuda:
        device.append(f"CUDA {machine.cuda}")
    stack = [f"{name} {machine.versions[name]}" for name in _STACK if name in machine.versions]
    return [
        ", ".join(device) + f" ({machine.device_key})",
        f"Python {machine.python}, " + ", ".join(stack),
    ]


def _table(place: Place, rows: list[Measurement], reference: str) -> Table:
    """Lay out the rows of one place: what all of them have in common is the title."""
    model, clip, batch_size, attention = place
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"model {model}, clip {clip}, batch {batch_size}, attention {attention}",
        title_justify="left",
        title_style="",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("benchmark", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    speed, rate, weights = (
        METRICS[name].headings["latency"] for name in ("rtfx", "tokens_per_s", "weight_mib")
    )
    headings = ["p50", "spread", f"× {reference}", speed, rate, weights, f"× {reference}"]
    seen = [
        name for name in (_ENERGY, _COMPILING) if any(row.metric(name) is not None for row in rows)
    ]
    for heading in (*headings, *(METRICS[name].headings["latency"] for name in seen)):
        table.add_column(heading, justify="right", no_wrap=True)
    bases = {_comparable(row): row for row in rows if row.cell.precision == reference}
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        table.add_row(
            row.benchmark,
            _tokens(row),
            row.cell.precision,
            *_figures(row, bases.get(_comparable(row))),
            *(_figure(_value(row, name)) for name in seen),
            end_section=following is not None and _comparable(row) != _comparable(following),
        )
    return table


def _ordered(rows: Iterable[Measurement]) -> list[Measurement]:
    """Put rows that differ in precision alone together; transcription comes first."""
    measurements = list(rows)
    first_seen: dict[tuple[str, Cell], int] = {}
    for measurement in measurements:
        first_seen.setdefault(_comparable(measurement), len(first_seen))
    return sorted(
        measurements, key=lambda row: (row.benchmark != "transcribe", first_seen[_comparable(row)])
    )


def _comparable(measurement: Measurement) -> tuple[str, Cell]:
    """Return what a row has in common with its reference: all but the precision."""
    return measurement.benchmark, msgspec.structs.replace(measurement.cell, precision="", dtype="")


def _tokens(row: Measurement) -> str:
    if row.benchmark in ("transcribe", "first call"):
        return "natural" if row.cell.tokens is None else str(row.cell.tokens)
    return ""


def _figures(row: Measurement, base: Measurement | None) -> list[str]:
    """Write p50, spread, ratio, RTFx, tokens per second, weights and their ratio."""
    latency_s, base_latency_s = p50(_samples(row)), p50(_samples(base))
    wobble = spread(_samples(row))
    speed, fixed_speed = _value(row, "rtfx"), _value(row, "rtfx_fixed_tokens")
    rate, weights, base_weights = (
        _value(row, "tokens_per_s"),
        _value(row, "weight_mib"),
        _value(base, "weight_mib"),
    )
    rtfx = f"{format_figure(fixed_speed)}*" if fixed_speed is not None else _figure(speed)
    return [
        format_seconds(latency_s) if latency_s is not None else "",
        f"±{100 * wobble:.1f} %" if not isnan(wobble) else "",
        f"{latency_s / base_latency_s:.2f}" if latency_s and base_latency_s else "",
        rtfx,
        _figure(rate),
        _figure(weights),
        f"{weights / base_weights:.2f}" if weights and base_weights else "",
    ]


def _samples(row: Measurement | None) -> tuple[float, ...]:
    metric = row.metric("latency_s") if row is not None else None
    return metric.samples or () if metric is not None else ()


def _value(row: Measurement | None, name: str) -> float | None:
    metric = row.metric(name) if row is not None else None
    return metric.value if metric is not None else None


def _figure(value: float | None) -> str:
    return "" if value is None else format_figure(value)


def _legend(run: Run) -> list[str]:
    rows = [row for row in run.measurements if _has_a_row(row)]
    if not rows:
        return []
    lines = [
        "p50 is the median of one process's rounds; spread is half their interquartile range.",
        "Other processes differ by more. Each round of load and of first call is a fresh process.",
    ]
    timed = {row.cell.precision for row in rows}
    if run.info.reference not in timed:
        reference = run.info.reference
        lines.append(f"The columns × {reference} are empty because {reference} was not timed.")
    names = {metric.name for row in rows for metric in row.metrics}
    if "rtfx" in names:
        lines.append(
            "RTFx is seconds of audio transcribed in a second, at the transcript's natural length."
        )
    if _ENERGY in names:
        lines.append("J/s is the energy in joules of a second of audio, by the GPU's own counter.")
    if _COMPILING in names:
        lines.append(
            "compile s is what torch.compile took before anything was timed, in seconds; p50 is "
            "without it."
        )
    if "rtfx_fixed_tokens" in names:
        lines.append(
            "RTFx* is taken with the fixed token count, as random weights have no natural length."
        )
    return lines


def _heard(run: Run) -> list[str]:
    """Quote the first words of each natural-length transcript."""
    lines = []
    for row in filter(_has_a_row, run.measurements):
        transcripts = row.found.transcripts if isinstance(row.found, LatencyResult) else ()
        if row.cell.tokens is None and transcripts:
            words = printable(transcripts[0])  # a model may write anything
            line = f"{name_of(row.cell, with_clip=True)}: {words}"
            lines.append(line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}...")
    return lines


def _not_believed(run: Run) -> list[str]:
    """Name the attempts that telemetry spoilt, of benchmarks that were then timed again."""
    return [
        f"timed again: {row.benchmark}, {name_of(row.cell, with_clip=True)}: "
        f"{row.found.conditions.attempts_not_believed}"
        for row in run.measurements
        if row.found.conditions.attempts_not_believed is not None
    ]


def _compiled_anew(run: Run) -> list[str]:
    """Say why torch.compile has compiled a function again, before anything was timed."""
    found = {
        name_of(row.cell, with_clip=False): row.found.compilation.compiled_anew
        for row in run.measurements
        if isinstance(row.found, _TIMED) and row.found.compilation is not None
    }
    return [
        f"compiled again: {name}: {printable(reason)}"
        for name, reasons in found.items()
        for reason in reasons
    ]


def _fates(run: Run) -> list[str]:
    """Count what was measured, and name what was not; deselection is only counted."""
    manifest = run.info.manifest
    outcomes = Counter(
        "in other shards"
        if run.info.is_elsewhere(entry)
        else DESELECTED
        if entry.reason == DESELECTED
        else "not offered"
        if entry.not_offered
        else entry.outcome
        for entry in manifest
    )
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    return [
        *run.info.unmeasured(),
        *(f"not offered: {line}" for line in run.info.not_offered()),
        f"{counted(len(manifest), 'benchmark')} asked for: {counts}",
    ]


FORMATS: dict[str, Callable[[Run], str]] = {"text": summarise}
"""The registry of formats: what `whisperbench show --format` takes."""
