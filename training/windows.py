"""What the windows of a training step hold: which utterances, where, and what is to be heard.

A step's plan follows from the seed and the step's number alone, so that a training which was
stopped goes on with the very windows that an unbroken one would have had.

Over 300 lines, because it is one subject with one set of helpers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from training.config import Config
from training.corpus import Utterance
from training.model import IGNORED
from training.tokenizer import Vocabulary
from whisperbench.units import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

_SHORTEST_PASSAGE_S = 4.0
_FIRST_GROWTH_S = 6.0
# A pause between two sentences: at least so long, and on average so much longer.
_PAUSE_S = 0.12
_LONGER_S = 0.35
# A sentence of which less than this fits in the window is left out rather than cut off.
_LEAST_CUT_S = 0.3
_TRIES = 8
# torch's loss for alignments fetches lengths that are on a GPU, which holds up everything.
_ON_HOST = ("heard_lengths", "heard_s")
# The end of a word that was in the window before, and the silence after it.
_TAIL_S = (0.03, 0.25)
# Rows of tokens are padded to a multiple: fewer shapes, fewer allocations.
_MULTIPLE = 32


@dataclass(kw_only=True)
class Plan:
    """The windows of a step, as tensors.

    The first five have a row for each utterance that is played, the others one for each window.
    """

    source: torch.Tensor
    """Its first sample in the corpus."""
    count: torch.Tensor
    """How many samples it makes."""
    target: torch.Tensor
    """Where they go, counted from the first window's first sample."""
    speed: torch.Tensor
    """Samples of the corpus for one of the window."""
    gain: torch.Tensor
    """What they are multiplied by."""
    lengths: torch.Tensor
    """Samples until the recording ends; the rest of the window is padding."""
    speechless: torch.Tensor
    """Whether nothing is said."""
    tokens: torch.Tensor
    """What the decoder is given, of shape (windows, tokens)."""
    labels: torch.Tensor
    """What it must say next."""
    heard: torch.Tensor
    """The pieces that are heard in full, of shape (windows, pieces)."""
    heard_lengths: torch.Tensor
    """How many they are."""
    heard_s: torch.Tensor
    """Seconds after which nothing more is heard in full."""

    def to(self, device: str) -> Plan:
        """Return the same plan on a device, but for the lengths that its loss wants on the host.

        Nothing here waits for the device, if the plan is in pinned memory.
        """
        return Plan(
            **{
                name: tensor if name in _ON_HOST else tensor.to(device, non_blocking=True)
                for name, tensor in self._parts()
            }
        )

    def pin_memory(self) -> Plan:
        """Return the same plan in pinned memory; DataLoader calls this."""
        return Plan(**{name: tensor.pin_memory() for name, tensor in self._parts()})

    def _parts(self) -> list[tuple[str, torch.Tensor]]:
        return [(part.name, getattr(self, part.name)) for part in fields(self)]


class _Manner(NamedTuple):
    """Which utterances may be drawn, and how they are said."""

    pool: NDArray[np.int64]
    speed: float
    gain: float


@dataclass(kw_only=True)
class _Piece:
    utterance: int
    at: int
    count: int
    speed: float
    gain: float
    whole: bool = True
    """Whether it ends inside of the window."""
    tail: bool = False
    """Whether it is only the end of an utterance, which nobody writes down."""


@dataclass(kw_only=True)
class _Window:
    stamps: bool
    pieces: list[_Piece] = field(default_factory=list)
    length: int = 0

    @property
    def told(self) -> list[_Piece]:
        """The pieces that are transcribed."""
        return [piece for piece in self.pieces if not piece.tail]


