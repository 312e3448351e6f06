"""Speech of several durations: what it is made of, that it is always the same, and its errors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import load_audio, read_manifest
from whisperbench.asked.durations import (
    TOKENS_PER_S,
    Part,
    Speech,
    compose,
    read_durations,
    tokens_for,
    windows_of,
)
from whisperbench.asked.suite import MAX_TOKENS, read_suite
from whisperbench.errors import InputError

CLIPS = read_manifest(CLIPS_FOLDER)
SPEECH = read_durations(CLIPS_FOLDER)


@pytest.mark.parametrize("name", SPEECH)
def test_a_speech_is_as_long_as_it_says(name: str) -> None:
    """To the sample, with the words of its parts, and the same each time."""
    audio = compose(SPEECH[name], CLIPS)
    assert len(audio.samples) == round(16_000 * audio.seconds)
    assert audio.samples.dtype == np.float32
    assert (audio.name, audio.language) == (name, "en")
    assert audio.clip.text
    again = compose(SPEECH[name], CLIPS)
    assert (again.sha256, again.samples.tobytes()) == (audio.sha256, audio.samples.tobytes())


def test_the_profiles_ask_for_1_5_27_and_90_seconds() -> None:
    """On a CPU and a GPU, with digests that tell them apart, and tokens that any model decodes."""
    for profile in read_suite().profile.values():
        asked = [SPEECH[name] for name in profile.durations]
        assert [speech.seconds for speech in asked] == [1, 5, 27, 90]
        assert len({compose(speech, CLIPS).sha256 for speech in asked}) == 4
        assert max(tokens_for(speech.seconds) for speech in asked) <= MAX_TOKENS


def test_parts_follow_each_other_with_silence() -> None:
    """The samples are those of the clips, and zeros between and behind them."""
    speech = Speech(
        name="s", seconds=6.5, gap_s=0.5, parts=(Part("yes", 0.7, "Yes."), Part("bridge"))
    )
    samples = compose(speech, CLIPS).samples
    yes, bridge = load_audio(CLIPS["yes"]).samples, load_audio(CLIPS["bridge"]).samples
    assert np.array_equal(samples[:11_200], yes[:11_200])
    assert not samples[11_200:19_200].any()
    assert np.array_equal(samples[19_200 : 19_200 + len(bridge)], bridge)
    assert not samples[19_200 + len(bridge) :].any()


def test_the_cut_lies_in_a_pause() -> None:
    """The first word of `yes` ends before it is cut off, and the next one begins after."""
    samples = load_audio(CLIPS["yes"]).samples
    assert np.abs(samples[round(0.66 * 16_000) : round(0.70 * 16_000)]).max() < 0.002
    assert SPEECH["speech-1s"].parts[0].end_s == 0.70


@pytest.mark.parametrize(
    ("speech", "said"),
    [
        (Speech(name="s", seconds=1, parts=(Part("no"),)), "speech s: no clip is called no"),
        (Speech(name="s", seconds=1, parts=(Part("bridge"),)), "speech s: its parts last 3.935 s"),
        (
            Speech(name="s", seconds=9, parts=(Part("yes", 2.0, "Yes."),)),
            "speech s: yes ends before",
        ),
    ],
)
def test_what_cannot_be_put_together_is_one_line(speech: Speech, said: str) -> None:
    """It names the speech and the part."""
    with pytest.raises(InputError, match=said):
        compose(speech, CLIPS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a readable list of speech"),
        ("speech = 1", "not a readable list of speech"),
        (
            '[[speech]]\nname = "s"\nseconds = 1\nparts = [{ clip = "yes", end_s = 1.0 }]',
            "end_s and text go together",
        ),
        (
            2 * '[[speech]]\nname = "s"\nseconds = 1\nparts = [{ clip = "yes" }]\n',
            "two rows have the same name",
        ),
    ],
)
def test_a_manifest_that_is_none_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    """Whatever is wrong with it."""
    (tmp_path / "durations.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_durations(tmp_path)


@pytest.mark.skipif(
    "WHISPERBENCH_TINY_EN" not in os.environ, reason="WHISPERBENCH_TINY_EN names no tiny.en"
)
def test_random_weights_decode_as_many_tokens_as_speech_has() -> None:
    """The tokens of a second are those that tiny.en's tokenizer makes of the suite's clips."""
    from transformers import WhisperTokenizer

    tokenizer = WhisperTokenizer.from_pretrained(os.environ["WHISPERBENCH_TINY_EN"])
    tokens = sum(
        len(tokenizer(clip.text, add_special_tokens=False).input_ids) for clip in CLIPS.values()
    )
    seconds = sum(clip.seconds or 0.0 for clip in CLIPS.values())
    assert tokens / seconds == pytest.approx(TOKENS_PER_S, abs=0.005)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 29.9, 30.0, 30.1, 600.0])
def test_a_window_decodes_its_share(seconds: float) -> None:
    """Tokens of all windows together are those of the duration, to a token a window."""
    windows = windows_of(seconds)
    assert abs(windows * tokens_for(seconds) - TOKENS_PER_S * seconds) <= windows
