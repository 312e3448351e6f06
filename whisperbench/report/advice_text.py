"""Advice as text, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from whisperbench.report.advice import Advice, heading
from whisperbench.report.fitness import Weighed
from whisperbench.report.inert import inert
from whisperbench.units import format_figure, format_seconds

WIDTH = 100
"""Columns of the text."""

_HEADINGS = (
    *("will do", "precision", "batch", "p50", "× {}", "audio s/s", "MiB", "share", "WER"),
    "why",
)

_KNOWN = "What the figures cannot say"
_MEASURE = "What to measure to know better"


def _legend(advice: Advice, headings: Sequence[str]) -> str:
    """Explain the columns that are shown, a sentence each."""
    length = f"{advice.tokens} tokens" if advice.tokens is not None else "its natural length"
    ratio = f"× {advice.reference}"
    place = f" on the {advice.measured_device}" if advice.elsewhere else ""
    about = ", by what was measured on another card" if advice.elsewhere else ""
    said = {
        "p50": f"p50 is the median time of a call on clip {advice.clip}, decoded to {length}"
        f"{place}.",
        ratio: f"{ratio} is that time divided by the one of {advice.reference} at its smallest "
        "batch size.",
        "audio s/s": f"Audio s/s is the seconds of audio that are transcribed in a second{place}.",
        "MiB": f"MiB is the memory that a precision takes{about}.",
        "share": "Share is the part of the available memory that this is.",
        "WER": f"WER is the word error rate less that of {advice.reference}, in points.",
    }
    return " ".join(sentence for name, sentence in said.items() if name in headings)


def _cells(row: Weighed, advice: Advice) -> list[str]:
    each = row.candidate
    room = advice.room_mib
    return [
        row.answer,
        each.precision,
        str(each.batch_size),
        format_seconds(each.latency_s) if each.latency_s is not None else "",
        f"{each.latency_ratio:.2f}" if each.latency_ratio is not None else "",
        format_figure(each.audio_per_s) if each.audio_per_s is not None else "",
        f"{row.need_mib:.0f}" if row.need_mib is not None else "",
        f"{100 * row.need_mib / room:.0f} %" if row.need_mib is not None and room else "",
        f"{100 * each.wer_increase:+.2f}" if each.wer_increase is not None else "",
        "; ".join(row.reasons),
    ]


def _shown(advice: Advice) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells; a column that nothing fills is left out."""
    headings = [each.format(advice.reference) for each in _HEADINGS]
    cells = [_cells(row, advice) for row in advice.rows]
    kept = [place for place in range(len(headings)) if any(line[place] for line in cells)]
    return [headings[place] for place in kept], [[line[place] for place in kept] for line in cells]


def as_text(found: Sequence[Advice]) -> str:
    """Write advice for a terminal."""
    out = StringIO()
    console = Console(
        file=out, width=WIDTH, color_system=None, highlight=False, emoji=False, markup=False
    )
    for place, advice in enumerate(found):
        if place:
            console.print()
        console.print(heading(advice))
        console.print()
        for sentence in advice.sentences:
            console.print(sentence)
        headings, lines = _shown(advice)
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for name in headings:
            left = name in ("will do", "precision", "why")
            table.add_column(name, justify="left" if left else "right", no_wrap=name != "why")
        for line in lines:
            table.add_row(*line)
        console.print(table)
        console.print(_legend(advice, headings))
        for title, said in ((_KNOWN, advice.not_known), (_MEASURE, advice.to_measure)):
            if said:
                console.print(f"\n{title}:")
            for sentence in said:
                console.print(f"- {sentence}", soft_wrap=title == _MEASURE)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def as_markdown(found: Sequence[Advice]) -> str:
    """Write advice for a page."""
    parts = []
    for advice in found:
        headings, lines = _shown(advice)
        table = [headings, ["---"] * len(headings), *([*map(inert, line)] for line in lines)]
        parts += [f"### {inert(heading(advice))}", "", *map(inert, advice.sentences), ""]
        parts += [f"| {' | '.join(row)} |" for row in table]
        parts += ["", inert(_legend(advice, headings)), ""]
        for title, said in ((_KNOWN, advice.not_known), (_MEASURE, advice.to_measure)):
            if said:
                parts += [f"{title}:", "", *(f"- {inert(line)}" for line in said), ""]
    return "\n".join(parts).rstrip()


def as_json(found: Sequence[Advice]) -> str:
    """Write all of it, for a program."""
    data = [{"answer": each.answer, **msgspec.to_builtins(each)} for each in found]
    return msgspec.json.format(msgspec.json.encode(data), indent=1).decode()


FORMATS: dict[str, Callable[[Sequence[Advice]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "json": as_json,
}
"""What `whisperbench advise --format` takes."""
