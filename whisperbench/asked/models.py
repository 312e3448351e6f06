"""Model specs: what `--model` means, and the dimensions of the real Whisper sizes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from whisperbench.errors import InputError, one_line, require_plain
from whisperbench.paths import expanded

DUMMY_PREFIX = "dummy:"
NANO = "nano"
"""The small trained checkpoint that ships with the suite."""

_REVISION = re.compile(r"[0-9a-f]{40}")
# https://huggingface.co/docs/huggingface_hub: repo ids are "owner/name" of these characters.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+")


@dataclass(frozen=True, kw_only=True)
class WhisperSize:
    """Dimensions of a Whisper architecture, as its published config.json gives them."""

    width: int
    """d_model: the width of the residual stream; heads are 64 wide, feed-forward layers 4x."""
    encoder_layers: int
    decoder_layers: int
    mel_bins: int = 80
    languages: int = 99
    """Language tokens: 99, or 100 (Cantonese) from large-v3 on."""


SIZES: dict[str, WhisperSize] = {
    "tiny": WhisperSize(width=384, encoder_layers=4, decoder_layers=4),
    "base": WhisperSize(width=512, encoder_layers=6, decoder_layers=6),
    "small": WhisperSize(width=768, encoder_layers=12, decoder_layers=12),
    "medium": WhisperSize(width=1024, encoder_layers=24, decoder_layers=24),
    "large-v3": WhisperSize(
        width=1280, encoder_layers=32, decoder_layers=32, mel_bins=128, languages=100
    ),
    "large-v3-turbo": WhisperSize(
        width=1280, encoder_layers=32, decoder_layers=4, mel_bins=128, languages=100
    ),
}
"""The sizes that `dummy:<size>` can build. A new one is a row here."""


def size_named(name: str) -> WhisperSize:
    """Return a size, or its first layers: `large-v3`, or `large-v3:2` for two and two of them.

    A shallow one fits any machine, and what each further layer costs is the same.

    Raises:
        InputError: there is no such size, or it has fewer layers.
    """
    base, colon, layers = name.partition(":")
    size = SIZES.get(base)
    if size is None:
        raise InputError(
            f"--model {DUMMY_PREFIX}{name}: no such size; choose one of "
            + ", ".join(DUMMY_PREFIX + known for known in SIZES)
        )
    if not colon:
        return size
    most = min(size.encoder_layers, size.decoder_layers)
    if not (layers.isascii() and layers.isdigit() and 1 <= int(layers) <= most):
        raise InputError(
            f"--model {DUMMY_PREFIX}{name}: after the second colon comes a number of layers, "
            f"1 to {most}"
        )
    return replace(size, encoder_layers=int(layers), decoder_layers=int(layers))


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A checkpoint to measure, as asked for with `--model`."""

    kind: Literal["hub", "folder", "dummy", "nano"]
    name: str
    """What tables and result files call it; never a path."""
    hub_id: str = ""
    revision: str | None = None
    """The full commit of a hub model, or None for its default branch."""
    folder: Path | None = None
    size: str = ""
    """The size of a dummy, as `size_named` takes it."""

    @property
    def trained(self) -> bool:
        """Whether the weights were trained: random ones have no natural transcript length."""
        return self.kind != "dummy"

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Read a spec: `nano`, `dummy:<size>`, a folder, or `owner/name[@<40-hex revision>]`.

        A folder that exists wins over a hub id of the same spelling. `nano` is the one that ships,
        whatever folder is there: what a name of the suite means depends on no working directory.
        A folder called nano is `./nano`.

        Raises:
            InputError: the text is none of these, the folder is missing, or its path cannot be
                printed.
        """
        if text == NANO:
            return cls(kind="nano", name=NANO)
        if text.startswith(DUMMY_PREFIX):
            size = text.removeprefix(DUMMY_PREFIX)
            size_named(size)
            return cls(kind="dummy", name=text, size=size)
        folder = expanded(text)
        try:
            if text and folder.is_dir():
                folder = folder.resolve()
                # All of the path: fresh processes and libraries that are not Python's are told it.
                require_plain(str(folder), "--model")
                return cls(kind="folder", name=folder.name, folder=folder)
            if text and folder.exists():
                raise InputError(
                    f"--model {text}: is a file; give the folder that holds config.json and "
                    "model.safetensors"
                )
        except OSError as error:  # a name that is too long, a parent that may not be read
            raise InputError(f"--model {text[:80]}: {one_line(error.strerror)}") from error
        hub_id, at, revision = text.partition("@")
        if _HUB_ID.fullmatch(hub_id) and not text.startswith((".", "~", "/")):
            if at and not _REVISION.fullmatch(revision):
                raise InputError(
                    f"--model {text}: a revision is a full commit of 40 hexadecimal digits, "
                    "because branches and tags move"
                )
            return cls(
                kind="hub",
                name=f"{hub_id}@{revision[:8]}" if at else hub_id,
                hub_id=hub_id,
                revision=revision or None,
            )
        raise InputError(
            f"--model {text}: no such folder, and not a hub id (owner/name[@revision]), "
            "dummy:<size> or nano either"
        )
