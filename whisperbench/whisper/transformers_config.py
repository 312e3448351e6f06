"""What transformers is told of a model, in place of all that the model's own files say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whisperbench.whisper.blueprint import POSITIONS
from whisperbench.whisper.compiled_decoder import set_compiled

if TYPE_CHECKING:
    from transformers import CompileConfig, GenerationConfig, WhisperConfig

    from whisperbench.whisper.blueprint import Blueprint
    from whisperbench.whisper.tokens import Tokens


def model_config(blueprint: Blueprint) -> WhisperConfig:
    """Describe a model: its architecture, and nothing else that its config.json may hold."""
    from transformers import WhisperConfig, __version__

    tokens = blueprint.tokens
    # What has no effect stands there because generate() copies all of it, at each call: so its
    # Python calls are those that it makes of any saved model.
    fields = {
        **blueprint.architecture,
        "architectures": ["WhisperForConditionalGeneration"],
        "begin_suppress_tokens": list(tokens.suppressed_first or ()),
        "bos_token_id": tokens.end_of_text,
        "decoder_start_token_id": tokens.start,
        "eos_token_id": tokens.end_of_text,
        "model_type": "whisper",
        "pad_token_id": tokens.end_of_text,
        "transformers_version": __version__,
    }
    found: WhisperConfig = WhisperConfig.from_dict(fields)
    return found


def generation_settings(tokens: Tokens) -> GenerationConfig:
    """Make the settings of a model: greedy decoding to its own end of text.

    All of them are the suite's; the checkpoint gives the ids, and what it never decodes.
    """
    from transformers import GenerationConfig

    told: dict[str, object] = (
        {
            "lang_to_id": {f"<|{code}|>": at for code, at in tokens.languages.items()},
            "task_to_id": dict(tokens.tasks),
        }
        if tokens.languages
        else {}
    )
    if tokens.latest_first_timestamp is not None:
        told["max_initial_timestamp_index"] = tokens.latest_first_timestamp
    if tokens.previous is not None:
        told["prev_sot_token_id"] = tokens.previous
    return GenerationConfig(
        bos_token_id=tokens.end_of_text,
        eos_token_id=tokens.end_of_text,
        pad_token_id=tokens.end_of_text,
        decoder_start_token_id=tokens.start,
        no_timestamps_token_id=tokens.no_timestamps,
        is_multilingual=bool(tokens.languages),
        suppress_tokens=_listed(tokens.suppressed),
        begin_suppress_tokens=_listed(tokens.suppressed_first),
        max_length=POSITIONS,
        return_timestamps=False,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        **told,
    )


def settings_for(
    tokens: Tokens,
    *,
    language: str,
    count: int | None,
    walks: bool,
    compiling: CompileConfig | None = None,
) -> GenerationConfig:
    """Make the settings of a transcription.

    Without time stamps in the answer, none is decoded: transformers takes two in a row for a place
    to go on from, and where a model answers with the first of them, goes on for ever from there.

    Args:
        tokens: of the model.
        language: code of the language, which a multilingual model is told.
        count: decode exactly so many tokens a window; None: to the end of text.
        walks: whether transformers walks through a recording beyond 30 s by predicted time stamps.
        compiling: how the decoder's step is compiled; None: not at all.

    Raises:
        ModelError: it is to be compiled, and this transformers is too old.
    """
    settings = generation_settings(tokens)
    settings.return_timestamps = walks
    if tokens.languages:
        settings.language = language
        settings.task = "transcribe"
    if not walks:
        suppressed = dict.fromkeys([*(tokens.suppressed or ()), *tokens.timestamps])
        settings.suppress_tokens = list(suppressed)
    if count is not None:
        settings.min_new_tokens = settings.max_new_tokens = count
    if compiling is not None:
        set_compiled(settings, compiling)
    return settings


def _listed(ids: tuple[int, ...] | None) -> list[int] | None:
    return list(ids) if ids is not None else None