class Planner(Dataset[Plan]):
    """The plans of all steps; an item's index is its step."""

    def __init__(
        self, config: Config, utterances: Sequence[Utterance], vocabulary: Vocabulary
    ) -> None:
        self._config = config
        self._vocabulary = vocabulary
        self._start = np.array([utterance.start for utterance in utterances], dtype=np.int64)
        self._samples = np.array([utterance.samples for utterance in utterances], dtype=np.int64)
        self._ids = [vocabulary.encode(utterance.text) for utterance in utterances]
        self._size = config.model.window_s * SAMPLE_RATE_HZ
        spoken = [at for at, one in enumerate(utterances) if one.kind != "word"]
        self._spoken = np.array(spoken, dtype=np.int64)
        self._words = np.array(
            [at for at, one in enumerate(utterances) if one.kind == "word"] or spoken,
            dtype=np.int64,
        )
        by_speaker: dict[str, list[int]] = {}
        for at in spoken:
            by_speaker.setdefault(utterances[at].speaker, []).append(at)
        self._speakers = [np.array(of_one, dtype=np.int64) for of_one in by_speaker.values()]
        shares = np.array([len(of_one) for of_one in self._speakers], dtype=np.float64)
        self._speaker_shares = shares / shares.sum()

    def __len__(self) -> int:
        return self._config.training.steps

    def __getitem__(self, step: int) -> Plan:
        random = np.random.default_rng([self._config.seed, step])
        windows = [self._window(random, step) for _ in range(self._config.training.batch)]
        return self._tensors(windows, random)

    def _window(self, random: Generator, step: int) -> _Window:
        settings = self._config.windows
        window = _Window(stamps=bool(random.random() < settings.timestamps))
        kind = random.choice(
            4, p=[settings.passage, settings.sentence, settings.word, settings.silence]
        )
        at = 0
        if window.stamps and random.random() < settings.tails:
            at = self._tail(random, window)
        if kind == 3:
            shortest = max(at, SAMPLE_RATE_HZ // 10)
            window.length = int(random.integers(shortest, self._size + 1))
            return window
        at += self._lead(random)
        if kind == 0:
            self._passage(random, window, at, step)
        else:
            pool = self._spoken if kind == 1 else self._words
            speed = self._speed(random)
            self._place(random, window, _Manner(pool, speed, gain=1.0), at, self._size)
        if not window.length:
            self._end(random, window)
        return window

    def _passage(self, random: Generator, window: _Window, at: int, step: int) -> None:
        """Fill a window with sentences, all the way or until some length is reached."""
        settings = self._config.windows
        cut = window.stamps and random.random() < settings.cut
        grown = min(1.0, step / settings.growth_steps)
        seconds = self._size / SAMPLE_RATE_HZ
        longest = min(seconds, _FIRST_GROWTH_S + grown * (seconds - _FIRST_GROWTH_S))
        goal = self._size
        if not cut:
            shortest = min(_SHORTEST_PASSAGE_S, longest)
            # Rather long than short: a step costs the same, however much is said in it.
            drawn = shortest + (longest - shortest) * math.sqrt(random.random())
            goal = round(drawn * SAMPLE_RATE_HZ)
        one_voice = random.random() < settings.one_voice
        pool, speed = self._spoken, self._speed(random)
        if one_voice:
            pool = self._speakers[random.choice(len(self._speakers), p=self._speaker_shares)]
        while True:
            gain = 1.0
            if not one_voice:
                speed, gain = self._speed(random), float(10 ** (random.uniform(-4, 4) / 20))
            placed = self._place(random, window, _Manner(pool, speed, gain), at, goal, cut=cut)
            if placed is None:
                return
            if not placed.whole:
                window.length = self._size
                return
            pause = _PAUSE_S + min(random.exponential(_LONGER_S), 3.0)
            at = placed.at + placed.count + round(pause * SAMPLE_RATE_HZ)

    def _place(
        self,
        random: Generator,
        window: _Window,
        manner: _Manner,
        at: int,
        goal: int,
        *,
        cut: bool = False,
    ) -> _Piece | None:
        """Put an utterance of the pool into a window, or return None where none fits.

        The first one of a window may go past the goal, and starts earlier where it must; a later
        one that does goes in cut off, if so asked, or not at all.
        """
        for _ in range(_TRIES):
            chosen = int(random.choice(manner.pool))
            count = int((self._samples[chosen] - 1) / manner.speed) + 1
            if self._tokens(window) + len(self._ids[chosen]) + 4 > self._config.model.max_tokens:
                return None
            piece = _Piece(
                utterance=chosen, at=at, count=count, speed=manner.speed, gain=manner.gain
            )
            if not window.told and at + count > self._size:
                after = window.pieces[0].count if window.pieces else 0
                if after + count > self._size:
                    continue
                piece.at = int(random.integers(after, self._size - count + 1))
            elif window.told and at + count > goal:
                if not cut:
                    return None
                if goal - at < _LEAST_CUT_S * SAMPLE_RATE_HZ:
                    return None
                piece.count, piece.whole = goal - at, False
            window.pieces.append(piece)
            return piece
        return None

    def _tokens(self, window: _Window) -> int:
        """Count the tokens of a window's text, two time stamps for each utterance included."""
        return sum(len(self._ids[piece.utterance]) + 2 for piece in window.told)

    def _tail(self, random: Generator, window: _Window) -> int:
        """Begin a window with the end of an utterance; return where more may follow."""
        chosen = int(random.choice(self._spoken))
        count = round(random.uniform(*_TAIL_S) * SAMPLE_RATE_HZ)
        count = min(count, int(self._samples[chosen]))
        window.pieces.append(
            _Piece(utterance=chosen, at=0, count=count, speed=1.0, gain=1.0, tail=True)
        )
        return count + round(_PAUSE_S * SAMPLE_RATE_HZ)

    def _lead(self, random: Generator) -> int:
        """Draw the silence before the first word: mostly short."""
        seconds = self._size / SAMPLE_RATE_HZ
        longest = random.choice([0.4, 2.0, seconds / 2], p=[0.7, 0.25, 0.05])
        return int(random.uniform(0, min(longest, seconds / 2)) * SAMPLE_RATE_HZ)

    def _end(self, random: Generator, window: _Window) -> None:
        """Let the recording end: mostly soon after the last word."""
        last = max((piece.at + piece.count for piece in window.pieces), default=0)
        if random.random() < 0.8:
            window.length = min(self._size, last + round(random.uniform(0, 0.8) * SAMPLE_RATE_HZ))
        else:
            window.length = int(random.integers(last, self._size + 1))

    def _speed(self, random: Generator) -> float:
        settings = self._config.windows
        if random.random() >= settings.stretched:
            return 1.0
        return float(random.uniform(1 - settings.stretch, 1 + settings.stretch))

    def _transcript(self, window: _Window) -> tuple[list[int], list[int]]:
        """Return what the decoder is given for a window, and what it must say next."""
        vocabulary = self._vocabulary
        if not window.stamps:
            text = [token for piece in window.told for token in self._ids[piece.utterance]]
            # Which of the two prompts it is, nobody can hear.
            given = [vocabulary.start, vocabulary.no_timestamps, *text]
            return given, [IGNORED, *text, vocabulary.end]
        said: list[int] = []
        for piece in window.told:
            said.append(vocabulary.stamp(piece.at / SAMPLE_RATE_HZ))
            if piece.whole:
                said += self._ids[piece.utterance]
                said.append(vocabulary.stamp((piece.at + piece.count) / SAMPLE_RATE_HZ))
        said = said or [vocabulary.stamp(0.0)]
        return [vocabulary.start, *said], [*said, vocabulary.end]

    def _source(self, piece: _Piece) -> int:
        """Return the corpus's sample that a piece begins with."""
        start = int(self._start[piece.utterance])
        return start + int(self._samples[piece.utterance]) - piece.count if piece.tail else start

    def _misheard(self, given: list[int], random: Generator) -> list[int]:
        """Put random pieces in the place of some, as a decoder's own mistakes would.

        One that was only ever given what is right goes on as its sentences do, whatever is said
        (exposure bias; Bengio et al., scheduled sampling, NeurIPS 2015).
        """
        share, pieces = self._config.windows.misheard, self._vocabulary.pieces
        drawn = random.integers(pieces, size=len(given)).tolist()
        wrong = (random.random(len(given)) < share).tolist()
        return [
            other if is_wrong and token < pieces else token
            for token, other, is_wrong in zip(given, drawn, wrong, strict=True)
        ]

    def _tensors(self, windows: list[_Window], random: Generator) -> Plan:
        pieces = [(row, piece) for row, window in enumerate(windows) for piece in window.pieces]
        heard = [
            [token for one in window.told if one.whole for token in self._ids[one.utterance]]
            for window in windows
        ]
        # Of a sentence that is cut off nobody knows how many pieces are heard.
        heard_until = [
            next((one.at for one in window.pieces if not one.whole), window.length)
            for window in windows
        ]
        given, said = zip(*map(self._transcript, windows), strict=True)
        return Plan(
            source=torch.tensor([self._source(one) for _, one in pieces]).long(),
            count=torch.tensor([one.count for _, one in pieces]).long(),
            target=torch.tensor([row * self._size + one.at for row, one in pieces]).long(),
            speed=torch.tensor([one.speed for _, one in pieces]),
            gain=torch.tensor([one.gain for _, one in pieces]),
            lengths=torch.tensor([window.length for window in windows]),
            speechless=torch.tensor([not window.pieces for window in windows]),
            tokens=_padded([self._misheard(row, random) for row in given], self._vocabulary.end),
            labels=_padded(said, IGNORED),
            heard=_padded(heard, 0),
            heard_lengths=torch.tensor([len(row) for row in heard]),
            heard_s=torch.tensor([until / SAMPLE_RATE_HZ for until in heard_until]),
        )


def _padded(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    width = -(-max(map(len, rows)) // _MULTIPLE) * _MULTIPLE or _MULTIPLE
    made = torch.full((len(rows), width), filler, dtype=torch.long)
    for at, row in enumerate(rows):
        made[at, : len(row)] = torch.tensor(row, dtype=torch.long)
    return made
