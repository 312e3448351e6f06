"""What was heard, held against what was said: figures, limits and their verdicts. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from whisperbench.asked.suite import Limit, matches
from whisperbench.errors import InputError, one_line, printable
from whisperbench.results.figure import Metric
from whisperbench.results.metric_row import Pass
from whisperbench.results.metrics import METRICS, made_by
from whisperbench.results.passes import ClipScore, QualityResult
from whisperbench.results.records import Cell, Verdict
from whisperbench.text.languages import language_told
from whisperbench.text.normalizers import WHISPER_ENGLISH, normalizer_name
from whisperbench.text.signs import signs
from whisperbench.text.words import difference_interval, mark_edits, pooled, score


class HeardClip(msgspec.Struct, frozen=True, kw_only=True):
    """A clip, what is said in it, and what was heard."""

    name: str
    seconds: float
    language: str
    reference: str
    transcript: str
    tokens: int
    """That the transcript took, end-of-text left out."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The figures of a quality pass."""

    values: dict[str, float]
    conditions: dict[str, str]
    """That they were measured in."""
    found: QualityResult
    heard: tuple[HeardClip, ...]
    """Each clip, with what was heard."""


def rate(heard: Sequence[HeardClip], reference: Sequence[ClipScore] | None) -> Quality:
    """Score what was heard.

    Args:
        heard: a clip each.
        reference: the scores of the same clips in the reference precision; None where it was not
            measured in this run.
    """
    clips = tuple(map(_scored, heard))
    whole = pooled([clip.score for clip in clips])
    normalizers = ", ".join(sorted({normalizer_name(clip.language) for clip in heard}))
    values = {
        name: value for name, value in (("wer", whole.wer), ("cer", whole.cer)) if value is not None
    }
    values |= {
        row.name: float(sum(row.sign in clip.signs for clip in clips))
        for row in made_by("quality")
        if row.sign
    }
    interval = None
    if reference is not None and whole.wer is not None:
        scores = [clip.score for clip in reference]
        before = pooled(scores).wer
        if before is not None:
            # The word error rates themselves are judged by a baseline, this by limits.
            values["wer_over_reference"] = whole.wer - before
        interval = difference_interval(scores, [clip.score for clip in clips])
    return Quality(
        values=values,
        # Baselines of English are older than this condition, and still hold.
        conditions={} if normalizers == WHISPER_ENGLISH else {"normalizer": normalizers},
        found=QualityResult(
            clips=clips,
            transcripts=tuple(clip.transcript for clip in heard),
            normalizer=normalizers,
            mark_edits=sum(
                mark_edits(clip.reference, clip.transcript, clip.language) for clip in heard
            ),
            over_reference=interval,
        ),
        heard=tuple(heard),
    )


class ClipLine(msgspec.Struct, omit_defaults=True):
    """A line of the per-clip file, with the keys that NeMo's tools write."""

    audio_filepath: str
    text: str
    pred_text: str
    lang: str
    duration: float | None = None
    model: str = ""
    precision: str = ""
    attention: str = ""
    batch_size: int = 1
    tokens: int = 0
    wer: float | None = None
    cer: float | None = None
    signs: tuple[str, ...] = ()


def lines_of(cell: Cell, found: Quality) -> list[bytes]:
    """Write what was heard as JSON lines, to be looked at or scored again."""
    return [
        msgspec.json.encode(
            ClipLine(
                audio_filepath=clip.name,
                duration=clip.seconds,
                text=clip.reference,
                pred_text=clip.transcript,
                lang=clip.language,
                model=cell.model,
                precision=cell.precision,
                attention=cell.attention,
                batch_size=cell.batch_size,
                tokens=clip.tokens,
                wer=scored.score.wer,
                cer=scored.score.cer,
                signs=scored.signs,
            )
        )
        for clip, scored in zip(found.heard, found.found.clips, strict=True)
    ]


_TEXTS = (("text", "pred_text"), ("reference", "hypothesis"))
"""The keys of what is said and what was heard: NeMo's and the Open ASR board's, and common ones."""

_VISIBLE = re.compile(r"\S")


@dataclass(frozen=True, kw_only=True)
class HeardLine:
    """What is scored of a line of a per-clip file, ours or another tool's."""

    name: str
    """Of the recording."""
    made_by: str
    """Model, precision and the like, as far as the line says so."""
    language: str
    reference: str
    transcript: str


def read_lines(path: Path, language: str | None) -> list[HeardLine]:
    """Read a per-clip file: JSON lines, or an array. What is not scored may be of any type.

    Args:
        path: of the file.
        language: the code of what lines without a language are in; None where nobody said.

    Raises:
        InputError: it cannot be read, a line is not what it should be, or it is not known what
            language one is in.
    """
    name = printable(path)
    found = []
    untold = []
    for where, row in _rows(path, name):
        at = f"{name}, {where}"
        if not isinstance(row, dict):
            raise InputError(f"{at}: is no JSON object")
        reference, transcript = _texts(row, at)
        own = language_told(row, at)
        if own is None:
            untold.append(where)
        found.append(
            HeardLine(
                name=_word(row, "audio_filepath") or where,
                made_by=_made_by(row),
                language=own or language or "",
                reference=reference,
                transcript=transcript,
            )
        )
    if not found:
        raise InputError(f"{name}: has no lines; each recording needs one")
    if untold and language is None:
        raise InputError(
            f"{name}: {len(untold)} of {len(found)} lines, such as {untold[0]}, do not say what "
            "language they are in (lang): say it with --language, as in --language en"
        )
    return found


