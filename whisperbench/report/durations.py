"""What short and long audio costs: a table of the durations of each model, and a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan
from statistics import median

from rich import box
from rich.console import RenderableType
from rich.table import Table

from whisperbench.errors import printable
from whisperbench.report.standing import over, spread
from whisperbench.results.records import Measurement, Run, unusual
from whisperbench.units import WINDOW_S, format_figure, format_seconds

BENCHMARK = "duration"
"""What the measurements of benchmarks/test_durations.py are called."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A precision on speech of a duration. NaN is what was not measured."""

    precision: str
    audio_s: float
    latency_s: float
    spread: float
    rtfx: float
    """Seconds of audio transcribed in a second, of the whole batch."""
    fixed_tokens: int | None
    window_share: float
    """Share of the time that the front end and the encoder take."""

    @property
    def filled(self) -> float:
        """Share of the windows of 30 s that is audio, and not padding."""
        windows = -(-self.audio_s // WINDOW_S) or 1.0
        return self.audio_s / (windows * WINDOW_S)


@dataclass(frozen=True, kw_only=True)
class Durations:
    """A model at a batch size: each precision on each duration, the shortest first."""

    name: str
    reference: str
    rows: tuple[Timed, ...]

    def of(self, precision: str) -> list[Timed]:
        """Return the durations of a precision."""
        return [row for row in self.rows if row.precision == precision]

    def base_of(self, row: Timed) -> Timed | None:
        """Return the reference precision on the same duration and work."""
        same = (
            each
            for each in self.of(self.reference)
            if (each.audio_s, each.fixed_tokens) == (row.audio_s, row.fixed_tokens)
        )
        return next(same, None)


def durations_of(run: Run) -> list[Durations]:
    """Collect what a run has timed of each duration."""
    found: dict[str, list[Measurement]] = {}
    for row in run.measurements:
        if row.benchmark == BENCHMARK:
            cell = row.cell
            name = f"{cell.model}{unusual(cell.batch_size, cell.attention)}"
            found.setdefault(name, []).append(row)
    reference = run.info.reference
    return [
        Durations(
            name=printable(name),
            reference=reference,
            rows=tuple(
                sorted(
                    map(_timed, rows),
                    key=lambda row: (row.audio_s, row.precision != reference),
                )
            ),
        )
        for name, rows in found.items()
    ]


def _timed(row: Measurement) -> Timed:
    latency = row.metric("latency_s")
    fixed = row.cell.tokens is not None
    return Timed(
        precision=row.cell.precision,
        audio_s=row.cell.audio_s,
        latency_s=_figure(row, "latency_s"),
        spread=spread(latency.samples) if latency is not None and latency.samples else nan,
        rtfx=_figure(row, "rtfx_fixed_tokens" if fixed else "rtfx"),
        fixed_tokens=row.cell.tokens,
        window_share=_figure(row, "window_share"),
    )


def _figure(row: Measurement, name: str) -> float:
    metric = row.metric(name)
    return median(metric.figures) if metric is not None else nan


def headings(found: Durations) -> tuple[str, ...]:
    """Return the columns of a table."""
    return (
        *("audio", "precision", "p50", "spread", f"× {found.reference}", "RTFx", "tokens"),
        *("of a window", "window's part"),
    )


def cells(found: Durations, row: Timed) -> tuple[str, ...]:
    """Write a row."""
    base = found.base_of(row)
    times = over(row.latency_s, base.latency_s) if base is not None else nan
    fixed = row.fixed_tokens is not None
    return (
        f"{format_figure(row.audio_s)} s",
        printable(row.precision),
        format_seconds(row.latency_s) if not isnan(row.latency_s) else "",
        f"±{100 * row.spread:.1f} %" if not isnan(row.spread) else "",
        f"{times:.2f}" if not isnan(times) else "",
        format_figure(row.rtfx) + ("*" if fixed else "") if not isnan(row.rtfx) else "",
        str(row.fixed_tokens) if fixed else "natural",
        f"{100 * row.filled:.0f} %",
        f"{100 * row.window_share:.0f} %" if not isnan(row.window_share) else "",
    )


def sentences(found: Durations) -> Iterator[str]:
    """Say what the shortest audio costs beside what fills a window."""
    for precision in dict.fromkeys(row.precision for row in found.rows):
        rows = found.of(precision)
        whole = [row for row in rows if row.audio_s <= WINDOW_S]
        if len(whole) < 2:
            continue
        short, full = whole[0], whole[-1]
        yield (
            f"In {printable(precision)} {format_figure(short.audio_s)} s of speech take "
            f"{format_seconds(short.latency_s)}, "
            f"{100 * over(short.latency_s, full.latency_s):.0f} % of the time of "
            f"{format_figure(full.audio_s)} s."
        )


LEGEND = (
    "Audio is padded to windows of 30 s: of a window says how much of them is audio, and window's "
    "part is the share of the time that the front end and the encoder take, whatever is said. "
    "RTFx is seconds of audio transcribed in a second; * marks a fixed token count, which random "
    "weights decode because they have no natural length."
)


def duration_section(run: Run) -> list[RenderableType]:
    """Lay out the tables of a run, with what their columns mean."""
    parts: list[RenderableType] = []
    for found in durations_of(run):
        table = Table(
            box=box.SIMPLE_HEAD,
            title=f"model {found.name}, speech of several durations",
            title_justify="left",
            title_style="",
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        for heading in headings(found):
            left = heading == "precision"
            table.add_column(heading, justify="left" if left else "right", no_wrap=True)
        for row, following in zip(found.rows, [*found.rows[1:], None], strict=True):
            ends = following is not None and following.audio_s != row.audio_s
            table.add_row(*cells(found, row), end_section=ends)
        parts += ["", table, *sentences(found)]
    return [*parts, LEGEND] if parts else []


def told(found: Sequence[Durations]) -> list[str]:
    """Return the sentences of all models, each with the model's name."""
    return [f"{each.name}: {' '.join(sentences(each))}" for each in found if any(sentences(each))]
