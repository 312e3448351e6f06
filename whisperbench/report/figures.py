"""Every figure of runs as a line of its own, for spreadsheets and data frames: CSV, JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from statistics import median

from whisperbench.report.candidates import got_through
from whisperbench.results.figure import Metric
from whisperbench.results.records import (
    WITH_FIGURES,
    Machine,
    ManifestEntry,
    Measurement,
    Run,
    Verdict,
)

Value = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class _Line:
    """What a line is made of: a figure, or a benchmark of which there is none."""

    file: str
    machine: Machine
    run: Run
    row: Measurement | None = None
    metric: Metric | None = None
    entry: ManifestEntry | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The worst verdict on the metric."""
        if self.row is None or self.metric is None:
            return None
        own = [each for each in self.row.verdicts if each.metric == self.metric.name]
        return next((each for each in own if each.verdict != "ok"), own[0] if own else None)

    @property
    def samples(self) -> tuple[float, ...]:
        """What the value is the middle of: rounds, or processes of a baseline."""
        if self.metric is None:
            return ()
        return self.metric.processes or self.metric.samples or self.metric.figures


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column."""

    name: str
    means: str
    """A sentence, with units."""
    of: Callable[[_Line], Value]


def _of_cell(name: str) -> Callable[[_Line], Value]:
    def of(line: _Line) -> Value:
        found: Value = getattr(line.row.cell, name) if line.row is not None else None
        return found

    return of


def _of_metric(name: str) -> Callable[[_Line], Value]:
    def of(line: _Line) -> Value:
        found: Value = getattr(line.metric, name) if line.metric is not None else None
        return found

    return of


def _of_verdict(name: str) -> Callable[[_Line], Value]:
    def of(line: _Line) -> Value:
        found: Value = getattr(line.verdict, name) if line.verdict is not None else None
        return found

    return of


def _benchmark(line: _Line) -> Value:
    if line.row is not None:
        return line.row.benchmark
    return line.entry.benchmark if line.entry is not None else None


def _outcome(line: _Line) -> Value:
    if line.entry is not None:
        return line.entry.outcome
    # What ran out of memory has figures of as far as it got.
    whole = line.row is None or line.row.benchmark != "memory" or got_through(line.row)
    return "measured" if whole else "over-limit"


COLUMNS: tuple[Column, ...] = (
    Column(name="file", means="The run's file, as it was named.", of=lambda line: line.file),
    Column(
        name="device_key",
        means="What must be equal before two runs are compared: the device's slug.",
        of=lambda line: line.machine.device_key,
    ),
    Column(name="device", means="Name of the device.", of=lambda line: line.machine.device),
    Column(
        name="reference",
        means="The precision that the run's ratios are taken against.",
        of=lambda line: line.run.info.reference,
    ),
    Column(
        name="outcome",
        means="`measured` of a figure; `over-limit` of memory as far as a cell got before it ran "
        "out of it. Of a benchmark without figures what became of it: `invalid`, `skipped` or "
        "`failed`.",
        of=_outcome,
    ),
    Column(
        name="reason",
        means="Why there are no figures; empty where there are.",
        of=lambda line: line.entry.reason if line.entry is not None else None,
    ),
    Column(
        name="benchmark",
        means="What was measured, such as `transcribe` or `memory`. Of a benchmark without "
        "figures its id.",
        of=_benchmark,
    ),
    Column(name="model", means="The model, as `--model` takes it.", of=_of_cell("model")),
    Column(
        name="checkpoint",
        means="What tells the checkpoint from others of the same name: a commit, recipe or digest.",
        of=_of_cell("checkpoint"),
    ),
    Column(name="precision", means="The precision.", of=_of_cell("precision")),
    Column(
        name="dtype", means="The dtype of everything that is not quantized.", of=_of_cell("dtype")
    ),
    Column(name="attention", means="The implementation of attention.", of=_of_cell("attention")),
    Column(
        name="batch_size", means="Clips that are transcribed at once.", of=_of_cell("batch_size")
    ),
    Column(name="clip", means="The clip, or the set of recordings.", of=_of_cell("clip")),
    Column(name="clip_sha256", means="SHA-256 of the audio.", of=_of_cell("clip_sha256")),
    Column(name="audio_s", means="Seconds of audio in the clip.", of=_of_cell("audio_s")),
    Column(name="language", means="The language's code.", of=_of_cell("language")),
    Column(
        name="tokens",
        means="Tokens of the fixed-length decode. Empty at natural length and where nothing is "
        "decoded.",
        of=_of_cell("tokens"),
    ),
    Column(
        name="metric",
        means="Name of the figure: a row of `METRICS` in whisperbench/results/metrics.py.",
        of=_of_metric("name"),
    ),
    Column(
        name="unit",
        means="Unit of the figure; `1` of a count or a ratio.",
        of=_of_metric("unit"),
    ),
    Column(
        name="kind",
        means="How noisy it is: `exact`, `device_time`, `memory`, `wall` or `quality`.",
        of=_of_metric("kind"),
    ),
    Column(name="better", means="Which is better: `lower` or `higher`.", of=_of_metric("better")),
    Column(
        name="derived",
        means="Whether it is another figure of the cell, divided by something.",
        of=_of_metric("derived"),
    ),
    Column(
        name="value",
        means="The figure. Of several rounds or processes it is the median.",
        of=lambda line: median(line.samples) if line.samples else None,
    ),
    Column(
        name="samples",
        means="How many rounds, or processes of a baseline, the value is the median of.",
        of=lambda line: len(line.samples) or None,
    ),
    Column(
        name="lowest", means="The lowest of these.", of=lambda line: min(line.samples, default=None)
    ),
    Column(name="highest", means="The highest.", of=lambda line: max(line.samples, default=None)),
    Column(
        name="verdict",
        means="What a limit or a baseline says of the figure, the worst of several; empty where "
        "none applied.",
        of=_of_verdict("verdict"),
    ),
    Column(
        name="limit",
        means="The most or the least that it may be, by that verdict. Of a limit that is a share "
        "of another precision's figure, that share.",
        of=_of_verdict("limit"),
    ),
)
"""The registry of columns, in their order. docs/results-columns.md is held to it by a test."""


def _lines(runs: Sequence[tuple[str, Run]]) -> Iterator[_Line]:
    """Yield a line for each figure, and for each benchmark that was asked for and has none."""
    for file, run in runs:
        for row in run.measurements:
            for metric in row.metrics:
                yield _Line(file=file, machine=run.machine, run=run, row=row, metric=metric)
        for entry in run.info.manifest:
            missing = entry.outcome not in WITH_FIGURES and not entry.deselected
            if missing and not run.info.is_elsewhere(entry):
                yield _Line(file=file, machine=run.machine, run=run, entry=entry)


def as_csv(runs: Sequence[tuple[str, Run]]) -> str:
    """Write figures as CSV (RFC 4180) with a line of headings.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.name for column in COLUMNS])
    for line in _lines(runs):
        writer.writerow([_cell(column.of(line)) for column in COLUMNS])
    return out.getvalue().rstrip("\n")


def as_jsonl(runs: Sequence[tuple[str, Run]]) -> str:
    """Write figures as JSON lines: an object each, with every column; null where it is empty."""
    return "\n".join(
        json.dumps({column.name: column.of(line) for column in COLUMNS}, ensure_ascii=False)
        for line in _lines(runs)
    )


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "-", "@")) else value
    return repr(value)


FORMATS: dict[str, Callable[[Sequence[tuple[str, Run]]], str]] = {
    "csv": as_csv,
    "jsonl": as_jsonl,
}
"""What `whisperbench show A.json B.json --format` takes, beside what the others have."""
