"""suite.toml: the default matrix, settings, limits, tolerances and the gate, as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from whisperbench.asked.checkout import SUITE_FILE, has_checkout
from whisperbench.asked.gate import DEFAULT_GATE, GateKinds
from whisperbench.asked.models import DUMMY_PREFIX, SIZES
from whisperbench.asked.precisions import PRECISIONS, precision_named
from whisperbench.errors import InputError, one_line
from whisperbench.results.kinds import KINDS
from whisperbench.results.metric_row import Pass
from whisperbench.results.metrics import METRICS, made_by

Attention = Literal["sdpa", "eager", "flash_attention_2"]
ATTENTION_CAPABILITY = {"flash_attention_2": (8, 0)}
"""The lowest CUDA compute capability that an attention runs on; the others run on any."""

MAX_TOKENS = 444
"""448 decoder positions less Whisper's 4-token prompt (transformers refuses more)."""

FEWEST_CALLS = 20
"""Calls below which a soak has no slope to speak of."""

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
NonEmpty = msgspec.Meta(min_length=1)


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is measured on a kind of device, and how. Options replace single fields."""

    reason: str
    models: Annotated[tuple[str, ...], NonEmpty]
    precisions: Annotated[tuple[str, ...], NonEmpty]
    transcribers: tuple[str, ...] = ()
    """People's own transcribers, as in "package.module:factory", which are measured beside them."""
    reference: str
    """The precision that ratios are taken against."""
    clips: Annotated[tuple[str, ...], NonEmpty]
    durations: tuple[str, ...] = ()
    """Speech that test_durations times: rows of fixtures/clips/durations.toml."""
    quality_clips: Annotated[tuple[str, ...], NonEmpty]
    """Clips that are heard for their words; --clip and --data name others."""
    quality_models: Annotated[tuple[str, ...], NonEmpty] | None = None
    """Models that are held against words and 32-bit floats; left out, those that are timed."""
    quality_precisions: Annotated[tuple[str, ...], NonEmpty] | None = None
    """Precisions that they are held in; left out, those that are timed."""
    quality_on_request: tuple[str, ...] = ()
    """Those of them that are heard as the files of `on_request` are measured."""
    batch_sizes: Annotated[tuple[PositiveInt, ...], NonEmpty]
    attention: Annotated[tuple[Attention, ...], NonEmpty]
    language: Annotated[str, NonEmpty]
    """Language token of multilingual models, fixed so that no detection pass is timed."""
    tokens: Annotated[int, msgspec.Meta(ge=1, le=MAX_TOKENS)]
    """Tokens that the fixed-length decode makes, whatever the precision."""
    rounds: PositiveInt
    """Timed rounds of a whole transcription, at most."""
    stage_rounds: PositiveInt
    """Timed rounds of a single stage, at most; it is shorter and so may take more of them."""
    fewest_rounds: PositiveInt = 3
    """Timed rounds that are taken in any case, where not fewer are the most."""
    known_within: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    """Share of the p50 on either side within which the 95 % interval of a benchmark's rounds must
    lie for no further ones to be taken."""
    rounds_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Seconds of rounds after which no further ones are taken, where there are the fewest."""
    turn_rounds: PositiveInt = 40
    """Timed rounds of a whole transcription where base and head take turns: as many at most, and
    fewer where they take long."""
    turn_stage_rounds: PositiveInt = 40
    """Likewise of a single stage. A pair is one replicate, and the better known the more rounds it
    has."""
    warmup_rounds: Annotated[int, msgspec.Meta(ge=0)]
    cost_tokens: Annotated[int, msgspec.Meta(ge=1, le=MAX_TOKENS)]
    """Tokens that the cost pass decodes: each costs the same, and a profile holds all of them."""
    soak_calls: Annotated[int, msgspec.Meta(ge=FEWEST_CALLS)] = 40
    """Calls of the soak, all in one process."""
    soak_tokens: Annotated[int, msgspec.Meta(ge=1, le=MAX_TOKENS)] = 8
    """Tokens that each of them decodes."""
    startup_rounds: PositiveInt
    """Fresh processes of the start-up benchmarks."""
    remeasurements: Annotated[int, msgspec.Meta(ge=0)]
    """How often a benchmark is timed again whose GPU was slowed down or shared meanwhile."""
    on_request: tuple[Annotated[str, msgspec.Meta(pattern=r"^test_\w+\.py\Z")], ...] = ()
    """Files of benchmarks/ that are measured where --all is given, where they are named, or where
    the baseline has them."""
    max_wer: Annotated[float, msgspec.Meta(gt=0)]
    """Word error rate above which a transcript counts as garbage and is not timed."""

    def __post_init__(self) -> None:
        """Refuse precisions that no row of the registry describes."""
        heard = self.quality_precisions or ()
        for name in (*self.precisions, *heard, self.reference):
            precision_named(name)
        if strange := [name for name in self.quality_on_request if name not in heard]:
            raise ValueError(f"quality_on_request: {strange[0]} is not in quality_precisions")


JUDGED: tuple[Pass, ...] = ("memory", "quality", "numerics", "soak")
"""The passes whose cells are held against limits."""

LIMITED: Mapping[Pass, tuple[str, ...]] = {
    name: tuple(
        row.name
        for row in made_by(name)
        if name == next(each for each in JUDGED if each in row.made_by)
    )
    for name in JUDGED
}
"""The metrics whose limits each of them is held against; of a metric that several make, the first
of them."""

Patterns = Annotated[tuple[Annotated[str, NonEmpty], ...], NonEmpty]
"""Shell patterns (fnmatch) of which one must match, upper and lower case told apart."""


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


class Limit(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The most or the least that a figure of a cell may be.

    It is stated in the metric's unit, or as a share of what another precision has; a share holds on
    every device, an amount of memory on those that it was set on.
    """

    models: Patterns
    """Of model names, as tables show them."""
    precisions: Patterns
    devices: Patterns
    """Of device keys."""
    batch_sizes: tuple[PositiveInt, ...] = ()
    """Batch sizes that it is for; all, when it names none."""
    metric: str
    """As a result file names it, such as peak_process_mib, weight_mib, wer or logit_error."""
    max: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    min: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    max_ratio: Annotated[float, msgspec.Meta(gt=0, le=1e9)] | None = None
    of: str | None = None
    """The precision that `max_ratio` is taken against."""
    reason: Annotated[str, NonEmpty]

    def __post_init__(self) -> None:
        """Refuse a limit that says nothing, says two things, or can never apply."""
        whose = f"limit on {self.metric}"
        names = (
            *LIMITED["quality"],
            *LIMITED["numerics"],
            *LIMITED["memory"],
            *LIMITED["soak"],
        )
        if self.metric not in names:
            raise ValueError(
                f"the {whose}: no such metric can have a limit; choose one of {', '.join(names)}"
            )
        if [self.max, self.min, self.max_ratio].count(None) != 2:
            raise ValueError(f"the {whose} needs one of max, min and max_ratio, and no other")
        if (self.max_ratio is None) != (self.of is None):
            raise ValueError(f"the {whose}: max_ratio and of go together")
        if self.max == 0 and self.metric in LIMITED["memory"]:
            raise ValueError(f"the {whose}: max must be > 0, for everything takes some memory")
        if self.of is not None and self.of not in PRECISIONS:
            raise ValueError(
                f"the {whose}: of = {self.of!r} is not a precision; choose one of "
                f"{', '.join(PRECISIONS)}"
            )
        for pattern in self.precisions:
            require_match(pattern, PRECISIONS, "precision", whose)
        _require_place(self.models, self.devices, whose)


