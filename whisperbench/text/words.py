"""Words against words: error counts of transcripts, and how sure a difference of rates is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whisperbench.text.normalizers import normalizer, without_split

if TYPE_CHECKING:
    from jiwer import CharacterOutput, WordOutput

RESAMPLES = 9999
CONFIDENCE = 0.95
_AT_ONCE = 10**6
"""Draws that are held in memory at once."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Edits that make a transcript its reference, after normalization."""

    words: int = 0
    """Of the reference."""
    word_edits: int = 0
    """Substituted, deleted and inserted."""
    characters: int = 0
    character_edits: int = 0

    @property
    def wer(self) -> float | None:
        """Word error rate; None of a reference without words, such as silence."""
        return self.word_edits / self.words if self.words else None

    @property
    def cer(self) -> float | None:
        """Character error rate; likewise."""
        return self.character_edits / self.characters if self.characters else None


def pooled(scores: Sequence[Score]) -> Score:
    """Put scores together: all edits over all words, so that a long clip counts for more.

    What was said where nothing is to be heard counts as edits, too.
    """
    return Score(
        words=sum(score.words for score in scores),
        word_edits=sum(score.word_edits for score in scores),
        characters=sum(score.characters for score in scores),
        character_edits=sum(score.character_edits for score in scores),
    )


def score(reference: str, transcript: str, language: str) -> Score:
    """Count the edits between a reference and a transcript, after the language's normalization.

    It folds case, punctuation and, in English, spellings and numbers, so that only what is heard
    counts.

    Args:
        reference: what is said; empty for silence.
        transcript: what was heard.
        language: a code such as en.
    """
    import jiwer

    normalize = normalizer(language)
    expected, heard = normalize(reference), normalize(transcript)
    words = jiwer.process_words(expected, heard)
    expected, heard = without_split(expected, language), without_split(heard, language)
    characters = jiwer.process_characters(expected, heard)
    return Score(
        words=words.hits + words.substitutions + words.deletions,
        word_edits=_edits(words),
        characters=characters.hits + characters.substitutions + characters.deletions,
        character_edits=_edits(characters),
    )


def _edits(found: WordOutput | CharacterOutput) -> int:
    return found.substitutions + found.deletions + found.insertions


def mark_edits(reference: str, transcript: str, language: str) -> int:
    """Count the word edits that are due to combining marks alone.

    A reference with vowel points against a transcript without is all such edits.
    """
    import jiwer
    import regex

    normalize = normalizer(language)
    expected, heard = normalize(reference), normalize(transcript)
    bare_expected, bare_heard = (regex.sub(r"\p{M}", "", text) for text in (expected, heard))
    if (bare_expected, bare_heard) == (expected, heard):
        return 0
    bare = jiwer.process_words(bare_expected, bare_heard)
    return _edits(jiwer.process_words(expected, heard)) - _edits(bare)


def difference_interval(base: Sequence[Score], head: Sequence[Score]) -> tuple[float, float] | None:
    """Return bounds of the pooled word error rate of a head less that of a base.

    By the paired percentile bootstrap over clips (Bisani and Ney, *Bootstrap Estimates for
    Confidence Intervals in ASR Performance Evaluation*, ICASSP 2004), with a fixed seed. They say
    what other clips of the kind might have shown, not what another run would: that is exact.

    Args:
        base: the scores of each clip.
        head: the same clips, in the same order.

    Returns:
        None for fewer than two clips with words.
    """
    import numpy as np
    from scipy.stats import bootstrap

    rows = [
        (before.words, before.word_edits, after.word_edits)
        for before, after in zip(base, head, strict=True)
    ]
    if sum(words > 0 for words, _, _ in rows) < 2:
        return None

    def difference(words: Any, before: Any, after: Any, axis: int) -> Any:
        # A draw of silences alone has no words to divide by.
        return (after.sum(axis) - before.sum(axis)) / np.maximum(words.sum(axis), 1)

    found = bootstrap(
        tuple(np.array(rows, float).T),
        difference,
        paired=True,
        vectorized=True,
        batch=max(1, _AT_ONCE // len(rows)),
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)
