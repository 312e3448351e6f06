"""transformers' transcription path: log-mel front end, encoder, decoder, text.

What is timed calls transformers as a plain script would, so that the suite times the stack and
not itself; benchmarks/overhead.py shows the difference.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

from whisperbench.units import SAMPLE_RATE_HZ
from whisperbench.whisper.compiled_decoder import (
    CompiledDecoder,
    CompiledStep,
    compile_config,
    forced,
)
from whisperbench.whisper.transcriber import Features, TokenStep, Transcription
from whisperbench.whisper.transformers_config import settings_for
from whisperbench.whisper.windowed import WindowedTranscriber

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from transformers import CompileConfig, GenerationConfig

    from whisperbench.asked.clips import Audio
    from whisperbench.whisper.transformers_loading import TransformersModel


class TransformersTranscriber(WindowedTranscriber):
    """A model that transformers has loaded, and a batch of clips."""

    loaded: TransformersModel

    def __init__(
        self, loaded: TransformersModel, batch: Sequence[Audio], *, bounded: bool = False
    ) -> None:
        """Bind them, as `WindowedTranscriber` does."""
        super().__init__(loaded, batch, bounded=bounded)
        self._known_settings: dict[int | None, GenerationConfig] = {}
        self._compiling: CompileConfig | None = None
        if loaded.key.precision.compiled:
            backend, options, _ = loaded.chosen
            on_host = loaded.accelerator.on_host
            mode = backend.compile_mode(options, on_host=on_host)
            self._compiling = compile_config(mode, on_host=on_host)

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

    def _generate(self, features: Features, settings: GenerationConfig) -> torch.Tensor:
        made = self.loaded.model.generate(
            features.mel, attention_mask=features.mask, generation_config=settings
        )
        return cast("torch.Tensor", made)

    def token_step(self, at: int) -> TokenStep:
        """Prepare the decoding of one token after `at` others."""
        import torch

        if self._compiling is None:
            return TransformersStep(self, at)
        prompt = self.prompt()
        # Which tokens fill the cache makes no difference to the work.
        ids = torch.cat([prompt, prompt[:, -1:].expand(-1, at)], dim=1)
        return CompiledStep(self._compiled_decoder(self.front_end(), ids), ids)

    def logits_of(self, features: Features, ids: torch.Tensor) -> torch.Tensor:
        """Put given ids, the prompt among them, through the model at once.

        Where the decoder's step is compiled, those after the prompt go through it one by one.
        """
        import torch

        if self._compiling is not None:
            first = self.prompt().shape[1]
            return forced(self._compiled_decoder(features, ids[:, :first]), ids, first)
        with torch.no_grad():
            made = self.loaded.model(input_features=features.mel, decoder_input_ids=ids)
        return cast("torch.Tensor", made.logits)

    def encoder(self) -> torch.nn.Module:
        """Return the model's encoder."""
        return cast("torch.nn.Module", self.loaded.model.get_encoder())

    def layers(self) -> Mapping[str, torch.nn.Module]:
        """Return each half's layers but the last, and the norm behind that one.

        Compiled layers cannot be looked into, and are not offered.

        Their outputs are transformers' `output_hidden_states`, which cannot be used: it leaves
        hooks in the model, and their calls would count in what the model costs from then on.
        """
        if self._compiling is not None:
            raise self._lacks("hidden states of layers, which are compiled")
        found = {}
        for half in ("encoder", "decoder"):
            stack = getattr(self.loaded.model.model, half)
            for number, module in enumerate([*stack.layers[:-1], stack.layer_norm]):
                found[f"{half} {number}"] = module
        return found

    def _features(self, samples: list[Any], **options: Any) -> Features:
        made = self.loaded.processor.feature_extractor(
            samples,
            sampling_rate=SAMPLE_RATE_HZ,
            return_tensors="pt",
            return_attention_mask=True,
            **options,
        )
        device = self.loaded.accelerator.torch_device
        return Features(
            mel=made.input_features.to(device, self.loaded.dtype),
            mask=made.attention_mask.to(device),
        )

    def _settings(self, tokens: int | None) -> GenerationConfig:
        """Make the settings of a decode, once."""
        if tokens not in self._known_settings:
            self._known_settings[tokens] = settings_for(
                self.loaded.tokens,
                language=self.language,
                count=tokens,
                walks=tokens is None and len(self._starts) > 1,
                compiling=self._compiling,
            )
        return self._known_settings[tokens]

    def _compiled_decoder(self, features: Features, ids: torch.Tensor) -> CompiledDecoder:
        """Encode a window, and put its first tokens through the decoder."""
        return CompiledDecoder(
            self.loaded.model, self.encode(features), features, ids, self._settings(None)
        )


class TransformersStep:
    """One step of the decoder, again and again at the same position."""

    def __init__(self, transcriber: TransformersTranscriber, at: int) -> None:
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
