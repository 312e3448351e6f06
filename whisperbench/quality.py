"""What was heard, held against what was said: figures, limits and their verdicts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from whisperbench.errors import InputError, one_line
from whisperbench.result import Cell, ClipScore, Line, Metric, Verdict
from whisperbench.suite import Limit, matches
from whisperbench.words import difference_interval, pooled, score, signs

QUALITY: Literal["quality"] = "quality"
"""The stage of a quality pass."""

NUMERICS: Literal["numerics"] = "numerics"
"""The stage of a numerics pass."""

SIGN_METRICS = {
    "empty": "empty_clips",
    "loops": "looping_clips",
    "length off": "length_off_clips",
    "talks in silence": "talking_silences",
}
"""The metric that counts the clips with a sign."""


class HeardClip(msgspec.Struct, frozen=True, kw_only=True):
    """A clip, what is said in it, and what was heard."""

    name: str
    seconds: float
    language: str
    reference: str
    transcript: str
    tokens: int
    """That the transcript took, end-of-text left out."""


Stage = Literal["quality", "numerics"]

METRICS_OF: dict[Stage, tuple[str, ...]] = {
    QUALITY: ("wer", "cer", "wer_over_reference", *SIGN_METRICS.values()),
    NUMERICS: ("logit_error", "top1_agreement", "worst_layer_error"),
}
"""Which pass finds which figures, and so which limits are on it."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The figures of a quality pass."""

    metrics: tuple[Metric, ...]
    clips: tuple[ClipScore, ...]
    heard: tuple[HeardClip, ...]
    """Each of them, with what was heard."""
    notes: dict[str, str | float | bool]


def rate(heard: Sequence[HeardClip], reference: Sequence[ClipScore] | None) -> Quality:
    """Score what was heard.

    Args:
        heard: a clip each.
        reference: the scores of the same clips in the reference precision; None where it was not
            measured in this run.
    """
    clips = tuple(map(_scored, heard))
    whole = pooled([clip.score for clip in clips])
    metrics = [
        _metric(name, value)
        for name, value in (("wer", whole.wer), ("cer", whole.cer))
        if value is not None
    ]
    metrics += [
        _metric(name, float(sum(sign in clip.signs for clip in clips)))
        for sign, name in SIGN_METRICS.items()
    ]
    notes: dict[str, str | float | bool] = {"clips": float(len(clips)), "words": float(whole.words)}
    if reference is not None and whole.wer is not None:
        before = pooled([clip.score for clip in reference]).wer
        if before is not None:
            # The word error rates themselves are judged by a baseline, this by limits.
            metrics.append(_metric("wer_over_reference", whole.wer - before, derived=True))
        interval = difference_interval(
            [clip.score for clip in reference], [clip.score for clip in clips]
        )
        if interval is not None:
            notes |= {"wer_over_reference_low": interval[0], "wer_over_reference_high": interval[1]}
    return Quality(
        metrics=tuple(metrics),
        clips=clips,
        heard=tuple(heard),
        notes=notes,
    )


class ClipLine(msgspec.Struct, omit_defaults=True):
    """A line of the per-clip file, with the keys that NeMo's tools write."""

    audio_filepath: Line
    text: str
    pred_text: str
    duration: float | None = None
    lang: str = "en"
    model: Line = ""
    precision: Line = ""
    attention: Line = ""
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
        for clip, scored in zip(found.heard, found.clips, strict=True)
    ]


def read_lines(path: Path) -> list[ClipLine]:
    """Read a per-clip file.

    Raises:
        InputError: it cannot be read, or a line is not what it should be.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: {one_line(error.strerror)}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=ClipLine))
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}, line {number}: {one_line(error)}") from error
    if not found:
        raise InputError(f"{path}: has no lines")
    return found


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


def _metric(name: str, value: float, *, derived: bool = False) -> Metric:
    return Metric(name=name, unit="1", kind="quality", better="lower", value=value, derived=derived)


def judge(
    stage: Stage,
    cell: Cell,
    metrics: Sequence[Metric],
    limits: Sequence[Limit],
    device_key: str,
    reference: str,
) -> tuple[Verdict, ...]:
    """Judge the figures of a pass by the limits that apply to its cell.

    Args:
        stage: the pass.
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
        if limit.metric in METRICS_OF[stage]
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
