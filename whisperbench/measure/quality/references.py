"""What 32-bit floats make of the clips, which other precisions are held against."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from whisperbench.asked.precisions import precision_named
from whisperbench.errors import ModelError, WhisperbenchError, one_line
from whisperbench.measure.quality.numerics import REFERENCE, Forced, force
from whisperbench.whisper.residency import memory_errors

if TYPE_CHECKING:
    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.whisper.loading import LoadedModel
    from whisperbench.whisper.residency import ModelCache

Model = tuple[str, str]
"""Name and attention."""


class NumericReferences:
    """What 32-bit floats make of the clips: computed before another precision is resident."""

    def __init__(
        self,
        accelerator: Accelerator,
        clips: Iterable[Audio],
        cache: ModelCache[CheckpointKey, LoadedModel],
        wanted: Collection[Model],
    ) -> None:
        """Prepare to compute them.

        Args:
            accelerator: on which they are computed.
            clips: whose words are forced.
            cache: gives the models.
            wanted: name and attention of the models whose numerics are asked for.
        """
        self._accelerator = accelerator
        self._clips = tuple(clips)
        self._cache = cache
        self._wanted = wanted
        self._model: Model | None = None
        self._forced: dict[str, Forced] = {}
        self._failure: WhisperbenchError | None = None

    def prepare(self, key: CheckpointKey) -> None:
        """Compute them for a checkpoint's model, where its numerics are asked for.

        Before the first of its precisions, so that 32-bit floats are not loaded again where they
        are that one.
        Those of the model before are let go: of a large one they take some 300 MiB a clip.
        """
        model = (key.model.name, key.attention)
        if model not in self._wanted or self._model == model:
            return
        self._model, self._failure = model, None
        self._forced.clear()
        # FlashAttention has no 32-bit floats.
        attention = "sdpa" if key.attention == "flash_attention_2" else key.attention
        reference = replace(key, precision=precision_named(REFERENCE), attention=attention)
        try:
            with memory_errors(f"loading {reference.id}", self._accelerator):
                loaded = self._cache.get(reference)
                for audio in self._clips:
                    self._forced[audio.name] = force(loaded.transcriber([audio]))
        except Exception as error:  # noqa: BLE001 - whatever it is, it fails the numerics alone
            # Without its frames, which hold the model.
            self._failure = (
                copy(error)
                if isinstance(error, WhisperbenchError)
                else ModelError(
                    f"{reference.id}, which the numerics are held against, failed with "
                    f"{type(error).__name__}: {one_line(error)}"
                )
            )

    def __getitem__(self, audio: Audio) -> Forced:
        if self._failure is not None:
            raise copy(self._failure)
        return self._forced[audio.name]
