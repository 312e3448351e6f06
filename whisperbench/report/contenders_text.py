"""The table of contenders as text, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO
from math import isnan, nan

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from whisperbench.errors import InputError
from whisperbench.judge.frontier import Frontier
from whisperbench.report.case import listed
from whisperbench.report.contenders import QUESTION, sentences, times_of, title_of
from whisperbench.report.inert import inert
from whisperbench.report.joined import joined
from whisperbench.report.placing import contender_of, frontier_of, work_of
from whisperbench.report.standing import Standing, Subject, subjects_of
from whisperbench.results.records import Machine, Run
from whisperbench.results.sameness import STACK, differing
from whisperbench.units import format_figure, format_seconds

WIDTH = 120
"""Columns of the text."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A contender. What was not measured is None."""

    precision: str
    time_s: float | None
    """p50 of a transcription."""
    spread: float | None
    """Half the interquartile range of its rounds, as a share of the p50."""
    times: float | None
    """How many times the reference's time it takes."""
    rtfx: float | None
    """Seconds of audio transcribed in a second."""
    rtfx_fixed_tokens: bool
    """Whether that is of the fixed token count."""
    peak_mib: float | None
    weight_mib: float | None
    wer: float | None
    ran: str
    """What ran, in a few words; empty where no pass says it."""
    stands: bool
    """Whether nothing beats it, and everything was measured of it."""
    beaten_by: dict[str, tuple[str, ...]]
    """Those that beat it, and what each is surely better in."""
    lacks: tuple[str, ...]
    """What was not measured of it and was of others."""


class Contenders(msgspec.Struct, frozen=True, kw_only=True):
    """The contenders of a model on one clip at one batch size."""

    subject: str
    device: str
    device_key: str
    reference: str
    tokens: int | None
    """Tokens that each decoded; None at natural length."""
    measures: tuple[str, ...]
    """What they were held against each other in; nothing where they were not."""
    rows: tuple[Row, ...]
    """Those that nothing beats first, and the quickest of them first."""
    sentences: tuple[str, ...]


_NOT_PLACED = "Nothing is placed: that takes the time and the peak memory of two precisions."


def contenders_of(runs: Sequence[tuple[str, Run]]) -> list[Contenders]:
    """Place the contenders of runs of one device.

    Args:
        runs: what to call each in an error, and the run.

    Raises:
        InputError: as `joined`, or nothing of them was timed.
    """
    run = joined(runs)
    apart = _of_other_stacks(runs)
    found = [
        _contenders(subject, run, len(runs), apart)
        for subject in subjects_of(run)
        if any(not isnan(each.latency_s) for each in subject.standings)
    ]
    if not found:
        raise InputError(
            f"{', '.join(name for name, _ in runs)}: has no contenders: no transcription was "
            "timed; run pytest benchmarks/"
        )
    return found


