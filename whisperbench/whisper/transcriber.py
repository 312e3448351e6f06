"""What the passes ask of a transcription path, whatever library it is of.

A transcriber offers the parts; how long it may take and whether its output is sound is the same of
all, and stands here too.
"""

# ruff: noqa: ARG002 - what is not offered takes its arguments all the same
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from whisperbench.asked.suite import MAX_TOKENS
from whisperbench.errors import InputError, InvalidMeasurementError, NotOfferedError
from whisperbench.text.normalizers import normalizer
from whisperbench.text.words import score
from whisperbench.units import WINDOW_S
from whisperbench.whisper.blueprint import POSITIONS
from whisperbench.whisper.deadline import ended_after

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    import torch

    from whisperbench.asked.clips import Audio
    from whisperbench.whisper.loading import LoadedModel

SLOWEST = 10
"""How many times as long as its tokens a transcription may take before it is ended."""

PACE_CALLS = 3
"""Tokens of which the quickest says what one takes."""

AT_LEAST_S = 30.0
"""How long any transcription may take."""


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
    sequences: Sequence[torch.Tensor]
    """Token ids of shape (batch, tokens) without the prompt: one tensor per 30 s window, or a
    single one where transformers walked through the windows itself."""

    def token_count(self, end_of_text: int) -> int:
        """Count the tokens of the whole batch, end-of-text padding left out."""
        return sum(int((ids != end_of_text).sum()) for ids in self.sequences)


class TokenStep(Protocol):
    """One step of the decoder, again and again at the same position."""

    def rewind(self) -> None:
        """Take the last step's entry out of the cache again."""
        ...

    def logits(self) -> torch.Tensor:
        """Run the decoder for one token; return its logits, of shape (batch, 1, vocabulary)."""
        ...

    def step(self) -> torch.Tensor:
        """Decode one token; return its id for each of the batch, of shape (batch, 1)."""
        ...


