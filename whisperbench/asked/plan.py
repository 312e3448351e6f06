"""The plan of a run: a profile, the options that override it, and the cells they span."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import msgspec

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import Clip, find_clip, read_manifest
from whisperbench.asked.durations import Speech, read_durations
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.options import OPTIONS, listed, only
from whisperbench.asked.precisions import Precision, own_precision, precision_named
from whisperbench.asked.recordings import find_clips, require_words
from whisperbench.asked.suite import Attention, Profile, Suite
from whisperbench.errors import InputError, printable
from whisperbench.paths import expanded
from whisperbench.results.records import CLIPS
from whisperbench.text.languages import language_code


@dataclass(frozen=True, kw_only=True)
class CheckpointKey:
    """What makes two loaded models the same one: a row of the session's cache."""

    model: ModelSpec
    precision: Precision
    attention: Attention

    def __str__(self) -> str:
        return self.id

    @property
    def id(self) -> str:
        """The key as test ids and tables show it."""
        plain = f"{self.model.name}-{self.precision.name}"
        return plain if self.attention == "sdpa" else f"{plain}-{self.attention}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one run measures: every list without repetitions, in the order asked for."""

    device: str
    """As `--device` names it: "cpu", "cuda" or "cuda:<index>"."""
    profile: Profile
    """The device kind's profile with the options put in."""
    checkpoints: Mapping[str, CheckpointKey]
    """All, by id, ordered so that the precisions of a model follow each other, those before the
    others that the others are compared with."""
    timed: frozenset[str]
    """Ids of those whose time, memory and cost are measured."""
    listening: frozenset[str]
    """Ids of those that are held against words. Against 32-bit floats all are: it is cheap."""
    on_request: frozenset[str]
    """Ids of those that the default run leaves out."""
    clips: Mapping[str, Clip]
    """By name; each with the language that it is transcribed in."""
    speech: Mapping[str, Speech]
    """Of several durations, by name: what a benchmark is given that asks for it."""
    heard: tuple[Clip, ...]
    """Those that the quality pass hears; each with its text and language."""
    heard_name: str
    """What tables call them together."""


def device_kind(device: str) -> str:
    """Return the kind of a device's name, such as "cuda" of "cuda:1"."""
    return device.partition(":")[0]


_AS_TIMED: Mapping[str, Any] = {"quality_precisions": None, "quality_on_request": ()}
"""Of a profile: words are heard in the precisions that are timed."""


def apply_options(profile: Profile, options: Mapping[str, Sequence[str]]) -> Profile:
    """Put command-line options into a profile.

    Args:
        profile: the defaults.
        options: option texts by option name without its dashes; absent or empty: the default.

    Raises:
        InputError: a value is out of its range or unknown, or one too many.
    """
    changes: dict[str, object] = {}
    for row in OPTIONS:
        if not row.field or not (texts := options.get(row.name)):
            continue
        if row.several:
            values = map(row.read, listed(row.flag, texts))
            changes[row.field] = tuple(dict.fromkeys(values))
        elif (text := only(row.flag, texts)) is not None:
            changes[row.field] = row.read(text)
    if "clips" in changes:
        changes["quality_clips"] = changes["clips"]
    # Random weights have no end of text, and people's own code decodes to it.
    if "transcribers" in changes and "models" not in changes:
        changes["models"] = profile.quality_models or profile.models
    # A profile's own model for words is small, and heard in more precisions than one that is timed.
    if "models" in changes:
        changes |= {"quality_models": None, **_AS_TIMED}
    if "precisions" in changes:
        changes |= _AS_TIMED
    if isinstance(rounds := changes.get("rounds"), int):
        # A start-up round is a whole process: the option asks for fewer of them, never for more.
        startup_rounds = min(rounds, profile.startup_rounds)
        changes |= {"stage_rounds": rounds, "startup_rounds": startup_rounds}
        changes["fewest_rounds"] = rounds  # who names a number gets it
        changes |= {"turn_rounds": rounds, "turn_stage_rounds": rounds}
    return msgspec.structs.replace(profile, **changes)


def _without_strangers(
    default: Profile,
    profile: Profile,
    options: Mapping[str, Sequence[str]],
    manifest: Mapping[str, Clip],
) -> Profile:
    """Let a profile's own model for words hear what it was trained to hear, and nothing else.

    nano knows the suite's voices and no others: what it makes of people's recordings, or in another
    language, says nothing of a precision. Those are for the models that are timed, or for --model.
    """
    clips = set(profile.quality_clips).difference(manifest, default.quality_clips)
    if not (clips or options.get("data") or profile.language != default.language):
        return profile
    return msgspec.structs.replace(profile, quality_models=None, **_AS_TIMED)


def _keys(
    profile: Profile, models: Sequence[str], precisions: Sequence[str]
) -> dict[str, CheckpointKey]:
    """Span checkpoints, by id."""
    rows = [*map(precision_named, precisions), *map(own_precision, profile.transcribers)]
    keys = (
        CheckpointKey(model=ModelSpec.parse(model), precision=row, attention=attention)
        for model, attention, row in product(models, profile.attention, rows)
    )
    return {key.id: key for key in keys}