class Tolerance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a figure may grow against a baseline, where its kind's rule does not fit.

    Of several that match, the last one in suite.toml holds.
    """

    metrics: Patterns
    """Of metric names, such as `decode_aten_ops` or `peak_*_mib`."""
    models: Patterns
    precisions: Patterns
    devices: Patterns
    """Of device keys."""
    share: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0
    """Of the base, as in 0.05 for 5 %."""
    absolute: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0
    """In the metric's unit, added to the share."""
    reason: Annotated[str, NonEmpty]

    def __post_init__(self) -> None:
        """Refuse a tolerance that can never apply, or that is finer than what it is for wobbles."""
        for pattern in self.precisions:
            require_match(pattern, PRECISIONS, "precision", "tolerance")
        _require_place(self.models, self.devices, "tolerance")
        for pattern in self.metrics:
            names = require_match(pattern, METRICS, "metric", "tolerance")
            if all(METRICS[name].derived for name in names):
                raise ValueError(
                    f"the tolerance of {pattern}: it is another figure, divided by something; set "
                    "that one's"
                )
            for name in names:
                rule = KINDS[METRICS[name].kind]
                if self.share < rule.noise or self.absolute < rule.noise_absolute:
                    raise ValueError(
                        f"the tolerance of {name} is finer than unchanged code wobbles: set share "
                        f"to {rule.noise:g} and absolute to {rule.noise_absolute:g} at least"
                    )
                if self.absolute and rule.statistical:
                    raise ValueError(f"the tolerance of {name} is a share: leave absolute out")


