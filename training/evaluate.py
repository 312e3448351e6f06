"""How well a checkpoint hears: word error rates of what was held out, and of the clips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from training.corpus import Corpus, Utterance
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import Audio, Clip, load_audio, read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import precision_named
from whisperbench.devices.choosing import open_accelerator
from whisperbench.text import words
from whisperbench.units import SAMPLE_RATE_HZ
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.loading import load_model

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from training.tokenizer import Vocabulary

_BATCH = 16
# Held-out passages fill up to this much of a window, or this many windows.
_PASSAGE_S = 27.0
_LONG_S = 75.0
_PAUSE_S = 0.5


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Word errors in a set of recordings."""

    name: str
    recordings: int
    words: int
    errors: int
    examples: list[tuple[str, str]]
    """The first wrong transcripts: what was said, and what was heard."""

    @property
    def wer(self) -> float:
        """Word error rate."""
        return self.errors / self.words


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of a checkpoint in a precision."""

    precision: str
    device: str
    scores: list[Score]


def score(name: str, said: Sequence[str], heard: Sequence[str]) -> Score:
    """Count the word errors of transcripts, as the suite's quality pass does."""
    each = [words.score(one, other, "en") for one, other in zip(said, heard, strict=True)]
    counted = words.pooled(each)
    wrong = [
        (one, other)
        for one, other, found in zip(said, heard, each, strict=True)
        if found.word_edits
    ]
    return Score(
        name=name,
        recordings=len(each),
        words=counted.words,
        errors=counted.word_edits,
        examples=wrong[:5],
    )


def pooled_wer(said: Sequence[str], heard: Sequence[str]) -> float:
    """Return the word error rate of all transcripts together."""
    return score("", said, heard).wer


def decode(whisper: Any, vocabulary: Vocabulary, mel: torch.Tensor, max_length: int) -> list[str]:
    """Transcribe windows greedily, without time stamps."""
    # All windows are whole, so there is nothing to mask; transformers warns where it is left out.
    import torch

    mask = torch.ones(mel.shape[0], mel.shape[-1], dtype=torch.long, device=mel.device)
    ids = whisper.generate(
        mel, attention_mask=mask, max_length=max_length, do_sample=False, num_beams=1
    )
    pieces = [[token for token in row if token < vocabulary.pieces] for row in ids.tolist()]
    return list(vocabulary.tokenizer.decode_batch(pieces))


class Listener:
    """A checkpoint in a precision, heard through as the suite does it."""

    def __init__(self, folder: Path, precision: str, device: str) -> None:
        spec = ModelSpec(kind="folder", name=folder.name, folder=folder)
        key = CheckpointKey(model=spec, precision=precision_named(precision), attention="sdpa")
        self.loaded = load_model(
            Checkpoint(spec=spec, folder=folder, fingerprint=""), key, open_accelerator(device)
        )

    def transcribe(self, recordings: Sequence[NDArray[np.float32]]) -> list[str]:
        """Transcribe recordings: a batch if all fit a window, else by predicted time stamps."""
        batch = [
            Audio(
                clip=Clip(name="", file="", text=None, language="en"),
                samples=samples,
                seconds=len(samples) / SAMPLE_RATE_HZ,
                sha256="",
            )
            for samples in recordings
        ]
        return list(self.loaded.transcriber(batch).transcribe(None).texts)

    def in_batches(self, recordings: Sequence[NDArray[np.float32]]) -> list[str]:
        """Transcribe many recordings of one window each."""
        return [
            text
            for at in range(0, len(recordings), _BATCH)
            for text in self.transcribe(recordings[at : at + _BATCH])
        ]


def passages(corpus: Corpus, seconds: float, count: int) -> list[tuple[str, NDArray[np.float32]]]:
    """String held-out sentences together, each passage up to so many seconds."""
    pause = np.zeros(round(_PAUSE_S * SAMPLE_RATE_HZ), dtype=np.float32)
    made: list[tuple[str, NDArray[np.float32]]] = []
    texts: list[str] = []
    parts: list[NDArray[np.float32]] = []
    for utterance in _spoken(corpus.utterances):
        audio = corpus.audio(utterance)
        if sum(map(len, parts)) + len(audio) > seconds * SAMPLE_RATE_HZ:
            made.append((" ".join(texts), np.concatenate(parts)))
            texts, parts = [], []
            if len(made) == count:
                break
        texts.append(utterance.text)
        parts += [audio, pause]
    return made


def _spoken(utterances: Iterable[Utterance]) -> list[Utterance]:
    return [utterance for utterance in utterances if utterance.kind == "sentence"]


def evaluate(
    folder: Path, heldout: Path, *, precision: str, device: str, limit: int | None = None
) -> Report:
    """Score a checkpoint.

    Args:
        folder: the checkpoint.
        heldout: the corpus that was held out.
        precision: a name of whisperbench's registry.
        device: "cpu" or "cuda".
        limit: take only the first so many utterances.
    """
    listener = Listener(folder, precision, device)
    corpus = Corpus.load(heldout)
    chosen = corpus.utterances[:limit]
    heard = dict(
        zip(
            (utterance.start for utterance in chosen),
            listener.in_batches([corpus.audio(utterance) for utterance in chosen]),
            strict=True,
        )
    )

    def of(name: str, some: Sequence[Utterance]) -> Score:
        return score(name, [one.text for one in some], [heard[one.start] for one in some])

    scores = [
        of("held-out sentences", _spoken(chosen)),
        of("held-out random words", [one for one in chosen if one.kind == "scramble"]),
    ]
    scores += [
        of(f"- {speaker}", [one for one in chosen if one.speaker == speaker])
        for speaker in sorted({one.speaker for one in chosen})
    ]
    for name, seconds, count in (
        (f"passages up to {_PASSAGE_S:.0f} s", _PASSAGE_S, 16),
        (f"recordings up to {_LONG_S:.0f} s", _LONG_S, 4),
    ):
        strung = passages(corpus, seconds, count if limit is None else 1)
        texts = [listener.transcribe([audio])[0] for _, audio in strung]
        scores.append(score(name, [text for text, _ in strung], texts))
    for clip in read_manifest(CLIPS_FOLDER).values():
        audio = load_audio(clip)
        text = listener.transcribe([audio.samples])[0]
        scores.append(score(f"clip {clip.name}, {audio.seconds:.0f} s", [clip.text or ""], [text]))
    scores = [one for one in scores if one.recordings]
    return Report(precision=precision, device=device, scores=scores)


def table(reports: Sequence[Report]) -> str:
    """Write reports as a Markdown table: a row for each set, a column for each precision."""
    heads = [f"{report.precision} ({report.device})" for report in reports]
    lines = [
        f"| word error rate, % | recordings | words | {' | '.join(heads)} |",
        "| --- | --: | --: |" + " --: |" * len(heads),
    ]
    for row, first in enumerate(reports[0].scores):
        rates = " | ".join(f"{100 * report.scores[row].wer:.2f}" for report in reports)
        lines.append(f"| {first.name} | {first.recordings} | {first.words} | {rates} |")
    return "\n".join(lines)
