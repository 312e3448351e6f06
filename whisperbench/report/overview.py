"""One table a model: what each precision takes and gives, joined over all passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from whisperbench.report.look import Look
from whisperbench.report.placing import beaten_by, frontier_of
from whisperbench.report.standing import Standing, Subject, over
from whisperbench.results.records import Machine
from whisperbench.units import format_figure, format_seconds

BAR = 8
"""Cells of the bar that shows a peak against its ceiling; twice as many in a wide terminal."""

WIDE = 130
"""Columns from which a terminal is wide."""

NEARLY_FULL = 0.9
"""Share of the ceiling from which the bar warns."""

_UNBOUND = Console(width=1000)
"""A console that measures how many columns a table would take."""

_BUSY = "GPU\nbusy"
_PEAK = "peak and\nlimit, MiB"
_WER = "WER\n%"
_SPREAD = "spread\n%"
_BEATEN = "beaten\nby"

_BAD = ("invalid", "failed", "regressed", "over limit", "skipped", "not comparable")


@dataclass(frozen=True)
class _Column:
    """A column: its heading, and what stands in it."""

    heading: str
    cell: Callable[[Standing], str | Text]
    right: bool = True
    rank: int = 0
    """Of those that may be left out where there is no room, which goes first: the highest."""


def overview(subjects: Sequence[Subject], machine: Machine, look: Look) -> Iterator[Table | str]:
    """Yield a table for each subject, and what its columns mean."""
    shown: set[str] = set()
    left_out: set[str] = set()
    for subject in subjects:
        table, columns, without = _fitted(subject, machine, look)
        shown |= columns
        left_out |= without
        yield _title(subject)
        yield table
    yield from _legend(subjects, shown, left_out)


def _fitted(subject: Subject, machine: Machine, look: Look) -> tuple[Table, set[str], set[str]]:
    """Lay a table out. A column that is empty is left out, and so is what finds no room."""
    columns = [
        column
        for column in _columns(subject, machine, BAR if look.width < WIDE else 2 * BAR)
        if any(column.cell(each) for each in subject.standings)
    ]
    without: set[str] = set()
    while True:
        table = _table(subject, columns)
        spare = max(columns, key=lambda column: column.rank)
        if not spare.rank or _UNBOUND.measure(table).maximum <= look.width:
            return table, {column.heading for column in columns}, without
        columns.remove(spare)
        without.add(spare.heading.replace("\n", " ") or "bar")


def _table(subject: Subject, columns: Sequence[_Column]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in columns:
        justify = "right" if column.right else "left"
        table.add_column(column.heading, justify=justify, no_wrap=True, vertical="bottom")  # type: ignore[arg-type]
    for each in subject.standings:
        table.add_row(*(column.cell(each) for column in columns))
    return table


def _title(subject: Subject) -> str:
    if subject.clip is None:
        return f"model {subject.model}, heard for its words"
    tokens = {each.tokens for each in subject.standings if not isnan(each.tokens)}
    fixed = f", {tokens.pop():.0f} tokens" if len(tokens) == 1 else ""
    batch = f", batch {subject.batch_size}" if subject.batch_size != 1 else ""
    attention = f", attention {subject.attention}" if subject.attention != "sdpa" else ""
    return f"model {subject.model}, clip {subject.clip}{fixed}{batch}{attention}"


def _columns(subject: Subject, machine: Machine, bar: int) -> list[_Column]:
    base = subject.of(subject.reference)
    frontier = frontier_of(subject, on_host=machine.on_host)

    def ratio(each: Standing) -> str:
        alike = each.tokens == base.tokens or (isnan(each.tokens) and isnan(base.tokens))
        return _text(over(each.latency_s, base.latency_s), _two) if alike else ""

    def ceiling(each: Standing) -> float:
        return float(machine.memory_mib) if isnan(each.limit_mib) else each.limit_mib

    def peak(each: Standing) -> str:
        if each.ran_out:
            return "out of memory"
        if isnan(each.peak_mib):
            return ""
        most = format_figure(ceiling(each))
        beside = f"({most})" if isnan(each.limit_mib) else f"of {most}"
        return f"{format_figure(each.peak_mib)} {beside}"

    def filled(each: Standing) -> Text:
        return _bar(over(each.peak_mib, ceiling(each)), bar)

    return [
        _Column("precision", lambda each: each.precision, right=False),
        _Column("p50", lambda each: _text(each.latency_s, format_seconds)),
        _Column(_SPREAD, lambda each: _text(each.spread, _spread), rank=4),
        _Column(f"× {subject.reference}", ratio),
        _Column("RTFx", _rtfx, rank=2),
        _Column("weights\nMiB", lambda each: _text(each.weight_mib, format_figure)),
        _Column(_PEAK, peak),
        _Column("", filled, right=False, rank=5),
        _Column(_WER, lambda each: _text(each.wer, _percent)),
        _Column(_BUSY, lambda each: _text(each.gpu_busy, _whole_percent), rank=3),
        _Column(_BEATEN, lambda each: beaten_by(frontier, each.precision), right=False, rank=1),
        _Column("verdict", _verdict, right=False),
    ]


def _text(value: float, written: Callable[[float], str]) -> str:
    return "" if isnan(value) else written(value)


def _two(value: float) -> str:
    return f"{value:.2f}"


def _spread(value: float) -> str:
    return f"±{100 * value:.1f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _whole_percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _rtfx(each: Standing) -> str:
    return _text(each.rtfx, format_figure) + ("*" if each.rtfx_fixed and each.rtfx > 0 else "")


def _bar(share: float, cells: int) -> Text:
    """Draw a share; anything at all is a cell, and only what is full is all of them."""
    if isnan(share):
        return Text("")
    full = cells if share >= 1 else min(cells - 1, max(1, round(share * cells)))
    style = "red" if share > 1 else "yellow" if share >= NEARLY_FULL else "green"
    return Text("█" * full, style=style) + Text("░" * (cells - full))


def _verdict(each: Standing) -> Text:
    verdict = "over limit" if each.ran_out else each.verdict
    text = verdict if verdict != "none" else "no limit" if each.measured else ""
    if each.lost and each.measured:
        text = f"{each.lost} missing"
    style = "red" if each.lost or verdict in _BAD else "green" if verdict == "ok" else ""
    return Text(text, style=style)


def _legend(subjects: Sequence[Subject], shown: set[str], left_out: set[str]) -> Iterator[str]:
    standings = [each for subject in subjects for each in subject.standings]
    if "p50" in shown:
        yield "p50 is the median time of a transcription; spread is half the interquartile range."
    if "RTFx" in shown:
        fixed = (
            "; * marks a fixed token count" if any(each.rtfx_fixed for each in standings) else ""
        )
        yield f"RTFx is seconds of audio transcribed in a second{fixed}."
    if _PEAK in shown:
        bare = any(isnan(each.limit_mib) and each.peak_mib > 0 for each in standings)
        brackets = "; brackets hold the device's memory where there is no limit" if bare else ""
        yield f"The peak stands beside its limit of benchmarks/suite.toml{brackets}."
    if _WER in shown:
        yield "WER is the word error rate."
    if _BUSY in shown:
        yield "GPU busy is the share of the time of decoding in which the GPU works."
    if _BEATEN in shown:
        yield "Beaten by: another one is as good in all and surely better in one; +1 is one more."
    if any(each.verdict == "ok" for each in standings):
        yield "The verdict ok says that no limit of benchmarks/suite.toml is exceeded."
    if any(each.verdict == "none" and each.measured for each in standings):
        yield "The verdict no limit says that benchmarks/suite.toml has no limit for the precision."
    if left_out:
        yield f"The width leaves no room for the columns {', '.join(sorted(left_out))}."
