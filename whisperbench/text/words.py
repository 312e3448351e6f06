"""Words against words: error counts of transcripts, and what betrays a made-up one. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from whisperbench.errors import InputError, printable
from whisperbench.text.languages import CODES, KEYS

if TYPE_CHECKING:
    from jiwer import CharacterOutput, WordOutput

Sign = Literal["empty", "loops", "length off", "talks in silence"]
"""What betrays a transcript that was not heard."""

LOOPING_RATIO = 2.4
"""How far a text compresses that says one thing again and again: Whisper's own threshold
(Radford et al. 2022, section 4.5: compression_ratio_threshold)."""

STRETCH = 450
"""Bytes of a text that are held against it at once: what is said in a 30 s window, which it is for.
Ten minutes of ordinary speech compress as far, and hide a window that loops."""

SHIFT = 1.1
"""How many times further than its reference a text compresses where stretches begin elsewhere."""

LOOPING_BYTES = 40
"""Of a phrase that is said over again in a row, less what the reference so repeats: "thank you" six
times, or 20 bytes three times."""

LONGEST_PHRASE = 600
"""Bytes of a phrase that is looked for: a third of the most that a window's 444 tokens make."""

LENGTH_OFF = 1.5
"""How many times longer or shorter than its reference a transcript is not, if it was heard."""

FEWEST_CHARACTERS = 20
"""Of a reference: the length of a shorter one tells nothing."""

RESAMPLES = 9999
CONFIDENCE = 0.95
_AT_ONCE = 10**6
"""Draws that are held in memory at once."""

_WITHOUT_SPACES = ("zh", "yue", "ja", "th", "lo", "my")

WHISPER_ENGLISH = "whisper-english"
KEEPING_MARKS = "whisper-basic-keeping-marks"
"""What a text goes through before it is compared: `normalizer` says which, and why."""


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
    expected, heard = _without_split(expected, language), _without_split(heard, language)
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


def language_code(text: str, where: str = "") -> str:
    """Return Whisper's code of a language: of its name, an ISO 639 code, or either with a region.

    >>> [language_code(text) for text in ("en_US", "German", "hin")]
    ['en', 'de', 'hi']

    Args:
        text: what a person or a file calls the language.
        where: what an error begins with: the option, or the line of a file.

    Raises:
        InputError: it is no language that Whisper knows.
    """
    name = text.strip().lower().replace("_", "-")
    code = CODES.get(name) or CODES.get(name.partition("-")[0])
    if code is None:
        begin = f"{where}: " if where else ""
        known = " ".join(sorted(set(CODES.values())))
        raise InputError(
            f"{begin}'{printable(text)[:40]}' is no language that Whisper knows; write a name "
            f"such as German, or one of {known}"
        )
    return code


def language_told(row: Mapping[str, object], where: str) -> str | None:
    """Return Whisper's code of the language that a line of JSON says; None where it says none.

    Raises:
        InputError: it is no text, or no language that Whisper knows.
    """
    told = next((row[key] for key in KEYS if row.get(key)), None)
    if told is None:
        return None
    if not isinstance(told, str):
        raise InputError(f"{where}: its language is no text")
    return language_code(told, where)


def normalizer_name(language: str) -> str:
    """Return what results call the normalizer of a language."""
    return WHISPER_ENGLISH if language_code(language) == "en" else KEEPING_MARKS


