"""A decoder that is compiled: told to generate() as settings, and run token by token.

transformers' generate() compiles the whole model's call, and uses it for every token after those
of the prompt; its key-value cache is then one of a fixed length. What is measured token by token
goes through the very same call, with inputs of the same kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from whisperbench.errors import ModelError
from whisperbench.whisper.blueprint import POSITIONS

if TYPE_CHECKING:
    import torch
    from transformers import CompileConfig, GenerationConfig, WhisperForConditionalGeneration
    from transformers.cache_utils import EncoderDecoderCache

    from whisperbench.whisper.transcriber import Features


def compile_config(mode: str | None, *, on_host: bool) -> CompileConfig:
    """Return how generate() is to compile: as it does by itself, but for shapes.

    For another batch size it would compile one call for all sizes, which is slower: what was
    measured before would then decide what is measured. So each size has its own.

    Args:
        mode: torch.compile's, where the backend's layers need another than generate()'s own.
        on_host: whether the device is the host itself, where transformers compiles only what it is
            told to.
    """
    from transformers import CompileConfig

    config = CompileConfig(dynamic=False)
    if mode is not None:
        config.mode = mode
    if on_host:
        config._compile_all_devices = True  # noqa: SLF001 - it has no other name
    return config


def set_compiled(settings: GenerationConfig, config: CompileConfig) -> None:
    """Tell generate() to compile.

    The cache always has as many places as the model has positions. By default it would have as many
    as a call can fill, so that a longer call after a shorter one is compiled anew.

    Raises:
        ModelError: this transformers is too old.
    """
    import transformers

    if not hasattr(settings, "max_cache_len"):
        raise ModelError(
            f"transformers {transformers.__version__} gives a static cache no length of its own, "
            "without which it compiles anew for each number of tokens; install 5.17 or newer"
        )
    settings.cache_implementation = "static"
    settings.max_cache_len = POSITIONS
    settings.compile_config = config


class CompiledDecoder:
    """The decoder on one window, after some tokens."""

    def __init__(
        self,
        model: WhisperForConditionalGeneration,
        encoded: Any,
        features: Features,
        ids: torch.Tensor,
        settings: GenerationConfig,
    ) -> None:
        """Put the first tokens through the decoder at once, which is not compiled.

        Args:
            model: as it was loaded.
            encoded: the encoder's output of the window.
            features: of the window.
            ids: the first tokens, the prompt among them, of shape (batch, tokens).
            settings: of a generate() that compiles.
        """
        self._model = model
        self._given = {"encoder_outputs": encoded, "attention_mask": features.mask}
        self._cache = _static_cache(model, encoded)
        self.first: torch.Tensor = self._call(model.__call__, self.inputs(ids, only=None))
        """The logits after each of them, of shape (batch, tokens, vocabulary)."""
        # By the same rule as generate(): where that does not compile, nor does this.
        compiles = model._valid_auto_compile_criteria(  # noqa: SLF001 - it has no other name
            {"past_key_values": self._cache}, settings
        )
        self._step = (
            model.get_compiled_call(settings.compile_config) if compiles else model.__call__
        )

    def inputs(self, ids: torch.Tensor, only: int | None = 1) -> dict[str, Any]:
        """Return what the model is given for the last of these ids, at the cache's length."""
        made = self._model.prepare_inputs_for_generation(
            ids,
            next_sequence_length=only,
            past_key_values=self._cache,
            use_cache=True,
            is_first_iteration=only is None,
            **self._given,
        )
        return cast("dict[str, Any]", made)

    def logits(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Run the compiled call; return the logits, of shape (batch, 1, vocabulary).

        The next call may overwrite them.
        """
        return self._call(self._step, inputs)

    def rewind(self, length: int) -> None:
        """Take entries out of the cache until it has so many."""
        for layer in self._cache.self_attention_cache.layers:
            if layer.is_initialized:
                layer.cumulative_length.fill_(length)  # in place: its address is compiled in

    @staticmethod
    def _call(call: Any, inputs: dict[str, Any]) -> torch.Tensor:
        import torch

        with torch.no_grad():
            return cast("torch.Tensor", call(**inputs, return_dict=True).logits)


def _static_cache(model: WhisperForConditionalGeneration, encoded: Any) -> EncoderDecoderCache:
    """Make a cache as generate() makes it."""
    from transformers.cache_utils import EncoderDecoderCache, StaticCache

    config = model.config.get_text_config(decoder=True)
    windows = encoded.last_hidden_state.shape[1]
    return EncoderDecoderCache(
        StaticCache(config=config, max_cache_len=POSITIONS),
        StaticCache(config=config, max_cache_len=windows),
    )


class CompiledStep:
    """A `TokenStep` of a decoder that is compiled."""

    def __init__(self, decoder: CompiledDecoder, ids: torch.Tensor) -> None:
        """Prepare the step after `ids`, which the decoder has in its cache."""
        import torch

        self._decoder = decoder
        self._length = ids.shape[1]
        following = decoder.first[:, -1:].argmax(-1)
        self._inputs = decoder.inputs(torch.cat([ids, following], dim=1))

    def rewind(self) -> None:
        """Take the last step's entry out of the cache again."""
        self._decoder.rewind(self._length)

    def logits(self) -> torch.Tensor:
        """Run the decoder for one token; return its logits, of shape (batch, 1, vocabulary)."""
        return self._decoder.logits(self._inputs)

    def step(self) -> torch.Tensor:
        """Decode one token; return its id for each of the batch, of shape (batch, 1)."""
        return self.logits().argmax(-1)


def forced(decoder: CompiledDecoder, ids: torch.Tensor, first: int) -> torch.Tensor:
    """Put given ids through a decoder one by one, as they would be decoded.

    Args:
        decoder: has the first of them in its cache.
        ids: all of them, of shape (batch, ids).
        first: how many the decoder has.

    Returns:
        The logits after each, of shape (batch, ids, vocabulary).
    """
    import torch

    others = (
        decoder.logits(decoder.inputs(ids[:, :end])).clone()
        for end in range(first + 1, ids.shape[1] + 1)
    )
    return torch.cat([decoder.first, *others], dim=1)
