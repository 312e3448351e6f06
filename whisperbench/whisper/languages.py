"""Which language a clip is transcribed in, and whether a model knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whisperbench.asked.recordings import SHOWN
from whisperbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whisperbench.asked.clips import Clip


def require_languages(model: str, known: Sequence[str], clips: Sequence[Clip]) -> None:
    """Refuse clips that are in a language that a model does not know.

    Args:
        model: its name.
        known: codes of the languages that it knows.
        clips: all that it is to transcribe.

    Raises:
        InputError: some are; they are named, with what the model knows.
    """
    strange = [clip for clip in clips if language_of(clip) not in known]
    if strange:
        named = ", ".join(f"{clip.name} ({clip.language})" for clip in strange[:SHOWN])
        more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
        raise InputError(
            f"{model} does not know the language of {len(strange)} of {len(clips)} "
            f"clips: {named}{more}; it knows {', '.join(known)}: set --language, or lang in the "
            "manifest, or take another model"
        )


def language_of(clip: Clip) -> str:
    """Return the code of the language that a clip is transcribed in."""
    return clip.language or "en"
