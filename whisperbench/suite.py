"""suite.toml: the default matrix and settings of each device kind, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from whisperbench.errors import InputError, one_line
from whisperbench.precisions import DeviceKind, precision_named

ROOT = Path(__file__).resolve().parents[1]
"""The checkout: the suite runs from one, installed with `pip install -e .`."""

SUITE_FILE = ROOT / "benchmarks" / "suite.toml"
CLIPS_FOLDER = ROOT / "fixtures" / "clips"

Attention = Literal["sdpa", "eager", "flash_attention_2"]
MAX_TOKENS = 444
"""448 decoder positions less Whisper's 4-token prompt (transformers refuses more)."""

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
NonEmpty = msgspec.Meta(min_length=1)


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is measured on a kind of device, and how. Options replace single fields."""

    reason: str
    models: Annotated[tuple[str, ...], NonEmpty]
    precisions: Annotated[tuple[str, ...], NonEmpty]
    reference: str
    """The precision that ratios are taken against."""
    clips: Annotated[tuple[str, ...], NonEmpty]
    batch_sizes: Annotated[tuple[PositiveInt, ...], NonEmpty]
    attention: Annotated[tuple[Attention, ...], NonEmpty]
    language: Annotated[str, NonEmpty]
    """Language token of multilingual models, fixed so that no detection pass is timed."""
    tokens: Annotated[int, msgspec.Meta(ge=1, le=MAX_TOKENS)]
    """Tokens that the fixed-length decode makes, whatever the precision."""
    rounds: PositiveInt
    """Timed rounds of a whole transcription."""
    stage_rounds: PositiveInt
    """Timed rounds of a single stage, which is shorter and so takes more of them."""
    warmup_rounds: Annotated[int, msgspec.Meta(ge=0)]
    startup_rounds: PositiveInt
    """Fresh processes of the start-up benchmarks."""
    max_wer: Annotated[float, msgspec.Meta(gt=0)]
    """Word error rate above which a transcript counts as garbage and is not timed."""

    def __post_init__(self) -> None:
        """Refuse precisions that no row of the registry describes."""
        for name in (*self.precisions, self.reference):
            precision_named(name)


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of suite.toml."""

    schema: Literal[1]
    profile: dict[DeviceKind, Profile]


def read_suite(path: Path = SUITE_FILE) -> Suite:
    """Read suite.toml.

    Raises:
        InputError: it is missing, malformed, or has an unknown key or precision.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Suite)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: {one_line(error)}") from error
