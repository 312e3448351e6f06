"""Speech of several durations, put together of the suite's own clips: no files of its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from whisperbench.asked.clips import Audio, Clip, load_audio
from whisperbench.errors import InputError, one_line
from whisperbench.units import SAMPLE_RATE_HZ, WINDOW_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANIFEST = "durations.toml"

TOKENS_PER_S = 3.85
"""What a tokenizer of Whisper makes of a second of the suite's clips: English texts of 303 tokens
that take 78.6 s to say (tests/asked/test_durations.py counts them). Random weights decode as many,
for they have no natural length."""

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A clip, or its beginning."""

    clip: str
    end_s: Seconds | None = None
    """Where it is cut off; None for the whole."""
    text: str | None = None
    """What is said up to there; None for the clip's own text."""

    def __post_init__(self) -> None:
        """Refuse a part of a clip of which nobody says what is said in it."""
        if (self.end_s is None) != (self.text is None):
            raise ValueError(f"the part of {self.clip}: end_s and text go together")


class Speech(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the manifest: what follows each other, and how long it is in all."""

    name: str
    seconds: Seconds
    parts: Annotated[tuple[Part, ...], msgspec.Meta(min_length=1)]
    gap_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    speech: list[Speech]


def read_durations(folder: Path) -> dict[str, Speech]:
    """Read `durations.toml` of a folder of clips; return its rows by name.

    Raises:
        InputError: it is missing, is none, or has two rows of one name.
    """
    path = folder / MANIFEST
    try:
        rows = msgspec.toml.decode(path.read_bytes(), type=_Manifest).speech
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: not a readable list of speech: {one_line(error)}") from error
    found = {row.name: row for row in rows}
    if len(found) != len(rows):
        raise InputError(f"{path}: two rows have the same name; rename one")
    return found


def compose(speech: Speech, clips: Mapping[str, Clip]) -> Audio:
    """Put a speech together, the same to the sample each time.

    Args:
        speech: what of.
        clips: the suite's own, by name.

    Returns:
        Audio of shape (seconds * 16000,) at 16 kHz; its digest is of the clips and of the row.

    Raises:
        InputError: a part is of no clip, of a clip without a text, or longer than it; the parts
            are of several languages or longer than the whole; or a clip cannot be read.
    """
    import numpy as np

    where = f"speech {speech.name}"
    pieces: list[NDArray[np.float32]] = []
    texts: list[str] = []
    languages: set[str] = set()
    digest = hashlib.sha256(msgspec.json.encode(speech))
    for part in speech.parts:
        if part.clip not in clips:
            raise InputError(
                f"{where}: no clip is called {part.clip}; choose from {', '.join(clips)}"
            )
        audio = load_audio(clips[part.clip])
        text = part.text if part.text is not None else audio.clip.text
        if text is None:
            raise InputError(f"{where}: nobody wrote down what is said in {part.clip}")
        if part.end_s is not None and part.end_s > audio.seconds:
            raise InputError(f"{where}: {part.clip} ends before {part.end_s:g} s")
        end = None if part.end_s is None else round(part.end_s * SAMPLE_RATE_HZ)
        if pieces:
            pieces.append(np.zeros(round(speech.gap_s * SAMPLE_RATE_HZ), np.float32))
        pieces.append(audio.samples[:end])
        texts.append(text)
        languages.add(audio.language)
        digest.update(audio.sha256.encode())
    if len(languages) > 1:
        raise InputError(f"{where}: its clips are of several languages: {sorted(languages)}")
    said = np.concatenate(pieces)
    left = round(speech.seconds * SAMPLE_RATE_HZ) - len(said)
    if left < 0:
        raise InputError(
            f"{where}: its parts last {len(said) / SAMPLE_RATE_HZ:.3f} s, longer than its "
            f"{speech.seconds:g} s"
        )
    clip = Clip(
        name=speech.name,
        file="",
        text=" ".join(texts),
        language=languages.pop(),
        seconds=speech.seconds,
    )
    return Audio(
        clip=clip,
        samples=np.concatenate([said, np.zeros(left, np.float32)]),
        seconds=speech.seconds,
        sha256=digest.hexdigest(),
    )


def windows_of(seconds: float) -> int:
    """Return how many windows of 30 s audio takes.

    >>> windows_of(1.0), windows_of(30.0), windows_of(90.0), windows_of(90.1)
    (1, 1, 3, 4)
    """
    return max(1, math.ceil(seconds / WINDOW_S))


def tokens_for(seconds: float) -> int:
    """Return the tokens that each window of random weights decodes, as speech so long would take.

    >>> tokens_for(1.0), tokens_for(5.0), tokens_for(27.0), tokens_for(90.0)
    (4, 19, 104, 116)
    """
    return max(1, round(TOKENS_PER_S * seconds / windows_of(seconds)))
