"""What is made ready, and refused, before the first benchmark of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import load_audio, read_manifest
from whisperbench.asked.durations import compose
from whisperbench.asked.recordings import check_clips
from whisperbench.devices.choosing import key_of, open_accelerator, open_device
from whisperbench.errors import DeviceError, require_plain
from whisperbench.measure.fresh import dismiss, make_ready
from whisperbench.plugin.collecting import checkpoint_of
from whisperbench.plugin.needs import DURATIONS, IDLE_DEVICE, WORDS, needs_of
from whisperbench.plugin.options import usage_errors
from whisperbench.plugin.parts import part, partner_of
from whisperbench.plugin.session import Prepared, Session, is_benchmark, session_of
from whisperbench.plugin.terminal import announcer, show_progress, uncaptured

if TYPE_CHECKING:
    from whisperbench.asked.clips import Audio
    from whisperbench.asked.plan import Plan
    from whisperbench.asked.recordings import DataSet
    from whisperbench.devices.device import DeviceFacts
    from whisperbench.whisper.checkpoints import Checkpoint


def prepare(config: pytest.Config, session: Session, items: Sequence[pytest.Item]) -> Prepared:
    """Make everything ready that benchmarks need, so that a fault costs no measuring time.

    Raises:
        pytest.UsageError: a device, clip or checkpoint cannot be used.
    """
    plan = session.plan
    with usage_errors():
        device = open_device(plan.device)
        facts = device.facts()
        _require_runnable(plan, facts)
        audio = {name: load_audio(clip) for name, clip in plan.clips.items()}
        speech = _compose_speech(plan, items)
        data = _read_data(config, plan, items)
        # Of what is deselected, a checkpoint that is not there spoils nothing.
        used = {checkpoint_of(item) for item in items}
        fresh = sum(is_benchmark(item) and IDLE_DEVICE in needs_of(item) for item in items)
        config.add_cleanup(dismiss)
        make_ready(fresh, forked=not facts.on_host)
        checkpoints = _resolve_checkpoints(config, plan, used, facts)
        _require_known_languages(plan, checkpoints)
    said = dict.fromkeys(
        (
            *(remark for checkpoint in checkpoints.values() for remark in checkpoint.remarks),
            *(remark for clip in audio.values() for remark in clip.remarks),
            *(data.remarks if data is not None else ()),
        )
    )
    announce = announcer(config)
    for remark in said:
        announce(remark)
    accelerator = open_accelerator(plan.device)
    return Prepared(
        plan=plan,
        limits=session.suite.limit,
        device=device,
        accelerator=accelerator,
        facts=facts,
        device_key=key_of(facts),
        audio=audio,
        speech=speech,
        data=data,
        checkpoints=checkpoints,
        remarks=tuple(said),
        partner=partner_of(session.channel, items, accelerator, plan.profile.warmup_rounds)
        if session.channel is not None
        else None,
    )


def _compose_speech(plan: Plan, items: Iterable[pytest.Item]) -> dict[str, Audio]:
    """Put the speech of several durations together, where a benchmark asks for it."""
    if not any(is_benchmark(item) and DURATIONS in needs_of(item) for item in items):
        return {}
    clips = read_manifest(CLIPS_FOLDER)
    return {name: compose(speech, clips) for name, speech in plan.speech.items()}


def _read_data(config: pytest.Config, plan: Plan, items: Iterable[pytest.Item]) -> DataSet | None:
    """Read the clips that are heard for their words; None where no benchmark hears them."""
    if any(is_benchmark(item) and WORDS in needs_of(item) for item in items):
        return check_clips(plan.heard_name, plan.heard, show_progress(config, "reading clips"))
    session = session_of(config)
    whole = part() is None and (session is None or session.shard is None)
    if config.getoption("--data") and whole:
        raise pytest.UsageError(
            "--data: no benchmark of this run takes it: pytest benchmarks/test_quality.py, with a "
            "trained --model"
        )
    return None


def _resolve_checkpoints(
    config: pytest.Config, plan: Plan, used: set[str], facts: DeviceFacts
) -> dict[str, Checkpoint]:
    """Find the checkpoints of what runs, by model name; refuse what the device cannot hold."""
    from whisperbench.whisper.checkpoints import require_measurable, resolve_checkpoint
    from whisperbench.whisper.loading import loaded_files

    announce = announcer(config)
    keys = [key for key_id, key in plan.checkpoints.items() if key_id in used]
    # A download shows its own progress.
    with uncaptured(config):
        checkpoints = {
            model.name: resolve_checkpoint(
                model, announce, allow_unused=config.getoption("--allow-unused")
            )
            for model in dict.fromkeys(key.model for key in keys)
        }
    for name, checkpoint in checkpoints.items():
        require_plain(str(checkpoint.folder), f"--model {name}")
    for key in keys:
        require_measurable(checkpoints[key.model.name], key.precision, facts)
    for key in keys:
        loaded_files(checkpoints[key.model.name], key.precision, announce)
    return checkpoints


def _require_known_languages(plan: Plan, checkpoints: Mapping[str, Checkpoint]) -> None:
    """Refuse clips in a language that a model does not know, before any is loaded."""
    from whisperbench.whisper.languages import require_languages

    for key_id, key in plan.checkpoints.items():
        checkpoint = checkpoints.get(key.model.name)
        if checkpoint is None or checkpoint.blueprint is None:
            continue
        clips = dict(plan.clips) if key_id in plan.timed else {}
        if key_id in plan.listening and key.model.trained:
            clips |= {clip.name: clip for clip in plan.heard}
        known = checkpoint.blueprint.tokens.known_languages
        require_languages(key.model.name, known, list(clips.values()))


def _require_runnable(plan: Plan, facts: DeviceFacts) -> None:
    """Refuse what the device cannot run: an error with the reason, never a skip."""
    from whisperbench.whisper.backend_choice import require_installed
    from whisperbench.whisper.compiling import require_compiler
    from whisperbench.whisper.loading import require_attention
    from whisperbench.whisper.own import factory_of

    for key in plan.checkpoints.values():
        reason = key.precision.why_not(facts.compute_capability)
        if reason is not None:
            raise DeviceError(
                f"--precision {key.precision.name} on {facts.name}: {reason}; name others with "
                "--precision"
            )
        require_installed(key.precision)
        require_compiler(key.precision, on_host=facts.on_host)
        require_attention(key, facts.compute_capability)
    for name in plan.profile.transcribers:
        factory_of(name)
