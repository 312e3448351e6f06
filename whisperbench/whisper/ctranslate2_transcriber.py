"""CTranslate2's transcription path: the suite's features, its encoder and its decode.

It offers no single token, takes no given ids and has no modules: what needs them is not offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whisperbench.units import SAMPLE_RATE_HZ
from whisperbench.whisper.blueprint import POSITIONS
from whisperbench.whisper.ctranslate2_errors import runtime_errors
from whisperbench.whisper.transcriber import Features, Transcription
from whisperbench.whisper.windowed import WINDOW_SAMPLES, WindowedTranscriber

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import torch

    from whisperbench.asked.clips import Audio
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.whisper.ctranslate2_loading import CTranslate2Model

ANY_FIRST_TIMESTAMP = 1500
"""In steps of 20 ms: a recording may begin anywhere in its first window."""

SAMPLES_A_STEP = SAMPLE_RATE_HZ // 50
"""Of a time stamp: 20 ms."""


@dataclass(frozen=True)
class Encoded:
    """The encoder's output, where CTranslate2 has it."""

    view: Any
    """A ctranslate2.StorageView of shape (batch, 1500, width)."""
    accelerator: Accelerator
    """What it is on."""

    @property
    def last_hidden_state(self) -> torch.Tensor:
        """The same as torch has it, of shape (batch, 1500, width)."""
        import numpy as np
        import torch

        if self.accelerator.on_host:
            return torch.from_numpy(np.array(self.view))
        return torch.as_tensor(self.view, device=self.accelerator.torch_device)


