"""People's own recordings: folders and manifests, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from whisperbench.clips import Clip
from whisperbench.errors import InputError
from whisperbench.recordings import check_clips, find_clips


def speak(path: Path, text: str | None, seconds: float = 0.5) -> None:
    """Write some samples, and the text beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(0.1 * np.arange(round(16_000 * seconds))), 16_000)
    if text is not None:
        path.with_suffix(".txt").write_text(text, encoding="utf-8")


def test_a_folder_of_recordings(tmp_path: Path) -> None:
    """Audio at any depth, with the text beside it; an empty text is silence."""
    speak(tmp_path / "b.wav", "hello")
    speak(tmp_path / "a" / "c.flac", "")
    (tmp_path / "notes.md").write_text("x", encoding="utf-8")
    clips = find_clips(tmp_path)
    assert [(clip.name, clip.text) for clip in clips] == [("a/c.flac", ""), ("b.wav", "hello")]


def test_a_manifest(tmp_path: Path) -> None:
    """Paths are relative to the manifest; keys that other tools write are let be."""
    speak(tmp_path / "audio" / "a.wav", None)
    rows = [
        {"audio_filepath": "audio/a.wav", "text": "hello", "duration": 0.5, "speaker": 7},
        {"audio_filepath": str(tmp_path / "audio" / "b.wav"), "text": "", "lang": "de-AT"},
    ]
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    first, second = find_clips(manifest)
    assert (first.name, first.file) == ("audio/a.wav", str(tmp_path / "audio" / "a.wav"))
    assert (second.name, second.text, second.language) == ("audio/b.wav", "", "de")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "has no lines"),
        ('{"text": "x"}', "line 1: Object missing required field `audio_filepath`"),
        ("{", "line 1"),
        ('{"audio_filepath": "a\\u0000", "text": "x"}', "cannot be printed; rename it"),
        ('{"audio_filepath": "a", "text": "x"}\n' * 2, "names a recording or a part twice"),
        ('{"audio_filepath": "a", "text": "x", "offset": -1}', "line 1: Expected `float` >= 0"),
        ('{"audio_filepath": "a", "text": "x", "duration": 0}', "line 1: Expected `float` > 0"),
        ('{"audio_filepath": "a", "text": "x", "duration": NaN}', "line 1: JSON is malformed"),
        (
            '{"audio_filepath": "a", "text": "x", "duration": "3"}',
            "line 1: Expected `float | null`",
        ),
        ('{"audio_filepath": "a", "text": "x", "start": 3, "duration": 2}', "has start.*no offset"),
        ('{"audio_filepath": "a", "text": "x", "end_time": "0:03"}', "has end_time.*no duration"),
        ('{"audio_filepath": "a", "text": "x", "offset_ms": 30}', "has offset_ms.*no offset"),
    ],
)
def test_a_manifest_that_cannot_be_used(tmp_path: Path, lines: str, message: str) -> None:
    """Each is one line that names the place."""
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(lines, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        find_clips(manifest)
    assert str(caught.value).startswith(f"--data {manifest}")
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """No such folder, nothing in it, or a recording without a text."""
    with pytest.raises(InputError, match="neither a folder of recordings nor a manifest"):
        find_clips(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no \.flac"):
        find_clips(tmp_path)
    speak(tmp_path / "b" / "a\nb.wav", "x")
    with pytest.raises(InputError, match=r"the name b/a\\nb.wav cannot be printed"):
        find_clips(tmp_path / "b" / "..")
    (tmp_path / "b" / "a\nb.wav").unlink()
    speak(tmp_path / "a.wav", None)
    speak(tmp_path / "a.flac", None)
    with pytest.raises(InputError, match="two recordings have one text"):
        find_clips(tmp_path)
    (tmp_path / "a.flac").unlink()
    with pytest.raises(InputError, match=r"1 of 1 recordings have no text beside them.*a\.txt"):
        find_clips(tmp_path)


def test_clips_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """All of them, before the first is heard, in one line."""
    speak(tmp_path / "fine.wav", "x")
    (tmp_path / "text.wav").write_text("no audio", encoding="utf-8")
    clips = [
        Clip(name=name, file=str(tmp_path / name), text="x", language="en")
        for name in ("fine.wav", "text.wav", "gone.wav")
    ]
    with pytest.raises(InputError, match="2 of 3 clips cannot be used: clip text") as caught:
        check_clips("mine", clips, lambda clips: clips)
    assert "clip gone.wav: " in str(caught.value)
    data = check_clips("mine", clips[:1], lambda clips: clips)
    assert (data.name, data.seconds, data.language) == ("mine", 0.5, "en")


@pytest.mark.parametrize("suffix", [".m4a", ".aac", ".WMA", ".mp4", ".webm"])
def test_what_libsndfile_does_not_read_is_named(tmp_path: Path, suffix: str) -> None:
    """A recording of another kind is not passed over: it fails the run, with what to do about it.

    One that has been converted, under the same name, is heard instead.
    """
    speak(tmp_path / "a.wav", "hello")
    other = tmp_path / f"b{suffix}"
    other.write_bytes(b"\0\0\0\x20ftypM4A ")
    other.with_suffix(".txt").write_text("hello", encoding="utf-8")
    with pytest.raises(InputError, match="1 of 2 clips cannot be used") as caught:
        check_clips("mine", find_clips(tmp_path), lambda clips: clips)
    assert f"clip b{suffix}: " in str(caught.value)
    assert str(caught.value).endswith(
        "Format not recognised; convert it to flac or wav with ffmpeg"
    )
    speak(tmp_path / "b.flac", None)
    assert [clip.name for clip in find_clips(tmp_path)] == ["a.wav", "b.flac"]


def test_a_data_set_is_known_by_audio_and_text(tmp_path: Path) -> None:
    """Another text makes it another one: rates against different texts are not comparable."""
    speak(tmp_path / "a.wav", "x")
    digests = {
        check_clips(
            "mine", [Clip(name="a", file=str(tmp_path / "a.wav"), text=text)], lambda clips: clips
        ).sha256
        for text in ("x", "y")
    }
    assert len(digests) == 2
