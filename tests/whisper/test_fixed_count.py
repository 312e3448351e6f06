"""A fixed count of tokens is kept, whatever a model answers, and each call ends."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import Audio, Clip, load_audio, read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.asked.suite import MAX_TOKENS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import InvalidMeasurementError
from whisperbench.whisper import transcriber as transcribe
from whisperbench.whisper import transformers_transcriber
from whisperbench.whisper.checkpoints import resolve_checkpoint
from whisperbench.whisper.deadline import ended_after
from whisperbench.whisper.loading import LoadedModel, load_model
from whisperbench.whisper.transformers_config import settings_for


@pytest.fixture(scope="module")
def nano() -> LoadedModel:
    """nano, which answers time stamps to silence."""
    checkpoint = resolve_checkpoint(ModelSpec.parse("nano"))
    key = CheckpointKey(model=checkpoint.spec, precision=PRECISIONS["fp32"], attention="sdpa")
    return load_model(checkpoint, key, CpuAccelerator())


def sound(name: str) -> Audio:
    """Return a clip of the suite's, silence, or a tone."""
    if name not in ("silence", "tone"):
        return load_audio(read_manifest(CLIPS_FOLDER)[name])
    samples = np.zeros(48_000, np.float32)
    if name == "tone":
        samples = np.sin(np.arange(48_000, dtype=np.float32))
    clip = Clip(name=name, file="", text=None, language="en")
    return Audio(clip=clip, samples=samples, seconds=3.0, sha256="")


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        *[("silence", 32), ("tone", 64), ("yes", 1), ("yes", 64), ("yes", MAX_TOKENS)],
        *[("bridge", 48), ("bridge", 64), ("bridge", 128), ("library", 200), ("mountain", 64)],
    ],
)
def test_exactly_so_many_tokens_on_every_clip(nano: LoadedModel, name: str, tokens: int) -> None:
    """One segment a window, without a time stamp in it, however the model would answer."""
    transcriber = nano.transcriber([sound(name)])
    done = transcriber.transcribe(tokens)
    for ids in done.sequences:
        assert tuple(ids.shape) == (1, tokens)
        assert not set(ids.flatten().tolist()) & set(nano.tokens.timestamps)
    transcriber.require_fixed(done, tokens)


def test_natural_length_has_no_time_stamps_and_ends(nano: LoadedModel) -> None:
    """Nor does a transcript of a short recording have any, and silence comes to its end."""
    for name in ("silence", "tone"):
        (ids,) = nano.transcriber([sound(name)]).transcribe(None).sequences
        assert not set(ids.flatten().tolist()) & set(nano.tokens.timestamps)


def test_a_call_that_goes_round_in_circles_is_ended(
    nano: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoding that never advances is one line that names the cell and the clip."""
    told = settings_for

    def with_time_stamps(*arguments: Any, **options: Any) -> Any:
        settings = told(*arguments, **options)
        settings.suppress_tokens = None
        return settings

    monkeypatch.setattr(transformers_transcriber, "settings_for", with_time_stamps)
    monkeypatch.setattr(transcribe, "AT_LEAST_S", 0.5)
    monkeypatch.setitem(nano.paces, 1, (0.0, 0.0))
    with pytest.raises(
        InvalidMeasurementError, match=r"^nano-fp32: a transcription of yes did not"
    ):
        nano.transcriber([sound("yes")], bounded=True).transcribe(64)


def test_the_bound_follows_what_a_token_takes(
    nano: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times the encoder and all tokens of each window, and half a minute."""
    bounds: list[float] = []
    monkeypatch.setattr(transcribe, "ended_after", lambda seconds, _what: bounds.append(seconds))
    monkeypatch.setitem(nano.paces, 1, (2.0, 0.5))
    for name, tokens in (("yes", 8), ("mountain", 8), ("yes", None)):
        nano.transcriber([sound(name)], bounded=True).bound(tokens)
    assert bounds == [30 + 10 * 6, 30 + 10 * 2 * 6, 30 + 10 * (2 + 448 / 2)]


def test_an_alarm_leaves_nothing_behind() -> None:
    """The handler and the timer of before are there again, whether the block ended or was ended."""
    before = signal.getsignal(signal.SIGALRM)
    with ended_after(100.0, "a block"):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    with (
        pytest.raises(InvalidMeasurementError, match=r"^a block did not end within 0 s"),
        ended_after(0.01, "a block"),
    ):
        signal.pause()
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_without_alarms_a_block_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows nothing is bounded, and nothing breaks."""
    monkeypatch.delattr(signal, "setitimer")
    with ended_after(0.0, "a block"):
        pass