class CTranslate2Transcriber(WindowedTranscriber):
    """A model that CTranslate2 has loaded, and a batch of clips."""

    loaded: CTranslate2Model

    def __init__(
        self, loaded: CTranslate2Model, batch: Sequence[Audio], *, bounded: bool = False
    ) -> None:
        """Bind them, as `WindowedTranscriber` does."""
        super().__init__(loaded, batch, bounded=bounded)

    def encode(self, features: Features) -> Encoded:
        """Run the encoder."""
        view = self._view(features)
        with self._errors():
            return Encoded(self.loaded.model.encode(view), self.loaded.accelerator)

    def transcribe(self, tokens: int | None) -> Transcription:
        """Go from samples to text, greedily.

        Args:
            tokens: decode exactly so many per window, whatever they are; or None for natural
                length. Audio beyond 30 s is then walked through by predicted time stamps, as
                OpenAI's transcribe() does it; with a fixed count the 30 s windows are decoded one
                after the other.
        """
        with self.bound(tokens) if self._bounded else nullcontext():
            if tokens is None and self.windows > 1:
                return self._walk()
            sequences = tuple(
                self._decoded(self.front_end(window), tokens) for window in range(self.windows)
            )
        texts = [self._text_of(ids) for ids in sequences]
        return Transcription(
            texts=tuple(" ".join(parts) for parts in zip(*texts, strict=True)),
            sequences=sequences,
        )

    def generate(self, features: Features, tokens: int) -> torch.Tensor:
        """Encode a window's features and decode exactly so many tokens.

        Returns:
            Their ids, of shape (batch, tokens).
        """
        return self._decoded(features, tokens)

    def logits_are_finite(self, window: int, ids: torch.Tensor) -> bool:
        """Decode as many tokens once more, and look at the logits of each step.

        Given ids cannot be put through it; where it computes what it did, these are the same ones.
        Suppressed tokens have the lowest of the 32-bit floats, which is finite.
        """
        import numpy as np

        made = self._generated(self.front_end(window), ids.shape[1] or None, logits=True)
        return all(
            bool(np.isfinite(np.array(step.to_device(_host()))).all())
            for each in made
            for step in each.logits[0]
        )

    def _features(self, samples: list[Any], **options: Any) -> Features:
        """Make the features on the host, from where CTranslate2 takes them itself."""
        made = self.loaded.processor.feature_extractor(
            samples,
            sampling_rate=SAMPLE_RATE_HZ,
            return_tensors="pt",
            return_attention_mask=True,
            **options,
        )
        return Features(mel=made.input_features.to(self.loaded.dtype), mask=made.attention_mask)

    def _decoded(self, features: Features, tokens: int | None) -> torch.Tensor:
        """Return the ids of a decode, of shape (batch, tokens).

        At natural length shorter ones are padded by the end of text. With a fixed count nothing is:
        if one is too short, so are all, and the count that is asked for shows it.
        """
        import torch

        found = [each.sequences_ids[0] for each in self._generated(features, tokens)]
        if tokens is not None:
            shortest = min(map(len, found))
            return torch.tensor([ids[:shortest] for ids in found], dtype=torch.long)
        longest = max(map(len, found))
        return torch.tensor(
            [[*ids, *[self.end_of_text] * (longest - len(ids))] for ids in found], dtype=torch.long
        )

    def _generated(
        self, features: Features, tokens: int | None, *, logits: bool = False
    ) -> list[Any]:
        """Decode without time stamps; return CTranslate2's results, one of each clip."""
        known = self.loaded.tokens
        suppressed = [*(known.suppressed or ()), *known.timestamps]
        if tokens is not None:
            suppressed.append(known.end_of_text)
        prompt = known.prompt(self.language)
        return self._run(features, prompt, suppressed, tokens, logits=logits)

    def _run(
        self,
        features: Features,
        prompt: list[int],
        suppressed: list[int],
        tokens: int | None,
        *,
        logits: bool = False,
    ) -> list[Any]:
        known = self.loaded.tokens
        first = known.latest_first_timestamp
        count = POSITIONS - len(prompt) if tokens is None else tokens
        with self._errors():
            made: list[Any] = self.loaded.model.generate(
                self._view(features),
                [prompt] * len(features.mel),
                beam_size=1,
                # It decodes half as many tokens at most, and no more than as many less those of the
                # prompt that come before its last one (src/models/whisper.cc).
                max_length=max(2 * count, count + len(prompt) - 1),
                suppress_tokens=list(dict.fromkeys(suppressed)),
                suppress_blank=bool(known.suppressed_first),
                max_initial_timestamp_index=ANY_FIRST_TIMESTAMP if first is None else first,
                return_logits_vocab=logits,
            )
        return made

    def _walk(self) -> Transcription:
        """Transcribe clips of several windows, each of which begins where the last one's text ends.

        By the time stamps that the model predicts, as in transcribe() of OpenAI's
        whisper/transcribe.py, without its earlier text as a prompt and without its fallbacks.
        """
        import torch

        known = self.loaded.tokens
        prompt = [each for each in known.prompt(self.language) if each != known.no_timestamps]
        places = [0] * self.batch_size
        texts: list[list[int]] = [[] for _ in places]
        while open_ := [at for at, place in enumerate(places) if place < len(self._samples[at])]:
            windows = [self._samples[at][places[at] : places[at] + WINDOW_SAMPLES] for at in open_]
            made = self._run(self._features(windows), prompt, list(known.suppressed or ()), None)
            for at, window, each in zip(open_, windows, made, strict=True):
                kept, steps = said_in(each.sequences_ids[0], known.timestamps)
                texts[at] += [token for token in kept if token not in known.timestamps]
                places[at] += len(window) if steps is None else steps * SAMPLES_A_STEP
        longest = max(map(len, texts))
        ids = torch.tensor([[*each, *[self.end_of_text] * (longest - len(each))] for each in texts])
        return Transcription(texts=tuple(self._text_of(ids)), sequences=(ids,))

    def _text_of(self, ids: torch.Tensor) -> list[str]:
        decoded = self.loaded.processor.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in decoded]

    def _view(self, features: Features) -> Any:
        from ctranslate2 import StorageView

        return StorageView.from_array(features.mel.contiguous().numpy())

    def _errors(self) -> AbstractContextManager[None]:
        return runtime_errors(f"{self.loaded.key.id}: a call of {self.audio.name}")


def said_in(ids: Sequence[int], timestamps: range) -> tuple[Sequence[int], int | None]:
    """Return what of a window's ids is whole, and where the next window begins.

    Args:
        ids: with the time stamps around each piece of text.
        timestamps: the ids that are time stamps, in steps of 20 ms.

    Returns:
        The ids up to the last end of a piece, and that end in steps from the window's beginning;
        or all ids, and None where the next window begins at this one's end.
    """
    stamped = [each in timestamps for each in ids]
    pairs = [at for at in range(1, len(ids)) if stamped[at - 1] and stamped[at]]
    ends_alone = stamped[-2:] == [False, True]
    if not pairs or ends_alone:
        return ids, None
    last = pairs[-1]
    steps = ids[last - 1] - timestamps.start
    return (ids[:last], steps) if steps > 0 else (ids, None)


def _host() -> Any:
    from ctranslate2 import Device

    return Device.cpu