def make_plan(
    suite: Suite, device: str, options: Mapping[str, Sequence[str]], profile_name: str | None = None
) -> Plan:
    """Lay out a run. Touches no device and opens no checkpoint.

    Args:
        suite: suite.toml.
        device: as `--device` names it.
        options: option texts by option name without its dashes; absent or empty: the default.
        profile_name: the profile that the device takes; by default that of its kind's name.

    Raises:
        InputError: an option cannot be used, or the suite has no profile for the device.
    """
    name = profile_name or device_kind(device)
    if name not in suite.profile:
        raise InputError(f"suite.toml has no [profile.{name}]; add one or use --device")
    manifest = read_manifest(CLIPS_FOLDER)
    default = suite.profile[name]
    profile = _without_strangers(default, apply_options(default, options), options, manifest)
    heard_models = profile.quality_models or profile.models
    heard_precisions = profile.quality_precisions or profile.precisions
    models = list(dict.fromkeys(map(ModelSpec.parse, (*profile.models, *heard_models))))
    if len({model.name for model in models}) != len(models):
        raise InputError("--model: two of the models have the same name; rename a folder")
    timed = _keys(profile, profile.models, profile.precisions)
    listening = _keys(profile, heard_models, heard_precisions)
    # An explicit --language holds for every clip; the profile's only where a clip names none.
    explicit = profile.language if options.get("language") else None

    def told(clips: Sequence[Clip]) -> list[Clip]:
        return [
            msgspec.structs.replace(
                clip, language=language_code(explicit or clip.language or profile.language)
            )
            for clip in clips
        ]

    clips = told([find_clip(text, manifest) for text in profile.clips])
    if len({clip.name for clip in clips}) != len(clips):
        raise InputError("--clip: two of the clips have the same name; rename a file")
    heard, heard_name = _heard(profile, options, manifest)
    heard = told([clip for clip in heard if clip.text is not None])
    # Of the suite's own clips, a test knows that they have words.
    require_words(clip for clip in (*clips, *heard) if clip.sha256 is None)
    return Plan(
        device=device,
        profile=profile,
        checkpoints={key.id: key for key in _ordered(timed | listening, models, profile, suite)},
        timed=frozenset(timed),
        listening=frozenset(listening),
        on_request=frozenset(
            key_id
            for key_id, key in listening.items()
            if key_id not in timed and key.precision.name in profile.quality_on_request
        ),
        clips={clip.name: clip for clip in clips},
        speech=_speech(profile, clips),
        heard=tuple(heard),
        heard_name=heard_name,
    )


def _speech(profile: Profile, clips: Sequence[Clip]) -> dict[str, Speech]:
    """Find the profile's durations.

    Raises:
        InputError: there is no such row, or a clip has the name of one.
    """
    known = read_durations(CLIPS_FOLDER)
    for name in profile.durations:
        if name not in known:
            raise InputError(
                f"suite.toml: durations: no speech is called {name}; choose from {', '.join(known)}"
            )
    for clip in clips:
        if clip.name in profile.durations:
            raise InputError(f"--clip: {clip.name} is what the suite calls a speech; rename it")
    return {name: known[name] for name in profile.durations}


def in_turns(plan: Plan) -> Plan:
    """Return the plan of a process that takes turns with another one over its rounds."""
    profile = plan.profile
    turns = msgspec.structs.replace(
        profile,
        rounds=profile.turn_rounds,
        stage_rounds=profile.turn_stage_rounds,
        # It tells `whisperbench ab` that a process follows the turns.
        warmup_rounds=max(1, profile.warmup_rounds),
    )
    return replace(plan, profile=turns)


def in_one_round(plan: Plan) -> Plan:
    """Return the plan of a process that keeps no figure, and only says what it runs."""
    profile = msgspec.structs.replace(plan.profile, rounds=1, stage_rounds=1, warmup_rounds=0)
    return replace(plan, profile=profile)


def _ordered(
    keys: Mapping[str, CheckpointKey], models: list[ModelSpec], profile: Profile, suite: Suite
) -> list[CheckpointKey]:
    """Order what is loaded: the reference first, then what limits compare others with.

    Both are known when the turn of the others comes.
    """
    bases = {limit.of for limit in suite.limit}
    return sorted(
        keys.values(),
        key=lambda key: (
            models.index(key.model),
            profile.attention.index(key.attention),
            key.precision.name != profile.reference,
            key.precision.name not in bases,
        ),
    )


def _heard(
    profile: Profile, options: Mapping[str, Sequence[str]], manifest: dict[str, Clip]
) -> tuple[Sequence[Clip], str]:
    """Return the clips that are heard for their words, and what all of them are called.

    Raises:
        InputError: --data names nothing that can be read.
    """
    data = only("--data", options.get("data", ()))
    if data is None:
        return [find_clip(text, manifest) for text in profile.quality_clips], CLIPS
    path = expanded(data)
    if "," in data and not path.exists():
        raise InputError(
            f"--data {data}: no such folder or manifest; it takes one alone, so put all recordings "
            "into one"
        )
    return find_clips(path), printable(path.resolve().stem)
