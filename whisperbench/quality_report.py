"""The quality part of a run's summary: what each precision heard, and how exactly it computes."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table

from whisperbench.errors import printable
from whisperbench.quality import NUMERICS, QUALITY, SIGN_METRICS
from whisperbench.result import ClipScore, Measurement, Run

SHOWN = 3
"""Clips that are named: those where a precision differs most from the reference."""


def quality_section(run: Run) -> Iterator[RenderableType]:
    """Yield the tables and lines of a run's quality and numerics; nothing where it has none."""
    heard = [row for row in run.measurements if row.stage == QUALITY]
    computed = [row for row in run.measurements if row.stage == NUMERICS]
    if heard:
        yield "\nquality: transcripts at natural length, greedy; error rates in %"
        yield _heard(heard, run.info.reference)
        yield from _clips(heard, run.info.reference)
    if computed:
        yield "\nnumerics: the same tokens forced through each precision and through fp32"
        yield _computed(computed)
    for row in (*heard, *computed):
        for verdict in row.verdicts:
            if verdict.verdict != "ok":
                yield f"{verdict.verdict}: {verdict.sentence}"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="", padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        left = column in ("model", "clips", "clip", "precision", "odd", "worst layer")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    return table


def _heard(rows: list[Measurement], reference: str) -> Table:
    table = _table("model", "precision", "clips", "words", "WER", "CER", f"over {reference}", "odd")
    for row in rows:
        odd = [
            f"{_value(row, metric):.0f} {sign}"
            for sign, metric in SIGN_METRICS.items()
            if _value(row, metric)
        ]
        table.add_row(
            row.cell.model,
            row.cell.precision,
            f"{row.number('clips'):.0f} of {row.cell.clip}",
            f"{row.number('words'):.0f}",
            _percent(row, "wer"),
            _percent(row, "cer"),
            _over(row),
            ", ".join(odd),
        )
    return table


def _over(row: Measurement) -> str:
    metric = row.metric("wer_over_reference")
    if metric is None or metric.value is None:
        return ""
    said = f"{100 * metric.value:+.2f}"
    if "wer_over_reference_low" in row.notes:
        low, high = (100 * row.number(f"wer_over_reference_{end}") for end in ("low", "high"))
        said += f" ({low:+.2f} to {high:+.2f})"
    return said


def _clips(rows: list[Measurement], reference: str) -> Iterator[str]:
    """Name the clips that a precision hears otherwise than the reference does."""
    bases = {row.cell.model: row for row in rows if row.cell.precision == reference}
    for row in rows:
        base = bases.get(row.cell.model)
        before = {clip.name: clip for clip in base.clips} if base is not None else {}
        changed = [
            (clip.word_edits - before[clip.name].word_edits, clip)
            for clip in row.clips
            if clip.name in before and clip.word_edits != before[clip.name].word_edits
        ]
        most = sorted(changed, key=lambda each: -abs(each[0]))[:SHOWN]
        if most:
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            said = ", ".join(f"{clip.name} {change:+d}" for change, clip in most)
            yield f"{row.cell.model} {row.cell.precision}: wrong words, by clip: {said}{more}"
        for clip, text in zip(row.clips, row.transcripts, strict=False):
            if clip.signs:
                yield _odd(row, clip, text)
    if any(row.metric("wer_over_reference") is not None for row in rows):
        yield "In brackets: 95 % interval of other such clips (paired bootstrap)."


def _odd(row: Measurement, clip: ClipScore, text: str) -> str:
    said = printable(text)[:60] or "nothing"
    return f"{row.cell.model} {row.cell.precision}: {clip.name}: {', '.join(clip.signs)}: {said}"


def _computed(rows: list[Measurement]) -> Table:
    table = _table(
        "model", "precision", "clip", "logit error", "top-1", "worst layer", "layer error"
    )
    for row in rows:
        table.add_row(
            row.cell.model,
            row.cell.precision,
            row.cell.clip,
            f"{_value(row, 'logit_error'):.2%}",
            f"{_value(row, 'top1_agreement'):.1%}",
            str(row.notes.get("worst_layer", "")),
            f"{_value(row, 'worst_layer_error'):.2%}",
        )
    return table


def _value(row: Measurement, name: str) -> float:
    metric = row.metric(name)
    return metric.figures[0] if metric is not None else 0.0


def _percent(row: Measurement, name: str) -> str:
    return f"{100 * _value(row, name):.2f}" if row.metric(name) is not None else ""
