"""What betrays a transcript that was not heard, but made up."""

from __future__ import annotations

import zlib
from typing import Literal

from whisperbench.text.normalizers import normalizer, without_split

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

    data = np.frombuffer(without_split(text, language).encode(), np.uint8)
    most = 0
    for length in range(1, min(LONGEST_PHRASE, len(data) // 3) + 1):
        # A phrase is said again for as long as each byte is the one that stands its length before.
        differs = np.flatnonzero(data[length:] != data[:-length])
        ends = np.concatenate(([-1], differs, [len(data) - length]))
        again = int(np.diff(ends).max()) - 1
        if again >= 2 * length:
            most = max(most, again)
    return most
