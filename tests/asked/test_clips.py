"""Clips: the ones that ship, and whatever else people have."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import Clip, find_clip, load_audio, read_manifest
from whisperbench.errors import InputError

MANIFEST = read_manifest(CLIPS_FOLDER)


@pytest.mark.parametrize("name", MANIFEST)
def test_shipped_clips_are_what_the_manifest_says(name: str) -> None:
    """Every shipped clip decodes, and its digest, seconds, text and licence are there."""
    clip = MANIFEST[name]
    audio = load_audio(clip)
    assert audio.seconds == pytest.approx(clip.seconds, abs=0.001)
    assert audio.samples.dtype == np.float32
    assert 0.05 < float(np.abs(audio.samples).max()) <= 1.0
    assert clip.text
    assert clip.licence
    assert clip.language == "en"


def test_shipped_lengths() -> None:
    """One clip of about 27 s, several shorter ones, and one beyond Whisper's 30 s window."""
    seconds = sorted(clip.seconds or 0.0 for clip in MANIFEST.values())
    assert [round(length) for length in seconds] == [2, 4, 11, 26, 36]


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
    | st.integers(1_000, 192_000),
    channels=st.integers(1, 6),
    frames=st.integers(200, 20_000),
    kind=st.sampled_from([("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_24")]),
)
def test_any_rate_channels_and_length(
    tmp_path_factory: pytest.TempPathFactory,
    rate: int,
    channels: int,
    frames: int,
    kind: tuple[str, str],
) -> None:
    """Any rate, channel count and length becomes finite 16 kHz mono of the same duration."""
    if kind[0] == "FLAC":
        rate = min(rate, 65_535)  # above that the format itself knows only round rates
    path = tmp_path_factory.mktemp("clip") / "clip.audio"
    wave = 0.5 * np.sin(2 * np.pi * 0.01 * np.arange(frames))
    soundfile.write(
        path, np.stack([wave] * channels, axis=1), rate, format=kind[0], subtype=kind[1]
    )
    audio = load_audio(Clip(name="clip", file=str(path), text=None))
    assert audio.seconds == pytest.approx(frames / rate)
    assert audio.samples.ndim == 1
    assert len(audio.samples) == pytest.approx(audio.seconds * 16_000, abs=2)
    assert np.isfinite(audio.samples).all()


def test_mp3_in_stereo(tmp_path: Path) -> None:
    """An mp3 is decoded without ffmpeg, its channels averaged."""
    path = tmp_path / "tone.mp3"
    tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    soundfile.write(path, np.stack([tone, np.zeros_like(tone)], axis=1), 44_100, format="MP3")
    audio = load_audio(Clip(name="tone", file=str(path), text=None))
    assert audio.seconds == pytest.approx(1.0, abs=0.06)  # an mp3 holds whole frames
    assert 0.11 < float(np.abs(audio.samples[4000:12000]).max()) < 0.14


def test_resampling_keeps_the_pitch(tmp_path: Path) -> None:
    """A 1 kHz tone at 44.1 kHz is a 1 kHz tone at 16 kHz."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.sin(2 * np.pi * 1000 * np.arange(44_100) / 44_100), 44_100)
    samples = load_audio(Clip(name="tone", file=str(path), text=None)).samples
    assert np.argmax(np.abs(np.fft.rfft(samples))) == pytest.approx(1000, abs=1)


def test_path_takes_the_text_beside_it(tmp_path: Path) -> None:
    """PATH.txt is the transcript of PATH; without one there is none."""
    path = tmp_path / "hello.wav"
    soundfile.write(path, np.full(1600, 0.1), 16_000)
    assert find_clip(str(path), MANIFEST).text is None
    path.with_suffix(".txt").write_text("Hello there.\n", encoding="utf-8-sig")
    assert find_clip(str(path), MANIFEST).text == "Hello there."
    path.with_suffix(".txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a UTF-8 text"):
        find_clip(str(path), MANIFEST)
    path.with_suffix(".txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(InputError, match="is empty; write what is said, or remove it"):
        find_clip(str(path), MANIFEST)


def test_over_long_names_are_refused() -> None:
    """A name that no file can have is an error like any other."""
    with pytest.raises(InputError, match="File name too long"):
        find_clip("a" * 300, MANIFEST)


def _wav(samples: object) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, 16_000, format="WAV", subtype="FLOAT")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"not audio at all", "not a readable"),
        (_wav(np.zeros(0)), "zero length"),
        (_wav([0.0, float("nan")]), "not finite"),
        (_wav(np.full(99, 0.1))[:40], "zero length|not a readable"),
    ],
    ids=["empty", "text", "zero length", "not finite", "cut off"],
)
def test_unusable_audio_is_refused(tmp_path: Path, data: bytes, word: str) -> None:
    """Empty, corrupt, zero-length and non-finite audio each get a line that names the file."""
    path = tmp_path / "broken.wav"
    path.write_bytes(data)
    with pytest.raises(InputError, match=word) as caught:
        load_audio(Clip(name="broken", file=str(path), text=None))
    assert str(path) in str(caught.value)


def test_missing_and_changed_files_are_refused(tmp_path: Path) -> None:
    """A clip that is gone, or not the file that the manifest describes, is an error."""
    with pytest.raises(InputError, match="No such file"):
        load_audio(Clip(name="gone", file=str(tmp_path / "gone.wav"), text=None))
    yes = MANIFEST["yes"]
    other = Clip(name="yes", file=MANIFEST["bridge"].file, text=None, sha256=yes.sha256)
    with pytest.raises(InputError, match="not the manifest's file"):
        load_audio(other)
    wrong = Clip(name="yes", file=yes.file, text=None, sha256=yes.sha256, seconds=9.0)
    with pytest.raises(InputError, match=r"the manifest says 9\.000 s"):
        load_audio(wrong)


@pytest.mark.parametrize(
    "text", ["clip = 3", "[[clip]]\nname = 'a'", "[[clip]]\nname='a'\nfile='a'\ntext='a'\nx=1", "["]
)
def test_broken_manifests(tmp_path: Path, text: str) -> None:
    """A manifest with missing or unknown keys is refused."""
    (tmp_path / "clips.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="not a readable clip manifest"):
        read_manifest(tmp_path)