def _rows(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the objects of a file, each with its place: one after the other, or in an array."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{name}: {one_line(error.strerror)}") from error
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(f"{name}: is no UTF-8 text; save it as UTF-8")
    # Not msgspec: Python's own writes NaN, as of a duration that is not known, and reads it.
    decoder = json.JSONDecoder()
    at, number = 0, 1
    while visible := _VISIBLE.search(text, at):
        start = visible.start()
        number += text.count("\n", at, start)
        try:
            found, at = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise InputError(f"{name}, line {error.lineno}: is not JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}, line {number}: {one_line(error)}") from error
        if isinstance(found, list):
            yield from ((f"entry {entry}", row) for entry, row in enumerate(found, start=1))
        else:
            yield f"line {number}", found
        number += text.count("\n", start, at)


def _texts(row: dict[str, Any], where: str) -> tuple[str, str]:
    """Find what is said and what was heard."""
    for said, heard in _TEXTS:
        if said in row and heard in row:
            return _text(row, said, where), _text(row, heard, where)
    raise InputError(
        f"{where}: needs text (what is said) and pred_text (what was heard), or reference and "
        f"hypothesis, and has {one_line(', '.join(row) or 'nothing')}; write both into one object, "
        'as in {"text": "Yes.", "pred_text": "yes", "lang": "en"}'
    )


def _text(row: dict[str, Any], key: str, where: str) -> str:
    found = row[key]
    if found is None:
        raise InputError(f'{where}: {key} is null; write "" where there are no words')
    if not isinstance(found, str):
        raise InputError(f"{where}: {key} is no text")
    return found


def _made_by(row: dict[str, Any]) -> str:
    batch_size, attention = row.get("batch_size"), _word(row, "attention")
    batch = f"batch {batch_size}" if isinstance(batch_size, int) and batch_size > 1 else ""
    parts = (
        _word(row, "model"),
        _word(row, "precision"),
        batch,
        "" if attention == "sdpa" else attention,
    )
    return " ".join(filter(None, parts))


def _word(row: dict[str, Any], key: str) -> str:
    """Return what only names a row; nothing where it is of another type."""
    found = row.get(key)
    return printable(found) if isinstance(found, str) else ""


def _scored(heard: HeardClip) -> ClipScore:
    found = score(heard.reference, heard.transcript, heard.language)
    return ClipScore(
        name=heard.name,
        words=found.words,
        word_edits=found.word_edits,
        characters=found.characters,
        character_edits=found.character_edits,
        tokens=heard.tokens,
        signs=signs(heard.reference, heard.transcript, heard.language),
    )


def judge(
    pass_name: Pass,
    cell: Cell,
    metrics: Sequence[Metric],
    limits: Sequence[Limit],
    device_key: str,
    reference: str,
) -> tuple[Verdict, ...]:
    """Judge the figures of a pass by the limits that apply to its cell.

    Args:
        pass_name: what was run.
        cell: what was measured.
        metrics: all that it has found.
        limits: all of suite.toml's.
        device_key: of the device.
        reference: the precision that others are compared with.

    Returns:
        A verdict a limit. `missing`, which is never a pass, where its metric was not measured.
    """
    figures = {metric.name: metric for metric in metrics}
    return tuple(
        _judged(cell, figures.get(limit.metric), limit, reference)
        for limit in limits
        if pass_name in METRICS[limit.metric].made_by
        and not (limit.metric == "wer_over_reference" and cell.precision == reference)
        and matches(cell.model, limit.models)
        and matches(cell.precision, limit.precisions)
        and matches(device_key, limit.devices)
    )


def describe(limit: Limit) -> str:
    """Write a limit as a line."""
    where = " ".join((*limit.models, *limit.precisions, *limit.devices))
    return f"{where}: {limit.metric} {_bound(limit)}"


def _bound(limit: Limit) -> str:
    return f"at most {limit.max:g}" if limit.max is not None else f"at least {limit.min:g}"


def _judged(cell: Cell, metric: Metric | None, limit: Limit, reference: str) -> Verdict:
    bound = limit.max if limit.max is not None else limit.min
    said = _bound(limit)
    where = f"{cell.model} {cell.precision}"
    if metric is None or metric.value is None:
        compared = limit.metric == "wer_over_reference"
        why = f"{reference} was not measured in this run" if compared else "it was not measured"
        return Verdict(
            verdict="missing",
            metric=limit.metric,
            unit="1",
            limit=bound,
            absent=reference if compared else None,
            sentence=f"{where}: {limit.metric} {said} could not be judged: {why}",
        )
    over = (limit.max is not None and metric.value > limit.max) or (
        limit.min is not None and metric.value < limit.min
    )
    figure = f"{limit.metric} is {metric.value:.4g}"
    return Verdict(
        verdict="over-limit" if over else "ok",
        metric=limit.metric,
        unit=metric.unit,
        head=metric.value,
        limit=bound,
        sentence=f"{where}: {figure}, and must be {said} ({one_line(limit.reason)}); find out why, "
        "or change the limit in benchmarks/suite.toml and say why"
        if over
        else f"{figure}, of {said}",
    )
