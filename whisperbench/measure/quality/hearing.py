"""Many clips put through one loaded model: what the quality pass measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from whisperbench.asked.clips import Clip, load_audio
from whisperbench.results.heard import HeardClip
from whisperbench.units import WINDOW_S
from whisperbench.whisper.languages import require_languages

if TYPE_CHECKING:
    from whisperbench.asked.clips import Audio
    from whisperbench.whisper.loading import LoadedModel


def hear(
    loaded: LoadedModel,
    clips: Sequence[Clip],
    batch_size: int,
    progress: Callable[[Sequence[Clip]], Iterable[Clip]],
) -> list[HeardClip]:
    """Transcribe clips greedily at their natural length.

    Args:
        loaded: the model.
        clips: each with a text and a language.
        batch_size: how many are transcribed at once. Those longer than 30 s go by themselves, for
            their windows end where each one's time stamps say.
        progress: passes the clips on, and shows how far it is.

    Returns:
        What was heard of each, in the order of the clips.

    Raises:
        InputError: a clip cannot be read; or the model does not know its language, which is found
            before the first is heard.
    """
    require_languages(loaded.key.model.name, loaded.tokens.known_languages, clips)
    heard: dict[str, HeardClip] = {}
    for batch in _batches(map(load_audio, progress(clips)), batch_size):
        transcriber = loaded.transcriber(batch, bounded=True)
        done = transcriber.transcribe(None)
        for place, audio in enumerate(batch):
            clip = audio.clip
            heard[clip.name] = HeardClip(
                name=clip.name,
                seconds=audio.seconds,
                language=clip.language or "",
                reference=clip.text or "",
                transcript=done.texts[place],
                tokens=sum(
                    int((ids[place] != transcriber.end_of_text).sum()) for ids in done.sequences
                ),
            )
    return [heard[clip.name] for clip in clips]


def _batches(audios: Iterable[Audio], size: int) -> Iterator[list[Audio]]:
    """Put clips of one language that fit a window together, as many as go at once."""
    waiting: dict[str | None, list[Audio]] = {}
    for audio in audios:
        if audio.seconds > WINDOW_S:
            yield [audio]
            continue
        batch = waiting.setdefault(audio.clip.language, [])
        batch.append(audio)
        if len(batch) == size:
            yield waiting.pop(audio.clip.language)
    yield from waiting.values()