def _of_other_stacks(runs: Sequence[tuple[str, Run]]) -> tuple[str, ...]:
    """Say which files have another stack than one before them, and in what they differ first.

    A package that one of two does not name is no difference: it may be an extra that no row of that
    file needs.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for place, (name, run) in enumerate(runs):
        for before, other in runs[:place]:
            if said := _differing(other.machine, run.machine):
                alike.setdefault((before, said), []).append(name)
                break
    return tuple(
        f"{listed(names)} {'were' if names[1:] else 'was'} measured with another stack than "
        f"{before}: {said}."
        for (before, said), names in alike.items()
    )


def _differing(one: Machine, other: Machine) -> str | None:
    both = one.versions.keys() & other.versions.keys()
    first, second = (
        msgspec.structs.replace(each, versions={name: each.versions[name] for name in both})
        for each in (one, other)
    )
    return differing(first, second, (*STACK, "driver"))


def _contenders(subject: Subject, run: Run, processes: int, remarks: tuple[str, ...]) -> Contenders:
    on_host = run.machine.on_host
    frontier = frontier_of(subject, on_host=on_host, processes=processes, fewest=2)
    placed = frontier if frontier is not None and frontier.standing else None
    told = sentences(subject, placed) if placed is not None else [_NOT_PLACED]
    measured = [each for each in subject.standings if each.measured]
    work = work_of(measured)
    tokens = nan if work is None else work
    rows = [_row(each, frontier, subject.reference) for each in measured]
    return Contenders(
        subject=title_of(subject),
        device=run.machine.device,
        device_key=run.machine.device_key,
        reference=subject.reference,
        tokens=None if isnan(tokens) else int(tokens),
        measures=frontier.measures if frontier is not None else (),
        rows=tuple(sorted(rows, key=lambda row: (not row.stands, row.time_s or float("inf")))),
        sentences=(*told, *remarks),
    )


def _row(each: Standing, frontier: Frontier | None, reference: str) -> Row:
    place = frontier.of(each.precision) if frontier is not None else None
    contender = place.contender if place is not None else contender_of(each, each.tokens)
    times = times_of(contender, frontier, reference) if frontier is not None else nan
    return Row(
        precision=each.precision,
        time_s=_known(contender.time_s),
        spread=_known(contender.spread),
        times=_known(times),
        rtfx=_known(each.rtfx),
        rtfx_fixed_tokens=each.rtfx_fixed,
        peak_mib=_known(each.peak_mib),
        weight_mib=_known(each.weight_mib),
        wer=_known(each.wer),
        ran=each.ran,
        stands=place is not None and place.stands,
        beaten_by=dict(place.beaten_by) if place is not None else {},
        lacks=place.lacks if place is not None else (),
    )


def _known(value: float) -> float | None:
    return None if isnan(value) else value


def _cells(row: Row) -> list[str]:
    first, *others = row.beaten_by or [""]
    return [
        row.precision,
        format_seconds(row.time_s) if row.time_s is not None else "",
        f"±{100 * row.spread:.1f} %" if row.spread is not None else "",
        f"{row.times:.2f}" if row.times is not None else "",
        format_figure(row.rtfx) + ("*" if row.rtfx_fixed_tokens else "")
        if row.rtfx is not None
        else "",
        f"{row.peak_mib:.0f}" if row.peak_mib is not None else "",
        f"{row.weight_mib:.0f}" if row.weight_mib is not None else "",
        f"{100 * row.wer:.2f} %" if row.wer is not None else "",
        first + (f" and {len(others)} more" if others else ""),
        row.ran,
    ]


def _shown(found: Contenders) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells; a column that nothing fills is left out."""
    headings = [
        *("precision", "p50", "spread", f"× {found.reference}", "RTFx", "peak, MiB"),
        *("weights, MiB", "WER", "beaten by", "what ran"),
    ]
    cells = [_cells(row) for row in found.rows]
    kept = [place for place in range(len(headings)) if any(line[place] for line in cells)]
    return [headings[place] for place in kept], [[line[place] for place in kept] for line in cells]


def _heading(found: Contenders) -> str:
    tokens = f", {found.tokens} tokens" if found.tokens is not None else ""
    return f"{found.subject}{tokens}, on {found.device} ({found.device_key})"


_LEFT = ("precision", "beaten by", "what ran")
"""Columns of words."""

_LEGEND = (
    "p50 is the median time of a transcription, and spread half the interquartile range of its "
    "rounds. RTFx is seconds of audio transcribed in a second; * marks a fixed token count. Peak "
    "is the most memory that the process held. A contender is beaten by another one that is as "
    "good in time, peak memory and words, and surely better in one of them."
)


def as_text(found: Sequence[Contenders]) -> str:
    """Write the tables for a terminal."""
    out = StringIO()
    console = Console(
        file=out, width=WIDTH, color_system=None, highlight=False, emoji=False, markup=False
    )
    console.print(QUESTION)
    for each in found:
        console.print(f"\n{_heading(each)}\n")
        console.print(" ".join(each.sentences))
        headings, lines = _shown(each)
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for name in headings:
            left = name in _LEFT
            wraps = name == "what ran"
            table.add_column(name, justify="left" if left else "right", no_wrap=not wraps)
        for line in lines:
            table.add_row(*line)
        console.print(table)
    console.print(_LEGEND)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def as_markdown(found: Sequence[Contenders]) -> str:
    """Write the tables for a page."""
    parts: list[str] = []
    for each in found:
        headings, lines = _shown(each)
        rule = ["---" if name in _LEFT else "---:" for name in headings]
        parts += [f"### {inert(_heading(each))}", "", inert(" ".join(each.sentences)), ""]
        parts += [
            f"| {' | '.join(row)} |"
            for row in (headings, rule, *([*map(inert, line)] for line in lines))
        ]
        parts += [""]
    return "\n".join([*parts, _LEGEND.replace("*", r"\*")])


def as_json(found: Sequence[Contenders]) -> str:
    """Write all of it, for a program."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1).decode()


FORMATS: dict[str, Callable[[Sequence[Contenders]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "json": as_json,
}
"""What `whisperbench contenders --format` takes."""
