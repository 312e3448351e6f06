"""What all transcription paths share that take the suite's own features: a bound batch of clips."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from whisperbench.units import SAMPLE_RATE_HZ, WINDOW_S
from whisperbench.whisper.languages import language_of, require_languages
from whisperbench.whisper.transcriber import Features, Transcriber

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from whisperbench.asked.clips import Audio
    from whisperbench.whisper.loading import WithProcessor

WINDOW_SAMPLES = round(WINDOW_S * SAMPLE_RATE_HZ)


class WindowedTranscriber(Transcriber):
    """A batch of clips, the features of its windows, and its prompt."""

    loaded: WithProcessor

    def __init__(
        self, loaded: WithProcessor, batch: Sequence[Audio], *, bounded: bool = False
    ) -> None:
        """Bind them.

        Args:
            loaded: the model; it may be closed while this object lives on.
            batch: clips that are transcribed at once: copies of one, or several of one language
                of which all or none are longer than 30 s. Their language is fixed, so that no
                detection pass is measured.
            bounded: whether a transcription that does not end is ended. What one token takes is
                measured for it, before the first transcription of the model and batch size.

        Raises:
            InputError: the model does not know the language.
        """
        self.loaded = loaded
        self.audio = batch[0]
        self.batch_size = len(batch)
        self._bounded = bounded
        self.language = language_of(self.audio.clip)
        require_languages(loaded.key.model.name, loaded.tokens.known_languages, [self.audio.clip])
        self._samples = [audio.samples for audio in batch]
        self._starts = range(0, max(map(len, self._samples)), WINDOW_SAMPLES)

    @property
    def windows(self) -> int:
        """How many windows of 30 s the longest clip of the batch takes."""
        return len(self._starts)

    def front_end(self, window: int = 0) -> Features:
        """Make the features of one 30 s window, padded to it, where the model takes them."""
        start = self._starts[window]
        return self._features(
            [samples[start : start + WINDOW_SAMPLES] for samples in self._samples]
        )

    def prompt(self) -> torch.Tensor:
        """Return the ids that every decode starts from, of shape (batch, 1 or 4)."""
        import torch

        ids = self.loaded.tokens.prompt(self.language)
        return torch.tensor([ids] * self.batch_size, device=self.loaded.accelerator.torch_device)

    def token_ids(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens."""
        ids: list[int] = self.loaded.processor.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    @abstractmethod
    def _features(self, samples: list[Any], **options: Any) -> Features:
        """Make the features of samples, one of each clip of a batch, where the model takes them."""
