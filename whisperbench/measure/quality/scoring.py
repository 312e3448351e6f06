"""The figures of a quality pass, made of what was heard and what was said. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whisperbench.results.heard import SIGN_METRICS, HeardClip
from whisperbench.results.records import ClipScore, Metric
from whisperbench.text.words import (
    WHISPER_ENGLISH,
    difference_interval,
    mark_edits,
    normalizer_name,
    pooled,
    score,
    signs,
)


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
    normalizers = ", ".join(sorted({normalizer_name(clip.language) for clip in heard}))

    def metric(name: str, value: float, *, derived: bool = False) -> Metric:
        return Metric(
            name=name,
            unit="1",
            kind="quality",
            better="lower",
            value=value,
            derived=derived,
            # Baselines of English are older than this condition, and still hold.
            conditions={} if normalizers == WHISPER_ENGLISH else {"normalizer": normalizers},
        )

    metrics = [
        metric(name, value)
        for name, value in (("wer", whole.wer), ("cer", whole.cer))
        if value is not None
    ]
    metrics += [
        metric(name, float(sum(sign in clip.signs for clip in clips)))
        for sign, name in SIGN_METRICS.items()
    ]
    notes: dict[str, str | float | bool] = {
        "clips": float(len(clips)),
        "words": float(whole.words),
        "normalizer": normalizers,
        "mark_edits": float(
            sum(mark_edits(clip.reference, clip.transcript, clip.language) for clip in heard)
        ),
    }
    if reference is not None and whole.wer is not None:
        before = pooled([clip.score for clip in reference]).wer
        if before is not None:
            # The word error rates themselves are judged by a baseline, this by limits.
            metrics.append(metric("wer_over_reference", whole.wer - before, derived=True))
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