class Transcriber(Protocol):
    """A loaded model and a batch of clips: everything that a benchmark calls.

    The batch is transcribed at once, greedily, in one fixed language. Implementations derive from
    this class, and inherit the checks. What one of them leaves out raises NotOfferedError.
    """

    loaded: LoadedModel
    audio: Audio
    """The first clip of the batch."""
    batch_size: int
    language: str
    """Code of the language that the batch is transcribed in."""

    @property
    def windows(self) -> int:
        """How many windows of 30 s the longest clip of the batch takes."""
        raise self._lacks("count of windows")

    def front_end(self, window: int = 0) -> Features:
        """Make the features of one 30 s window, padded to it, and move them to the device."""
        raise self._lacks("front end")

    def encode(self, features: Features) -> Any:
        """Run the encoder.

        Returns:
            Its output, whose `last_hidden_state` is of shape (batch, 1500, width).
        """
        raise self._lacks("encoder's pass")

    def transcribe(self, tokens: int | None) -> Transcription:
        """Go from samples to text, greedily.

        Args:
            tokens: decode exactly so many per window, whatever they are; or None for natural
                length.
        """
        raise self._lacks("transcription")

    def generate(self, features: Features, tokens: int) -> torch.Tensor:
        """Encode a window's features and decode exactly so many tokens.

        Returns:
            Their ids, of shape (batch, tokens).
        """
        raise self._lacks("decode of given features")

    def token_step(self, at: int) -> TokenStep:
        """Prepare the decoding of one token after `at` others, the window's encoding included."""
        raise self._lacks("single token")

    def prompt(self) -> torch.Tensor:
        """Return the ids that every decode starts from, of shape (batch, 1 or 4)."""
        raise self._lacks("prompt")

    def token_ids(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens."""
        raise self._lacks("ids of a text")

    def logits_of(self, features: Features, ids: torch.Tensor) -> torch.Tensor:
        """Put given ids through the model at once.

        Args:
            features: of the window that they are of.
            ids: the prompt's and those after it, of shape (batch, ids).

        Returns:
            The logits after each, of shape (batch, ids, vocabulary).
        """
        raise self._lacks("logits")

    def encoder(self) -> torch.nn.Module:
        """Return the encoder: hooks on its forward pass tell the stages of a decode apart."""
        raise self._lacks("encoder")

    def layers(self) -> Mapping[str, torch.nn.Module]:
        """Return the modules whose outputs are the hidden states after each layer, by name.

        Of the last layer of a half that is the norm behind it.
        """
        raise self._lacks("layers")

    def _lacks(self, what: str) -> NotOfferedError:
        return NotOfferedError(f"{self.loaded.key.id}: its transcriber offers no {what}")

    @property
    def end_of_text(self) -> int:
        """Id of the token that ends a transcript, and pads shorter ones of a batch."""
        return self.loaded.tokens.end_of_text

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
            SLOWEST * self.windows * window_s + AT_LEAST_S,
            f"{self.loaded.key.id}: a transcription of {self.audio.name}",
        )

    def _take_pace(self) -> tuple[float, float]:
        """Return the seconds that the encoder and one token take, or a little more.

        On a host they are those of the first call, which has the front end and the prompt in it.
        Without a single token, by the difference of a decode of one and one of a few; and without
        that as if a window took as long as it is to be heard.
        """
        steps: list[TokenStep] = []
        try:
            encoder_s = self._seconds_of(lambda: steps.append(self.token_step(at=0)))
        except NotOfferedError:
            return self._pace_of_decodes()
        if not self.loaded.accelerator.on_host:
            # The first call loads a GPU's modules, which takes as long as hundreds of tokens.
            features = self.front_end()
            encoder_s = self._seconds_of(lambda: self.encode(features))
        (step,) = steps
        token_s = float("inf")
        for _ in range(PACE_CALLS):
            token_s = min(token_s, self._seconds_of(step.step))
            step.rewind()
        return encoder_s, token_s

    def _pace_of_decodes(self) -> tuple[float, float]:
        """Return the same of a path that decodes, but no single token; or of one that does not."""
        try:
            features = self.front_end()
            self.generate(features, 1)
            one_s = self._seconds_of(lambda: self.generate(features, 1))
            more_s = self._seconds_of(lambda: self.generate(features, 1 + PACE_CALLS))
        except NotOfferedError:
            return WINDOW_S, 0.0
        # Never less than a token's share of all: what both have in common wobbles, too.
        token_s = max((more_s - one_s) / PACE_CALLS, one_s / POSITIONS)
        return one_s, token_s

    def _seconds_of(self, call: Callable[[], object]) -> float:
        self.loaded.accelerator.synchronize()
        started_s = time.perf_counter()
        call()
        self.loaded.accelerator.synchronize()
        return time.perf_counter() - started_s

    def require_done(self, done: Transcription, tokens: int | None) -> None:
        """Refuse a transcription that was not done, with a fixed count or at natural length.

        Args:
            done: what came out.
            tokens: what `transcribe` was asked for.

        Raises:
            InvalidMeasurementError: it is garbage, or nothing.
        """
        if tokens is None:
            self.require_text(done)
        else:
            self.require_fixed(done, tokens)

    def require_fixed(self, done: Transcription, tokens: int) -> None:
        """Refuse a fixed-length transcription that did not do the work it is timed for.

        Its ids must be as many as asked for, in the vocabulary, and made of finite logits.

        Raises:
            InvalidMeasurementError: it is garbage.
        """
        name = self.loaded.key.id
        vocabulary = self.loaded.tokens.vocabulary
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
                f"{(self.batch_size, tokens)}; the version of its library does not keep the count"
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
        self.require_text(done)
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

    def require_text(self, done: Transcription) -> None:
        """Refuse a natural-length transcription in which nothing was heard.

        Raises:
            InvalidMeasurementError: there is no word in it.
        """
        if not all(text.strip() for text in done.texts):
            raise InvalidMeasurementError(
                f"{self.loaded.key.id}: transcribed {self.audio.clip.name} to nothing"
            )

    def logits_are_finite(self, window: int, ids: torch.Tensor) -> bool:
        """Put a whole sequence through the model once: logits of NaN make ids like any others.

        A path that cannot put given ids through its model looks at its logits in its own way.

        Args:
            window: that they are of.
            ids: what was decoded, without the prompt, of shape (batch, tokens).
        """
        import torch

        logits = self.logits_of(self.front_end(window), torch.cat([self.prompt(), ids], dim=1))
        return bool(torch.isfinite(logits).all())

    def _require_finite_logits(self, window: int, ids: torch.Tensor) -> None:
        if not self.logits_are_finite(window, ids):
            raise InvalidMeasurementError(
                f"{self.loaded.key.id}: the logits are not finite; the precision overflows, or a "
                "kernel is broken on this device"
            )


def require_words_in(reference: str, language: str) -> None:
    """Refuse a reference that nothing can be held against.

    Raises:
        InputError: it has no words.
    """
    if not normalizer(language)(reference):
        raise InputError(f"the reference text {reference[:40]!r} has no words to compare with")
