"""nano.toml: everything that decides what the training makes, as data."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from training.sentences import Kind

CONFIG = Path(__file__).with_name("nano.toml")

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Range = tuple[float, float]


class Texts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is written to be spoken."""

    trained: dict[Kind, Positive]
    heldout: dict[Kind, Positive]


class Voice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Voices of a synthesizer, and the settings that they speak in."""

    engine: Literal["flite", "espeak-ng"]
    names: tuple[str, ...]
    share: Share
    rates: tuple[float, ...]
    pitches: tuple[float, ...]
    heldout_rates: tuple[float, ...]
    heldout_pitches: tuple[float, ...]
    variants: tuple[str, ...] = ("",)
    heldout_variants: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        """Refuse held-out settings that are spoken in training too."""
        if set(self.rates) & set(self.heldout_rates) or set(self.pitches) & set(
            self.heldout_pitches
        ):
            raise ValueError(f"{self.engine}: a held-out rate or pitch is a training one as well")
        if set(self.variants) & set(self.heldout_variants) - {""}:
            raise ValueError(f"{self.engine}: a held-out variant is a training one as well")


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The architecture: Whisper's, smaller."""

    width: Positive
    heads: Positive
    encoder_layers: Positive
    decoder_layers: Positive
    pieces: Annotated[int, msgspec.Meta(ge=257)]
    mel_bins: Positive
    window_s: Positive
    max_tokens: Positive
    dropout: Share


class Windows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the training windows hold, as shares of them."""

    passage: Share
    sentence: Share
    word: Share
    silence: Share
    timestamps: Share
    cut: Share
    tails: Share
    one_voice: Share
    stretched: Share
    stretch: Share
    growth_steps: Positive
    misheard: Share

    def __post_init__(self) -> None:
        """Refuse shares of the four kinds that do not make a whole."""
        if abs(self.passage + self.sentence + self.word + self.silence - 1) > 1e-6:
            raise ValueError("windows: passage, sentence, word and silence must add up to 1")


class Augmentation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done to the sound, as shares of the windows, and how strongly."""

    clean: Share
    noise: Share
    snr_db: Range
    reverberation: Share
    decay_s: Range
    band: Share
    tone: Share
    clipped: Share
    mel_mask: Share
    zero_padded: Share
    gain_db: Range


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the weights are found."""

    batch: Positive
    steps: Positive
    warmup_steps: Positive
    learning_rate: float
    weight_decay: float
    clip: float
    smoothing: Share
    ctc: float
    log_every: Positive
    checkpoint_every: Positive
    evaluate_every: Positive


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    seed: int
    texts: Texts
    voice: tuple[Voice, ...]
    model: Model
    windows: Windows
    augmentation: Augmentation
    training: Training

    @property
    def digest(self) -> str:
        """What tells this configuration from another one."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]

    @property
    def speech_digest(self) -> str:
        """What tells the speech that it makes from another's."""
        made_of = (self.seed, self.texts, self.voice)
        return hashlib.sha256(msgspec.json.encode(made_of)).hexdigest()[:16]


def read_config(path: Path = CONFIG) -> Config:
    """Read a configuration; a missing, unknown or impossible key raises a ValidationError."""
    return msgspec.toml.decode(path.read_bytes(), type=Config)
