"""The quality part of a run's summary: what each precision heard, and how exactly it computes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from rich import box
from rich.console import JustifyMethod, RenderableType
from rich.table import Table

from whisperbench.errors import printable
from whisperbench.report.rows import Row, by_place
from whisperbench.results.heard import HeardLine
from whisperbench.results.metric_row import MetricRow, Pass
from whisperbench.results.metrics import made_by
from whisperbench.results.passes import ClipScore, NumericsResult, QualityResult
from whisperbench.results.records import CLIPS, Run
from whisperbench.text.normalizers import normalizer_name
from whisperbench.text.words import mark_edits, pooled, score
from whisperbench.units import counted

_Heard = Row[QualityResult]

SHOWN = 3
"""Clips that are named: those where a precision differs most from the reference."""

QUOTED = "harbour"
"""The clip that is quoted; of a run that did not hear it, its first one."""

QUOTED_CHARACTERS = 96
"""Of it: a line of a report."""


def quality_section(run: Run) -> Iterator[RenderableType]:
    """Yield the tables and lines of a run's quality and numerics; nothing where it has none."""
    reference = run.info.reference
    heard = by_place(run, QualityResult)
    for (model, clips, batch_size, attention), rows in heard.items():
        found = rows[0].found
        count = len(found.clips)
        of_them = f" of {clips}" if clips != CLIPS else ""
        yield (
            f"\nquality: model {model}, {counted(count, 'clip')}{of_them}, "
            f"{found.score.words} words, batch {batch_size}, attention {attention}; in %"
        )
        if found.normalizer is not None:
            yield f"Words are compared after the normalizer {found.normalizer}."
        yield _heard(rows, reference)
        for row in rows:
            if marks := row.found.mark_edits:
                yield f"{row.cell.precision}: {_of_marks(marks, row.found.score.word_edits)}"
        yield from _clips(rows, reference)
        yield from _said(rows)
    if heard:
        yield "Transcripts are greedy and of natural length. The brackets hold the difference in 95"
        yield "of 100 such sets of clips. The column odd counts transcripts that look made up."
    computed = by_place(run, NumericsResult)
    for (model, clip, _batch_size, attention), forced in computed.items():
        yield f"\nnumerics, against fp32: model {model}, clip {clip}, attention {attention}"
        yield _computed(forced)
    if computed:
        yield "logit error is how far the logits are from those of fp32, relative to their size;"
        yield "top-1 is how often both find the same token the likeliest. The error of a layer is"
        yield "that of its hidden states."
    measured = [row.measurement for rows in heard.values() for row in rows]
    measured += [row.measurement for rows in computed.values() for row in rows]
    for each in measured:
        for verdict in each.verdicts:
            if verdict.verdict != "ok":
                yield f"{verdict.verdict}: {verdict.sentence}"


def score_lines(lines: Sequence[HeardLine]) -> Iterator[str]:
    """Score the lines of a per-clip file, a table line for each model, precision and language."""
    groups: dict[tuple[str, str], list[HeardLine]] = {}
    for line in lines:
        groups.setdefault((line.made_by or "all", line.language), []).append(line)
    for (name, language), rows in groups.items():
        scores = [score(row.reference, row.transcript, language) for row in rows]
        whole = pooled(scores)
        rates = ", ".join(
            f"{rate_name} {100 * rate:.2f} %"
            for rate_name, rate in (("WER", whole.wer), ("CER", whole.cer))
            if rate is not None
        )
        yield (
            f"{name}: {counted(len(rows), 'clip')}, {counted(whole.words, 'word')}: "
            f"{rates or 'no words'}; language {language}, normalizer {normalizer_name(language)}"
        )
        worst = sorted(zip(scores, rows, strict=True), key=lambda pair: -pair[0].word_edits)
        for found, row in worst[:SHOWN]:
            if found.word_edits:
                text = printable(row.transcript)[:60]
                yield f"  {row.name}: {found.word_edits} of {found.words}: {text}"
        marks = sum(mark_edits(row.reference, row.transcript, language) for row in rows)
        if marks:
            yield f"  {_of_marks(marks, whole.word_edits)}"
        wordless = [
            row.name
            for found, row in zip(scores, rows, strict=True)
            if not found.words and row.reference.strip()
        ]
        if wordless:
            yield (
                f"  {len(wordless)} of the texts, such as that of {wordless[0]}, have no words and "
                "count as silence: each word that was heard there is wrong"
            )


