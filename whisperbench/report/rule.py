"""What a sentence of an answer is: its template, and when it is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whisperbench.report.case import Case


@dataclass(frozen=True)
class Rule:
    """A sentence, and when it is true."""

    topic: str
    """Of the rules of one topic the first that applies speaks."""
    when: Callable[[Case], bool]
    sentence: str
    """With figures of the case by name, each with how it is written: a key of `WRITTEN`."""