_DEVICE_PATTERN = re.compile(r"[a-z0-9*?\[\]!-]+")


def _require_place(models: Iterable[str], devices: Iterable[str], whose: str) -> None:
    """Refuse patterns that no name can match, as far as names are ours to give.

    Raises:
        ValueError: one is of a dummy and of no size, or of no device key.
    """
    for pattern in models:
        if pattern.startswith(DUMMY_PREFIX):
            names = (
                f"{name}{layers}"
                for name, size in SIZES.items()
                for layers in ("", *(f":{count}" for count in range(1, size.encoder_layers + 1)))
            )
            size = pattern.removeprefix(DUMMY_PREFIX)
            if not any(fnmatchcase(name, size) for name in names):
                raise ValueError(
                    f"the {whose}: no dummy is called {pattern!r}; sizes are {', '.join(SIZES)}"
                )
    for pattern in devices:
        if not _DEVICE_PATTERN.fullmatch(pattern):
            raise ValueError(
                f"the {whose}: no device key is like {pattern!r}: they are of small letters, "
                "digits and '-', as `whisperbench limits` prints them"
            )


def require_match(pattern: str, names: Iterable[str], what: str, whose: str) -> list[str]:
    """Return the names that a pattern matches.

    Raises:
        ValueError: there are none.
    """
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise ValueError(
            f"the {whose}: no {what} is called {pattern!r}; choose from {', '.join(names)}"
        )
    return found


ProfileName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9]*\Z")]


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of suite.toml."""

    schema: Literal[1]
    profile: dict[ProfileName, Profile]
    """By name: rows of `devices.registry` say which device takes which."""
    limit: tuple[Limit, ...] = ()
    tolerance: tuple[Tolerance, ...] = ()
    gate: GateKinds = DEFAULT_GATE
    ceiling: object = None
    """What a limit on memory was before; only refused."""

    def __post_init__(self) -> None:
        """Say how a limit on memory is written now."""
        if self.ceiling is not None:
            raise ValueError(
                "[[ceiling]] is [[limit]] now: rename the table, and its max_mib to max"
            )


def suite_here() -> Suite | None:
    """Read the suite.toml of the checkout that this is; None outside one.

    Raises:
        InputError: as `read_suite`.
    """
    return read_suite() if has_checkout() else None


def read_suite(path: Path = SUITE_FILE) -> Suite:
    """Read suite.toml.

    Raises:
        InputError: it is missing, malformed, or has an unknown key or precision.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Suite)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: {one_line(error)}") from error