def _of_marks(marks: float, word_edits: int) -> str:
    return (
        f"{marks:.0f} of {word_edits} wrong words differ in combining marks alone, such as vowel "
        "signs or points"
    )


def _table(*columns: str, left: Collection[str] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="", padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("precision", *columns):
        justify: JustifyMethod = "left" if column in ("precision", *left) else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    return table


def _columns(of_pass: Pass) -> dict[str, list[MetricRow]]:
    """Return the metrics of a pass that are shown, by their headings."""
    found: dict[str, list[MetricRow]] = {}
    for metric in made_by(of_pass):
        if of_pass in metric.headings:
            found.setdefault(metric.headings[of_pass], []).append(metric)
    return found


def _heard(rows: list[_Heard], reference: str) -> Table:
    columns = _columns("quality")
    odd = [heading for heading, metrics in columns.items() if metrics[0].sign]
    headings = [
        f"{heading} {reference}" if metrics[0].derived else heading
        for heading, metrics in columns.items()
    ]
    table = _table(*headings, left=odd)
    for row in rows:
        table.add_row(
            row.cell.precision, *(_heard_text(row, metrics) for metrics in columns.values())
        )
    return table


def _heard_text(row: _Heard, metrics: Sequence[MetricRow]) -> str:
    """Write what stands under a heading: a rate in percent, or how many clips have which sign."""
    if metrics[0].sign:
        counts = ((metric, row.value(metric.name)) for metric in metrics)
        return ", ".join(f"{count:{each.digits}} {each.sign}" for each, count in counts if count)
    (metric,) = metrics
    text = _text(row, metric).removesuffix("%")
    if text and metric.derived and row.found.over_reference is not None:
        low, high = (100 * bound for bound in row.found.over_reference)
        text += f" ({low:+.2f} to {high:+.2f})"
    return text


def _text(row: Row[Any], metric: MetricRow) -> str:
    value = row.value(metric.name)
    return "" if value is None else f"{value:{metric.digits}}"


def _clips(rows: list[_Heard], reference: str) -> Iterator[str]:
    """Name the clips that a precision hears otherwise than the reference does."""
    before = {
        clip.name: clip
        for row in rows
        if row.cell.precision == reference
        for clip in row.found.clips
    }
    for row in rows:
        changed = [
            (clip.word_edits - before[clip.name].word_edits, clip)
            for clip in row.found.clips
            if clip.name in before and clip.word_edits != before[clip.name].word_edits
        ]
        most = sorted(changed, key=lambda each: -abs(each[0]))[:SHOWN]
        if most:
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            said = ", ".join(f"{clip.name} {change:+d}" for change, clip in most)
            yield f"{row.cell.precision}: more or fewer wrong words in {said}{more}"
        for clip, text in zip(row.found.clips, row.found.transcripts, strict=False):
            if clip.signs:
                yield _odd(row, clip, text)


def _said(rows: list[_Heard]) -> Iterator[str]:
    """Quote how one clip begins: once for all precisions that heard the same there."""
    clip = next((name for name in (QUOTED, *_names(rows[0])) if name in _names(rows[0])), None)
    said: dict[str, list[str]] = {}
    for row in rows:
        for name, text in zip(_names(row), row.found.transcripts, strict=False):
            if name == clip:
                said.setdefault(_cut(printable(text)), []).append(row.cell.precision)
    for text, precisions in said.items():
        alike = "all of " if len(said) == 1 < len(precisions) else ""
        yield f"heard at the start of {clip} in {alike}{', '.join(precisions)}:"
        yield f'  "{text}"'


def _names(row: _Heard) -> list[str]:
    return [clip.name for clip in row.found.clips]


def _cut(text: str) -> str:
    """Cut a text at a space, where there is one, so that it fits a line."""
    if len(text) <= QUOTED_CHARACTERS:
        return text
    cut = text[: QUOTED_CHARACTERS - 4]
    return f"{cut.rpartition(' ')[0] or cut} ..."


def _odd(row: _Heard, clip: ClipScore, text: str) -> str:
    said = printable(text)[:60] or "nothing"
    return f"{row.cell.precision}: {clip.name}: {', '.join(clip.signs)}: {said}"


def _computed(rows: list[Row[NumericsResult]]) -> Table:
    metrics = [metric for each in _columns("numerics").values() for metric in each]
    headings = [metric.headings["numerics"] for metric in metrics]
    table = _table(*headings, "worst layer", left=["worst layer"])
    for row in rows:
        figures = (_text(row, metric) for metric in metrics)
        table.add_row(row.cell.precision, *figures, row.found.worst_layer or "")
    return table
