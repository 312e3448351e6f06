"""Loading people's own code, and transcribing with it: docs/transcribers.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from whisperbench.errors import ModelError
from whisperbench.results.ran import Ran
from whisperbench.units import SAMPLE_RATE_HZ
from whisperbench.whisper.checkpoints import open_folder
from whisperbench.whisper.languages import language_of, require_languages
from whisperbench.whisper.must import Must
from whisperbench.whisper.own import OwnTranscriber, made_by, own_errors, takes_language
from whisperbench.whisper.processors import load_processor
from whisperbench.whisper.residency import memory_errors
from whisperbench.whisper.transcriber import Transcriber, Transcription
from whisperbench.whisper.windowed import WINDOW_SAMPLES

if TYPE_CHECKING:
    import torch
    from transformers import WhisperProcessor

    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.whisper.checkpoints import Checkpoint
    from whisperbench.whisper.tokens import Tokens


class Held:
    """What holds people's object: theirs may take no weak reference."""

    def __init__(self, own: OwnTranscriber) -> None:
        self.own = own


@dataclass(kw_only=True, repr=False, eq=False)
class OwnModel:
    """A `LoadedModel` of people's own code."""

    key: CheckpointKey
    accelerator: Accelerator
    model: Held
    dtype: torch.dtype
    processor: WhisperProcessor
    """Of the checkpoint: its tokenizer counts the tokens of texts."""
    tokens: Tokens
    weight_bytes: int | None
    must: Must = field(default_factory=Must)
    weights_by_dtype: Mapping[str, int] = field(default_factory=dict)
    """Nothing is known of them."""
    paces: dict[int, tuple[float, float]] = field(default_factory=dict)

    def ran(self) -> Ran:
        """Return what it tells: nothing, or the bytes of its weights, of no certain dtype."""
        told = {} if self.weight_bytes is None else {"its own": self.weight_bytes}
        return Ran(weights=told, computes_in="its own")

    def matrix_dtypes(self) -> tuple[str, str]:
        """Return 32-bit floats, of which nothing is sure to be slower."""
        return "float32", "float32"

    def transcriber(self, batch: Sequence[Audio], *, bounded: bool = False) -> OwnPath:
        """Bind a batch of clips."""
        return OwnPath(self, batch, bounded=bounded)

    def close(self) -> None:
        """Let go of the object, having closed it where it can be closed."""
        close = getattr(self.model.own, "close", None)
        try:
            if callable(close):
                with own_errors(f"--transcriber {self.key.precision.name}: close()"):
                    close()
        finally:
            del self.model, self.processor


def load(checkpoint: Checkpoint, key: CheckpointKey, accelerator: Accelerator) -> OwnModel:
    """Call the factory; `loading.load_model` says what it raises."""
    import torch

    what = f"loading {key.id} on {accelerator.torch_device}"
    where = f"{key.model.name} ({checkpoint.folder})"
    with memory_errors(what, accelerator):
        blueprint = checkpoint.blueprint or open_folder(key.model.name, checkpoint.folder).blueprint
        name = str(key.precision.options["factory"])
        own = made_by(name, checkpoint.folder, accelerator.torch_device)
        processor = load_processor(where, checkpoint.folder)
    with own_errors(f"--transcriber {name}: its weight_bytes"):
        size = getattr(own, "weight_bytes", None)
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size <= 0):
        raise ModelError(f"--transcriber {name}: its weight_bytes is {size!r}, no number of bytes")
    return OwnModel(
        key=key,
        accelerator=accelerator,
        model=Held(own),
        dtype=torch.float32,
        processor=processor,
        tokens=blueprint.tokens,
        weight_bytes=size,
    )


class OwnPath(Transcriber):
    """People's object and a clip. It offers a transcription at natural length, and nothing else."""

    loaded: OwnModel

    def __init__(self, loaded: OwnModel, batch: Sequence[Audio], *, bounded: bool = False) -> None:
        """Bind them.

        Args:
            loaded: the object; it may be closed while this one lives on.
            batch: a clip.
            bounded: whether a transcription that takes over ten times as long as its audio, and
                half a minute more, is ended.

        Raises:
            InputError: the model does not know the language.
        """
        self.loaded = loaded
        self.audio = batch[0]
        self.batch_size = len(batch)
        self.language = language_of(self.audio.clip)
        self._bounded = bounded
        self._with_language = takes_language(loaded.model.own.transcribe)
        require_languages(loaded.key.model.name, loaded.tokens.known_languages, [self.audio.clip])

    @property
    def windows(self) -> int:
        """How many windows of 30 s the clip takes."""
        return max(1, -(-len(self.audio.samples) // WINDOW_SAMPLES))

    def transcribe(self, tokens: int | None) -> Transcription:
        """Go from samples to text by people's own code.

        Its ids are those that the checkpoint's tokenizer makes of the text.

        Raises:
            NotOfferedError: a fixed count is asked for, or several clips at once.
            ModelError: the code raises something, or returns no text.
        """
        if tokens is not None:
            raise self._lacks("fixed token count")
        if self.batch_size > 1:
            raise self._lacks("batch of several clips")
        name = self.loaded.key.precision.name
        told = {"language": self.language} if self._with_language else {}
        own = self.loaded.model.own
        # Others hear the same clip after it, and theirs may work in place.
        samples = self.audio.samples.copy()
        with (
            self.bound(None) if self._bounded else nullcontext(),
            own_errors(f"--transcriber {name}: transcribe()"),
        ):
            text = own.transcribe(samples, SAMPLE_RATE_HZ, **told)
        if not isinstance(text, str):
            raise ModelError(
                f"--transcriber {name}: transcribe() returned an object of type "
                f"{type(text).__name__}, not a text"
            )
        return Transcription(texts=(text.strip(),), sequences=_Counted(self, text))

    def token_ids(self, text: str) -> list[int]:
        """Return the ids of a text by the checkpoint's tokenizer, without special tokens."""
        ids: list[int] = self.loaded.processor.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def logits_are_finite(self, window: int, ids: torch.Tensor) -> bool:  # noqa: ARG002
        """Return True: it has no logits to look at; its words are held against the reference."""
        return True


class _Counted(Sequence["torch.Tensor"]):
    """The ids of a text, made when they are asked for: so no time of a call has them in it."""

    def __init__(self, path: OwnPath, text: str) -> None:
        self._path = path
        self._text = text

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, place: int) -> torch.Tensor: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[torch.Tensor]: ...
    def __getitem__(self, place: int | slice) -> torch.Tensor | Sequence[torch.Tensor]:
        import torch

        return (torch.tensor([self._path.token_ids(self._text)], dtype=torch.long),)[place]
