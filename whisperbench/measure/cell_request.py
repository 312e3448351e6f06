"""What a fresh process is told: the cell that it is to load and to transcribe."""

from __future__ import annotations

from pathlib import Path

import msgspec

from whisperbench.asked.clips import Clip
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import Precision
from whisperbench.asked.suite import Attention
from whisperbench.devices.accelerator import Accelerator
from whisperbench.results.records import unusual
from whisperbench.whisper.blueprint import Blueprint
from whisperbench.whisper.checkpoints import Checkpoint


class CellRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A cell, in plain values that go through a pipe, pickled."""

    model: str
    """What to call it in messages."""
    folder: str
    """The checkpoint's files."""
    precision: Precision
    """The row itself, so that the process needs no registry to find it."""
    attention: Attention
    accelerator: Accelerator
    """What it runs on, likewise."""
    clip: Clip
    batch_size: int
    tokens: int | None
    """Of the fixed count; None: to the end of text, where the transcriber has no fixed count."""
    fingerprint: str = ""
    """What tells the checkpoint from another of the same name; empty: it is digested again."""
    blueprint: Blueprint | None = None
    """What the checkpoint's small files say, so that it need not be read again."""

    def __str__(self) -> str:
        return f"{self.model} in {self.precision.name}{unusual(self.batch_size, self.attention)}"

    def key(self) -> CheckpointKey:
        """Return what is to be loaded."""
        return CheckpointKey(
            model=ModelSpec(kind="folder", name=self.model, folder=Path(self.folder)),
            precision=self.precision,
            attention=self.attention,
        )

    def checkpoint(self) -> Checkpoint:
        """Return where its files are."""
        return Checkpoint(
            spec=self.key().model,
            folder=Path(self.folder),
            fingerprint=self.fingerprint,
            blueprint=self.blueprint,
        )