@cache
def normalizer(language: str) -> Callable[[str], str]:
    """Return what a text of a language goes through before it is compared.

    English has Whisper's own normalizer (Radford et al. 2022, appendix C). Other languages have
    Whisper's basic one, but for combining marks: Whisper puts a space in place of each that NFKC
    does not compose with its letter. Of Hindi, Thai or Tamil, whose vowel signs are such marks, it
    leaves consonants, so that wrong words count as right and words fall apart (Manohar et al.,
    *What is lost in Normalization?*, EMNLP 2024; openai/whisper#2849). Here they stay
    (`preserve_marks`, kurianbenoy/whisper_normalizer#25), in every language: a text without such
    marks, as French is in either Unicode form, becomes just what Whisper makes of it.

    Vowel points of Arabic and Hebrew stay as well, though most people do not write them: without
    them, two words that sound different are one. A reference with points is for a model that writes
    them; against a transcript without, all its words are wrong, and `mark_edits` tells so.

    What cannot be seen goes: joiners, soft hyphens, variation selectors. So do marks that stand on
    no letter. Languages that are written without spaces are split into letters, each with its
    marks.
    """
    language = language_code(language)
    if language == "en":
        from whisper_normalizer.english import EnglishTextNormalizer

        normalize: Callable[[str], str] = EnglishTextNormalizer()
    else:
        normalize = _keeping_marks(split_letters=language in _WITHOUT_SPACES)

    def words_of(text: str) -> str:
        # The English one leaves marks that stand alone, as in "...".
        return " ".join(word for word in normalize(text).split() if any(map(str.isalnum, word)))

    return words_of


def _keeping_marks(*, split_letters: bool) -> Callable[[str], str]:
    import regex
    from whisper_normalizer.basic import BasicTextNormalizer

    basic = BasicTextNormalizer(preserve_marks=True)

    def normalize(text: str) -> str:
        text = regex.sub(r"\p{Default_Ignorable_Code_Point}|\p{Me}", "", text)
        # Of the Turkish capital, lower() makes an i with another dot on it.
        text = basic(text.lower().replace("i\N{COMBINING DOT ABOVE}", "i"))
        text = regex.sub(r"(?<!\S)\p{M}+", "", text)
        return " ".join(regex.findall(r"\P{M}\p{M}*", text)) if split_letters else text

    return normalize


def _without_split(text: str, language: str) -> str:
    """Take out the spaces that a normalizer put between characters for the words alone."""
    return text.replace(" ", "") if language_code(language) in _WITHOUT_SPACES else text


def signs(reference: str, transcript: str, language: str) -> tuple[Sign, ...]:
    """Name what betrays a transcript as not heard but made up.

    Args:
        reference: what is said; empty for silence.
        transcript: what was heard.
        language: a code such as en.
    """
    normalize = normalizer(language)
    expected, heard = normalize(reference), normalize(transcript)
    if not expected:
        return ("talks in silence",) if heard else ()
    if not heard:
        return ("empty",)
    found: list[Sign] = []
    looping_ratio = max(LOOPING_RATIO, SHIFT * compression_ratio(reference))
    if (
        compression_ratio(transcript) > looping_ratio
        or _repeated(heard, language) - _repeated(expected, language) >= LOOPING_BYTES
    ):
        found.append("loops")
    ratio = len(heard) / len(expected)
    if len(expected) >= FEWEST_CHARACTERS and not 1 / LENGTH_OFF <= ratio <= LENGTH_OFF:
        found.append("length off")
    return tuple(found)


def compression_ratio(text: str) -> float:
    """Return how much shorter zlib makes a text, as Whisper measures it; 0 of no text.

    Of one that is longer than a window's: its stretch that is shortened most.
    """
    data = text.encode()
    # Half over each other, so that what loops for a stretch fills half of one at least.
    starts = range(0, max(1, len(data) - STRETCH // 2), STRETCH // 2)
    stretches = [data[start : start + STRETCH] for start in starts] if data else []
    return max((len(part) / len(zlib.compress(part)) for part in stretches), default=0.0)


def _repeated(text: str, language: str) -> int:
    """Return how many bytes of a normalized text only say over again what stands before them.

    The most of any place, the phrase itself left out; 0 where nothing is said three times in a row.
    """
    import numpy as np

    data = np.frombuffer(_without_split(text, language).encode(), np.uint8)
    most = 0
    for length in range(1, min(LONGEST_PHRASE, len(data) // 3) + 1):
        # A phrase is said again for as long as each byte is the one that stands its length before.
        differs = np.flatnonzero(data[length:] != data[:-length])
        ends = np.concatenate(([-1], differs, [len(data) - length]))
        again = int(np.diff(ends).max()) - 1
        if again >= 2 * length:
            most = max(most, again)
    return most


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
