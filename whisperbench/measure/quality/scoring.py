"""The figures of a quality pass, made of what was heard and what was said. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whisperbench.results.heard import HeardClip
from whisperbench.results.metrics import made_by
from whisperbench.results.passes import ClipScore, QualityResult
from whisperbench.text.normalizers import WHISPER_ENGLISH, normalizer_name
from whisperbench.text.signs import signs
from whisperbench.text.words import difference_interval, mark_edits, pooled, score


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
