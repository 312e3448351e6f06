"""Levels: what is said of them, and what is refused because nothing could be heard."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from whisperbench.asked.clips import Clip, load_audio
from whisperbench.errors import InputError

TONE = np.sin(0.1 * np.arange(16_000))


def remarks(
    folder: Path, samples: np.ndarray, text: str | None = "Hello.", subtype: str = "FLOAT"
) -> tuple[str, ...]:
    """Hear samples of full scale 1, and return what is said of them."""
    path = folder / "a.wav"
    soundfile.write(path, samples, 16_000, subtype=subtype)
    return load_audio(Clip(name="a", file=str(path), text=text)).remarks


@pytest.mark.parametrize("gain", [0.002, 0.05, 0.5, 0.99, 1.09])
def test_ordinary_levels_are_not_remarked_on(tmp_path: Path, gain: float) -> None:
    """From -54 dBFS to a decoder's overshoot, in one channel or one of two or six."""
    assert remarks(tmp_path, gain * TONE) == ()
    for channels in (2, 6):
        frames = np.zeros((len(TONE), channels))
        frames[:, 0] = gain * TONE
        assert remarks(tmp_path, frames) == ()


@pytest.mark.parametrize(("scale", "divisor"), [(100, 128), (12_100, 32_768), (2e9, 2**31)])
def test_integers_stored_as_floats_are_refused(tmp_path: Path, scale: float, divisor: int) -> None:
    """With the peak, and what to divide by."""
    with pytest.raises(InputError, match=rf"times full scale \(\+.* dBFS.*volume=1/{divisor}$"):
        remarks(tmp_path, scale * TONE)


@pytest.mark.parametrize(
    ("peak", "said"),
    [
        (
            9.0,
            r"peaks at 9 times full scale \(\+19\.1 dBFS\), in 0\.0\d+% of its samples: a click",
        ),
        (-500.0, r"peaks at 500 times full scale .*: a click, or damage; .*-c:a pcm_s16le$"),
        (3e9, r"is damaged: it peaks at 3e\+09 times full scale"),
        (-1e38, r"is damaged: it peaks at 1e\+38 times full scale"),
    ],
)
def test_a_click_is_no_reason_to_divide(tmp_path: Path, peak: float, said: str) -> None:
    """It would leave the rest silent; and what lies beyond all integers is damage."""
    samples = 0.5 * TONE
    samples[8000] = peak
    with pytest.raises(InputError, match=said) as caught:
        remarks(tmp_path, samples)
    assert "integers" not in str(caught.value)


@pytest.mark.parametrize("text", ["Hello.", "", None])
@pytest.mark.parametrize("level", [0.0, 0.1])
def test_silence_is_no_speech(tmp_path: Path, text: str | None, level: float) -> None:
    """Digital silence, around an offset too, is refused where words are said, and fine where none.

    A step of 16 bits up and down is no more.
    """
    samples = np.full(16_000, level)
    samples[::2] += 2.0**-15
    if text:
        with pytest.raises(InputError, match=r"is silent .* its text has words"):
            remarks(tmp_path, samples, text)
    else:
        assert remarks(tmp_path, samples, text) == (() if text == "" else ("Clip a is silent.",))


@pytest.mark.parametrize("other", [-1.0, -0.95, -1.05])
def test_channels_of_opposite_phase_are_refused(tmp_path: Path, other: float) -> None:
    """Their mean is next to nothing, whatever offset they have."""
    frames = 0.3 * np.stack([TONE, other * TONE], axis=1)
    for offset in (0.0, 0.1):
        with pytest.raises(InputError, match=r"its 2 channels cancel .*pan=mono\|c0=c0"):
            remarks(tmp_path, frames + offset)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (2 * TONE, r"^Clip a peaks at 2\.00 times full scale \(\+6\.0 dBFS\)\.$"),
        (np.clip(4 * TONE, -1, 1), r"^Clip a is clipped: 8\d\.\d% of its samples"),
        (0.0005 * TONE, r"^Clip a is very quiet: its samples move by -66\.0 dBFS\.$"),
        (0.3 * TONE - 0.2, r"^Clip a has an offset: its samples are -0\.\d+ of full scale"),
        (
            0.3 * np.stack([TONE, -0.6 * TONE], axis=1),
            r"^Clip a loses 9 dB when its 2 channels are averaged: they are partly of opposite",
        ),
    ],
    ids=["loud", "clipped", "quiet", "offset", "weakened"],
)
def test_odd_levels_are_remarked_on(tmp_path: Path, samples: np.ndarray, said: str) -> None:
    """What can be heard is heard, and one sentence says what is odd, with its size."""
    found = remarks(tmp_path, samples)
    assert len(found) == 1
    assert re.search(said, found[0]), found


def test_integers_are_never_over_full_scale(tmp_path: Path) -> None:
    """The same samples in 16 bits are a loud recording."""
    assert remarks(tmp_path, 0.9 * TONE, subtype="PCM_16") == ()
