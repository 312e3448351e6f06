"""A corpus on disk: all samples in one file, and a line about each utterance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from training.sentences import Kind
from whisperbench.units import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLES = "samples.i16"
_LINES = "utterances.jsonl"
_ABOUT = "corpus.json"


class Utterance(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was said: `samples` samples of the corpus from `start` on."""

    text: str
    kind: Kind
    speaker: str
    rate: float
    pitch: float
    start: int
    samples: int


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a corpus was made by, and of; written last, so that what has it is complete."""

    digest: str
    utterances: int
    seconds: float
    synthesizers: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Utterances and their samples: 16 kHz, mono, 16 bits."""

    utterances: list[Utterance]
    samples: NDArray[np.int16]
    about: About

    @staticmethod
    def is_complete(folder: Path, digest: str) -> bool:
        """Say whether a folder holds all of the speech that a configuration asks for."""
        path = folder / _ABOUT
        return (
            path.is_file() and msgspec.json.decode(path.read_bytes(), type=About).digest == digest
        )

    @classmethod
    def load(cls, folder: Path) -> Corpus:
        """Read a corpus; its samples stay on disk until they are asked for."""
        about = msgspec.json.decode((folder / _ABOUT).read_bytes(), type=About)
        lines = (folder / _LINES).read_bytes().splitlines()
        return cls(
            utterances=[msgspec.json.decode(line, type=Utterance) for line in lines],
            samples=np.memmap(folder / _SAMPLES, dtype=np.int16, mode="r"),
            about=about,
        )

    def audio(self, utterance: Utterance) -> NDArray[np.float32]:
        """Return an utterance's samples, full scale at 1.0."""
        part = self.samples[utterance.start : utterance.start + utterance.samples]
        return part.astype(np.float32) / np.float32(2**15)


def write_corpus(
    folder: Path,
    digest: str,
    spoken: Iterable[tuple[Utterance, NDArray[np.int16]]],
    synthesizers: dict[str, str],
) -> float:
    """Write a corpus as it is spoken; return its seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _ABOUT).unlink(missing_ok=True)
    count = total = 0
    with (folder / _SAMPLES).open("wb") as audio, (folder / _LINES).open("wb") as lines:
        for utterance, samples in spoken:
            samples.tofile(audio)
            lines.write(msgspec.json.encode(utterance) + b"\n")
            count += 1
            total += len(samples)
    seconds = total / SAMPLE_RATE_HZ
    about = About(digest=digest, utterances=count, seconds=seconds, synthesizers=synthesizers)
    (folder / _ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=2))
    return seconds
