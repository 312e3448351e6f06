"""What a fresh process is told: the cell that it is to load and to transcribe."""

from __future__ import annotations

from pathlib import Path

import msgspec

from whisperbench.blueprint import Blueprint
from whisperbench.checkpoints import Checkpoint
from whisperbench.clips import Clip
from whisperbench.models import ModelSpec
from whisperbench.plan import CheckpointKey
from whisperbench.precisions import precision_named
from whisperbench.suite import Attention


class CellRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A cell, in plain values that go through a pipe."""

    model: str
    """What to call it in messages."""
    folder: str
    """The checkpoint's files."""
    precision: str
    attention: Attention
    device: str
    clip: Clip
    batch_size: int
    tokens: int
    blueprint: Blueprint | None = None
    """What the checkpoint's small files say, so that it need not be read again."""

    def __str__(self) -> str:
        return f"{self.model} in {self.precision}"

    def key(self) -> CheckpointKey:
        """Return what is to be loaded."""
        return CheckpointKey(
            model=ModelSpec(kind="folder", name=self.model, folder=Path(self.folder)),
            precision=precision_named(self.precision),
            attention=self.attention,
        )

    def checkpoint(self) -> Checkpoint:
        """Return where its files are."""
        return Checkpoint(
            spec=self.key().model,
            folder=Path(self.folder),
            fingerprint="",
            blueprint=self.blueprint,
        )
