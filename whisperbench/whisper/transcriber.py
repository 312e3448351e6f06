"""The transcription path under test: log-mel front end, encoder, decoder, text.

What is timed calls transformers as a plain script would, so that the suite times the stack and
not itself; benchmarks/overhead.py shows the difference.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from whisperbench.asked.recordings import SHOWN
from whisperbench.asked.suite import MAX_TOKENS
from whisperbench.errors import InputError, InvalidMeasurementError
from whisperbench.text.normalizers import normalizer
from whisperbench.text.words import score
from whisperbench.units import SAMPLE_RATE_HZ, WINDOW_S
from whisperbench.whisper.blueprint import POSITIONS
from whisperbench.whisper.deadline import ended_after
from whisperbench.whisper.transformers_config import settings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from transformers import GenerationConfig

    from whisperbench.asked.clips import Audio, Clip
    from whisperbench.whisper.loading import LoadedModel

SLOWEST = 10
"""How many times as long as its tokens a transcription may take before it is ended."""

PACE_CALLS = 3
"""Calls of which the quickest says what one takes."""

AT_LEAST_S = 30.0
"""How long any transcription may take."""

_WINDOW_SAMPLES = round(WINDOW_S * SAMPLE_RATE_HZ)


@dataclass(frozen=True, kw_only=True)
class Features:
    """The front end's output for a batch, on the model's device.

    `mel` is the log-mel spectrogram in the model's dtype, of shape (batch, mel bins, frames) at
    100 frames a second; `mask`, of shape (batch, frames), is 1 where there is audio.
    """

    mel: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Transcription:
    """What a batch was transcribed to."""

    texts: tuple[str, ...]
    """One per clip of the batch."""
    sequences: tuple[torch.Tensor, ...]
    """Token ids of shape (batch, tokens) without the prompt: one tensor per 30 s window, or a
    single one where transformers walked through the windows itself."""

    def token_count(self, end_of_text: int) -> int:
        """Count the tokens of the whole batch, end-of-text padding left out."""
        return sum(int((ids != end_of_text).sum()) for ids in self.sequences)


class Transcriber:
    """A loaded model and a batch of clips: everything that a benchmark calls."""

    def __init__(
        self, loaded: LoadedModel, batch: Sequence[Audio], *, bounded: bool = False
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
        self.language = _language_of(self.audio.clip)
        self._known_settings: dict[int | None, GenerationConfig] = {}
        require_languages(loaded.key.model.name, loaded.tokens.known_languages, [self.audio.clip])
        self._samples = [audio.samples for audio in batch]
        self._starts = range(0, max(map(len, self._samples)), _WINDOW_SAMPLES)

    @property
    def end_of_text(self) -> int:
        """Id of the token that ends a transcript, and pads shorter ones of a batch."""
        return self.loaded.tokens.end_of_text

    def front_end(self, window: int = 0) -> Features:
        """Make the features of one 30 s window, padded to it, and move them to the device."""
        start = self._starts[window]
        return self._features(
            [samples[start : start + _WINDOW_SAMPLES] for samples in self._samples]
        )

    def encode(self, features: Features) -> Any:
        """Run the encoder; return transformers' encoder output of shape (batch, 1500, width)."""
        import torch

        with torch.no_grad():
            return self.loaded.model.get_encoder()(features.mel)

    def transcribe(self, tokens: int | None) -> Transcription:
        """Go from samples to text, greedily.

        Args:
            tokens: decode exactly so many per window, whatever they are; or None for natural
                length. Audio beyond 30 s is then walked through as transformers' long-form
                generation does it, by predicted time stamps; with a fixed count the 30 s windows
                are decoded one after the other.
        """
        settings = self._settings(tokens)
        with self.bound(tokens) if self._bounded else nullcontext():
            if settings.return_timestamps:
                batches = [self._features(self._samples, truncation=False, padding="longest")]
            else:
                batches = [self.front_end(window) for window in range(len(self._starts))]
            sequences = tuple(self._generate(batch, settings) for batch in batches)
        texts = [
            self.loaded.processor.batch_decode(ids, skip_special_tokens=True) for ids in sequences
        ]
        return Transcription(
            texts=tuple(
                " ".join(part.strip() for part in parts) for parts in zip(*texts, strict=True)
            ),
            sequences=sequences,
        )

    def generate(self, features: Features, tokens: int) -> torch.Tensor:
        """Encode a window's features and decode exactly so many tokens.

        Returns:
            Their ids, of shape (batch, tokens).
        """
        return self._generate(features, self._settings(tokens))

    def bound(self, tokens: int | None) -> AbstractContextManager[None]:
        """Return a block that a transcription must end within, by what one token takes.

        It is ten times as long as all tokens that a decode can make, and half a minute more: a
        host that others use slows down by three, and later tokens take longer.
        """
        if self.batch_size not in self.loaded.paces:
            self.loaded.paces[self.batch_size] = self._take_pace()
        encoder_s, token_s = self.loaded.paces[self.batch_size]
        window_s = encoder_s + (tokens or POSITIONS) * token_s
        return ended_after(
            SLOWEST * len(self._starts) * window_s + AT_LEAST_S,
            f"{self.loaded.key.id}: a transcription of {self.audio.name}",
        )

    def _take_pace(self) -> tuple[float, float]:
        """Return the seconds that the encoder and one token take, once warm."""
        features = self.front_end()
        step = self.token_step(at=0)

        def seconds_of(call: Callable[[], object]) -> float:
            synchronize(self.loaded.device)
            started_s = time.perf_counter()
            call()
            synchronize(self.loaded.device)
            return time.perf_counter() - started_s

        # The first calls load a GPU's modules, which takes as long as hundreds of tokens.
        encoder_s = min(seconds_of(lambda: self.encode(features)) for _ in range(PACE_CALLS))
        token_s = float("inf")
        for _ in range(PACE_CALLS):
            token_s = min(token_s, seconds_of(step.step))
            step.rewind()
        return encoder_s, token_s

    def _generate(self, features: Features, settings: GenerationConfig) -> torch.Tensor:
        made = self.loaded.model.generate(
            features.mel, attention_mask=features.mask, generation_config=settings
        )
        return cast("torch.Tensor", made)

    def token_step(self, at: int) -> TokenStep:
        """Prepare the decoding of one token after `at` others."""
        return TokenStep(self, at)

    def require_fixed(self, done: Transcription, tokens: int) -> None:
        """Refuse a fixed-length transcription that did not do the work it is timed for.

        Its ids must be as many as asked for, in the vocabulary, and made of finite logits.

        Raises:
            InvalidMeasurementError: it is garbage.
        """
        name = self.loaded.key.id
        vocabulary = int(self.loaded.model.config.vocab_size)
        for window, ids in enumerate(done.sequences):
            self.require_count(ids, tokens)
            if int(ids.min()) < 0 or int(ids.max()) >= vocabulary:
                raise InvalidMeasurementError(f"{name}: decoded ids outside of the vocabulary")
            self._require_finite_logits(window, ids)

    def require_count(self, ids: torch.Tensor, tokens: int) -> None:
        """Refuse the ids of a window, of shape (batch, tokens), that are not as many as asked for.

        Raises:
            InvalidMeasurementError: less or more was decoded than is measured.
        """
        if tuple(ids.shape) != (self.batch_size, tokens):
            raise InvalidMeasurementError(
                f"{self.loaded.key.id}: decoded {tuple(ids.shape)} tokens instead of "
                f"{(self.batch_size, tokens)}; this transformers does not keep the fixed count"
            )

    def require_words(self, done: Transcription, max_wer: float) -> float | None:
        """Refuse a natural-length transcript that has little to do with the reference.

        Returns:
            The word error rate of the batch's worst transcript, or None without a reference.

        Raises:
            InvalidMeasurementError: it is empty, its word error rate is above `max_wer`, or the
                model's logits are not finite.
            InputError: the reference has no words.
        """
        self._require_finite_logits(0, done.sequences[0][:, :MAX_TOKENS])
        name = self.loaded.key.id
        if not all(text.strip() for text in done.texts):
            raise InvalidMeasurementError(f"{name}: transcribed {self.audio.clip.name} to nothing")
        if self.audio.clip.text is None:
            return None
        require_words_in(self.audio.clip.text, self.language)
        expected = self.audio.clip.text
        worst = max(score(expected, text, self.language).wer or 0.0 for text in done.texts)
        if worst > max_wer:
            raise InvalidMeasurementError(
                f"{name}: word error rate {worst:.2f} on {self.audio.clip.name}, over {max_wer} "
                f"(max_wer in suite.toml): {done.texts[0][:80]!r}; is it the right transcript and "
                "--language?"
            )
        return worst

    def _require_finite_logits(self, window: int, ids: torch.Tensor) -> None:
        """Put a whole sequence through the model once: logits of NaN make ids like any others."""
        import torch

        with torch.no_grad():
            logits = self.loaded.model(
                input_features=self.front_end(window).mel,
                decoder_input_ids=torch.cat([self.prompt(), ids], dim=1),
            ).logits
        if not bool(torch.isfinite(logits).all()):
            raise InvalidMeasurementError(
                f"{self.loaded.key.id}: the logits are not finite; the precision overflows, or a "
                "kernel is broken on this device"
            )

    def prompt(self) -> torch.Tensor:
        """Return the ids that every decode starts from, of shape (batch, 1 or 4)."""
        import torch

        ids = self.loaded.tokens.prompt(self.language)
        return torch.tensor([ids] * self.batch_size, device=self.loaded.device)

    def _features(self, samples: list[Any], **options: Any) -> Features:
        made = self.loaded.processor.feature_extractor(
            samples,
            sampling_rate=SAMPLE_RATE_HZ,
            return_tensors="pt",
            return_attention_mask=True,
            **options,
        )
        return Features(
            mel=made.input_features.to(self.loaded.device, self.loaded.dtype),
            mask=made.attention_mask.to(self.loaded.device),
        )

    def _settings(self, tokens: int | None) -> GenerationConfig:
        """Make the settings of a decode, once."""
        if tokens not in self._known_settings:
            self._known_settings[tokens] = settings_for(
                self.loaded.tokens,
                language=self.language,
                count=tokens,
                walks=tokens is None and len(self._starts) > 1,
            )
        return self._known_settings[tokens]


