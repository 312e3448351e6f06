"""The quality part of a run's summary: what each precision heard, and how exactly it computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table

from whisperbench.errors import printable
from whisperbench.results.heard import NUMERICS, QUALITY, SIGN_METRICS, HeardLine
from whisperbench.results.records import ClipScore, Measurement, Place, Run
from whisperbench.text.words import mark_edits, normalizer_name, pooled, score
from whisperbench.units import counted

SHOWN = 3
"""Clips that are named: those where a precision differs most from the reference."""

QUOTED = "harbour"
"""The clip that is quoted; of a run that did not hear it, its first one."""

QUOTED_CHARACTERS = 96
"""Of it: a line of a report."""


def quality_section(run: Run) -> Iterator[RenderableType]:
    """Yield the tables and lines of a run's quality and numerics; nothing where it has none."""
    reference = run.info.reference
    heard = _by_place(run, QUALITY)
    for (model, clips, batch_size, attention), rows in heard.items():
        count = counted(rows[0].number("clips"), "clip")
        words = counted(rows[0].number("words"), "word")
        yield (
            f"\nquality: model {model}, {count} of {clips}, {words}, batch {batch_size}, "
            f"attention {attention}; in %"
        )
        if "normalizer" in rows[0].notes:
            yield f"Words are compared after the normalizer {rows[0].notes['normalizer']}."
        yield _heard(rows, reference)
        for row in rows:
            if marks := row.number("mark_edits"):
                edits = sum(clip.word_edits for clip in row.clips)
                yield f"{row.cell.precision}: {_of_marks(marks, edits)}"
        yield from _clips(rows, reference)
        yield from _said(rows)
    if heard:
        yield "Transcripts are greedy, at natural length. In brackets: 95 % of such sets of clips."
    computed = _by_place(run, NUMERICS)
    for (model, clip, _batch_size, attention), rows in computed.items():
        yield f"\nnumerics, against fp32: model {model}, clip {clip}, attention {attention}"
        yield _computed(rows)
    for rows in (*heard.values(), *computed.values()):
        for row in rows:
            for verdict in row.verdicts:
                if verdict.verdict != "ok":
                    yield f"{verdict.verdict}: {verdict.sentence}"


def _by_place(run: Run, stage: str) -> dict[Place, list[Measurement]]:
    places: dict[Place, list[Measurement]] = {}
    for row in run.measurements:
        if row.stage == stage:
            places.setdefault(row.cell.place, []).append(row)
    return places


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


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="", padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        left = column in ("precision", "odd", "worst layer")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    return table


def _heard(rows: list[Measurement], reference: str) -> Table:
    table = _table("precision", "WER", "CER", f"over {reference}", "odd")
    for row in rows:
        odd = [
            f"{_value(row, metric):.0f} {sign}"
            for sign, metric in SIGN_METRICS.items()
            if _value(row, metric)
        ]
        table.add_row(
            row.cell.precision,
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
    before = {
        clip.name: clip for row in rows if row.cell.precision == reference for clip in row.clips
    }
    for row in rows:
        changed = [
            (clip.word_edits - before[clip.name].word_edits, clip)
            for clip in row.clips
            if clip.name in before and clip.word_edits != before[clip.name].word_edits
        ]
        most = sorted(changed, key=lambda each: -abs(each[0]))[:SHOWN]
        if most:
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            said = ", ".join(f"{clip.name} {change:+d}" for change, clip in most)
            yield f"{row.cell.precision}: wrong words more or fewer: {said}{more}"
        for clip, text in zip(row.clips, row.transcripts, strict=False):
            if clip.signs:
                yield _odd(row, clip, text)


def _said(rows: list[Measurement]) -> Iterator[str]:
    """Quote how one clip begins: once for all precisions that heard the same there."""
    clip = next((name for name in (QUOTED, *_names(rows[0])) if name in _names(rows[0])), None)
    said: dict[str, list[str]] = {}
    for row in rows:
        for name, text in zip(_names(row), row.transcripts, strict=False):
            if name == clip:
                said.setdefault(_cut(printable(text)), []).append(row.cell.precision)
    for text, precisions in said.items():
        alike = "all of " if len(said) == 1 < len(precisions) else ""
        yield f"heard at the start of {clip} in {alike}{', '.join(precisions)}:"
        yield f'  "{text}"'


def _names(row: Measurement) -> list[str]:
    return [clip.name for clip in row.clips]


def _cut(text: str) -> str:
    """Cut a text at a space, where there is one, so that it fits a line."""
    if len(text) <= QUOTED_CHARACTERS:
        return text
    cut = text[: QUOTED_CHARACTERS - 4]
    return f"{cut.rpartition(' ')[0] or cut} ..."


def _odd(row: Measurement, clip: ClipScore, text: str) -> str:
    said = printable(text)[:60] or "nothing"
    return f"{row.cell.precision}: {clip.name}: {', '.join(clip.signs)}: {said}"


def _computed(rows: list[Measurement]) -> Table:
    table = _table("precision", "logit error", "top-1", "worst layer", "its error")
    for row in rows:
        table.add_row(
            row.cell.precision,
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
