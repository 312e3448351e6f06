"""What a text goes through before its words are compared, by language."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from whisperbench.text.languages import language_code

_WITHOUT_SPACES = ("zh", "yue", "ja", "th", "lo", "my")

WHISPER_ENGLISH = "whisper-english"
KEEPING_MARKS = "whisper-basic-keeping-marks"
"""What a text goes through before it is compared: `normalizer` says which, and why."""


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


def without_split(text: str, language: str) -> str:
    """Take out the spaces that a normalizer put between characters for the words alone."""
    return text.replace(" ", "") if language_code(language) in _WITHOUT_SPACES else text
