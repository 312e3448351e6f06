"""The ids that a checkpoint decodes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MULTILINGUAL_VOCABULARY = 51865
"""Tokens from which on a vocabulary of Whisper's is a multilingual one: `is_multilingual` of
OpenAI's whisper/model.py. An English-only one has 51864."""

TIMESTAMPS = 1501
"""From 0 to 30 s in steps of 20 ms."""

ENGLISH_END_OF_TEXT = 50256
"""Of Whisper's vocabularies that know English alone, whatever a fine-tune has added to them."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The ids that Whisper decodes with."""

    vocabulary: int
    """How many ids there are; those after `no_timestamps` are time stamps."""
    end_of_text: int
    start: int
    no_timestamps: int
    previous: int | None
    """Goes before the text of the window before; None in a vocabulary without it."""
    languages: Mapping[str, int] = field(default_factory=dict)
    """By code, such as en; empty where the model knows English alone and is not told so."""
    tasks: Mapping[str, int] = field(default_factory=dict)
    """`transcribe` and `translate`, of a multilingual model."""
    suppressed: tuple[int, ...] | None
    """Never decoded, such as brackets and notes; None: nothing is suppressed."""
    suppressed_first: tuple[int, ...] | None
    """Not decoded first: a space, and the end of text."""
    latest_first_timestamp: int | None
    """Steps of 20 ms in which a recording beyond 30 s must begin; None: any."""

    @property
    def known_languages(self) -> list[str]:
        """Codes of all languages that it transcribes."""
        return sorted(self.languages) or ["en"]

    @property
    def timestamps(self) -> range:
        """The ids of time stamps; tokens that a fine-tune has added stand behind them."""
        first = self.no_timestamps + 1
        return range(first, min(self.vocabulary, first + TIMESTAMPS))

    def prompt(self, language: str) -> list[int]:
        """Return the ids that a transcription without time stamps starts from: 2, or 4."""
        told = [self.languages[language], self.tasks["transcribe"]] if self.languages else []
        return [self.start, *told, self.no_timestamps]