class TokenStep:
    """One step of the decoder, again and again at the same position."""

    def __init__(self, transcriber: Transcriber, at: int) -> None:
        """Encode the first window and fill the key-value cache with the prompt and `at` tokens."""
        import torch

        self._model = transcriber.loaded.model
        with torch.no_grad():
            self._encoded = transcriber.encode(transcriber.front_end())
            prompt = transcriber.prompt()
            # Which tokens fill the cache makes no difference to the work.
            ids = torch.cat([prompt, prompt[:, -1:].expand(-1, at)], dim=1)
            filled = self._model(
                encoder_outputs=self._encoded, decoder_input_ids=ids, use_cache=True
            )
        self._cache = filled.past_key_values
        self._next = filled.logits[:, -1:].argmax(-1)
        self._length = ids.shape[1]

    def rewind(self) -> None:
        """Take the last step's entry out of the cache again."""
        surplus = self._cache.get_seq_length() - self._length
        if surplus:
            self._cache.self_attention_cache.crop(-surplus)

    def logits(self) -> torch.Tensor:
        """Run the decoder for one token; return its logits, of shape (batch, 1, vocabulary)."""
        import torch

        with torch.no_grad():
            made: torch.Tensor = self._model(
                encoder_outputs=self._encoded,
                decoder_input_ids=self._next,
                past_key_values=self._cache,
                use_cache=True,
            ).logits
        return made

    def step(self) -> torch.Tensor:
        """Decode one token; return its id for each of the batch, of shape (batch, 1)."""
        return self.logits().argmax(-1)


def require_languages(model: str, known: Sequence[str], clips: Sequence[Clip]) -> None:
    """Refuse clips that are in a language that a model does not know.

    Args:
        model: its name.
        known: codes of the languages that it knows.
        clips: all that it is to transcribe.

    Raises:
        InputError: some are; they are named, with what the model knows.
    """
    strange = [clip for clip in clips if _language_of(clip) not in known]
    if strange:
        named = ", ".join(f"{clip.name} ({clip.language})" for clip in strange[:SHOWN])
        more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
        raise InputError(
            f"{model} does not know the language of {len(strange)} of {len(clips)} "
            f"clips: {named}{more}; it knows {', '.join(known)}: set --language, or lang in the "
            "manifest, or take another model"
        )


def _language_of(clip: Clip) -> str:
    return clip.language or "en"


def synchronize(device: str) -> None:
    """Wait until a device has done what it was given. Nothing to wait for on a CPU."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize(device)


def require_words_in(reference: str, language: str) -> None:
    """Refuse a reference that nothing can be held against.

    Raises:
        InputError: it has no words.
    """
    if not normalizer(language)(reference):
        raise InputError(f"the reference text {reference[:40]!r} has no words to compare with")
