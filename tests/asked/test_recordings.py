"""People's own recordings: folders and manifests, and what is wrong with them.

Over 300 lines, because it is one subject with one set of helpers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from whisperbench.asked.clips import Clip, find_clip
from whisperbench.asked.recordings import check_clips, find_clips, require_words
from whisperbench.errors import InputError


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
    assert (first.language, first.duration_s) == (None, 0.5)
    assert (first.name, first.file) == ("audio/a.wav", str(tmp_path / "audio" / "a.wav"))
    assert (second.name, second.text, second.language) == ("audio/b.wav", "", "de")


@pytest.mark.parametrize(
    ("told", "language"),
    [
        ({"language": "de"}, "de"),
        ({"target_lang": "French"}, "fr"),
        ({"lang": "", "language": "pt-BR"}, "pt"),
        ({"lang": None, "target_lang": "ja"}, "ja"),
        ({"lang": "en", "language": "de"}, "en"),
        ({"language": None}, None),
        ({"source_lang": "de"}, None),
    ],
)
def test_a_language_is_read_under_each_of_its_names(
    tmp_path: Path, told: dict[str, str | None], language: str | None
) -> None:
    """As `whisperbench score` reads it: the first that says something."""
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(json.dumps({"audio_filepath": "a.wav", "text": "x"} | told), "utf-8")
    assert [clip.language for clip in find_clips(manifest)] == [language]


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
        ('{"audio_filepath": "a", "text": "x", "start": 3}', r"\(offset 0 where the file is that"),
        ('{"audio_filepath": "a", "text": "x", "offset": 1e300}', "Expected `float` <= 1000000"),
        ('{"audio_filepath": "a", "text": "x", "duration": 1e308}', "Expected `float` <= 1000000"),
        ('{"audio_filepath": "a", "text": "x", "language": 5}', "its language is no text"),
        ('{"audio_filepath": "a", "text": "x", "language": "xx"}', "line 1: 'xx' is no language"),
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


def test_parts_of_one_recording_have_names_of_their_own(tmp_path: Path) -> None:
    """Each row is the part that it says, two are two clips, and a whole one keeps its name."""
    speak(tmp_path / "a.wav", None, seconds=3.0)
    rows: list[dict[str, object]] = [
        {"offset": 0, "duration": 1.0},
        {"offset": 1.25, "duration": 1},
        {"offset": 2.5},
        {"audio_filepath": "b.wav", "duration": 0.5, "start": 0, "end": 0.5},
    ]
    speak(tmp_path / "b.wav", None, seconds=0.5)
    manifest = tmp_path / "m.json"
    manifest.write_text(
        "\n".join(json.dumps({"audio_filepath": "a.wav", "text": "x"} | row) for row in rows),
        encoding="utf-8",
    )
    clips = find_clips(manifest)
    assert [clip.name for clip in clips] == ["a.wav@0+1", "a.wav@1.25+1", "a.wav@2.5", "b.wav"]
    assert [(clip.offset_s, clip.duration_s) for clip in clips] == [
        (0.0, 1.0),
        (1.25, 1.0),
        (2.5, None),
        (0.0, 0.5),
    ]
    assert check_clips("m", clips, lambda clips: clips).seconds == 3.0


def test_linked_folders_are_looked_into(tmp_path: Path) -> None:
    """Once each, and not round in a circle; what git keeps to itself is let be."""
    data = tmp_path / "data"
    speak(data / "a.wav", "x")
    speak(tmp_path / "other" / "b.wav", "x")
    speak(data / ".git" / "annex" / "objects" / "c.wav", None)
    (data / "more").symlink_to("../other")
    (data / "more-again").symlink_to("../other")
    (data / "round").symlink_to(".")
    (tmp_path / "other" / "back").symlink_to("../data")
    assert [clip.name for clip in find_clips(data)] == ["a.wav", "more/b.wav"]


@pytest.mark.parametrize("name", ["talk.wav", "talk.m4a"])
def test_recordings_behind_broken_links_are_named(tmp_path: Path, name: str) -> None:
    """As git-annex, DVC or an unmounted disk leaves them; by --clip and in a manifest, too."""
    speak(tmp_path / "a.wav", "x")
    (tmp_path / name).symlink_to(".git/annex/objects/x.wav")
    (tmp_path / "talk.txt").write_text("x", encoding="utf-8")
    message = rf"{name} is a link to .git/annex/objects/x.wav, which is not there; fetch it"
    with pytest.raises(InputError, match=f"1 of 2 clips cannot be used: clip {name}: .*{message}"):
        check_clips("mine", find_clips(tmp_path), lambda clips: clips)
    with pytest.raises(InputError, match=r"^--clip .*: is a link to .*, which is not there"):
        find_clip(str(tmp_path / name), {})
    (tmp_path / "talk.txt").unlink()
    with pytest.raises(InputError, match=f"^--data .*: {message}"):
        find_clips(tmp_path)


def _link(path: Path) -> None:
    path.symlink_to("nowhere")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("more", _link, "more is a link to nowhere, which is not there; fetch it"),
        ("2024.1", _link, "is a link to nowhere, which is not there"),
        ("round", _loop, "round is a link to round, which is not there"),
        ("a.txt", _link, r"a\.txt is a link to nowhere, which is not there"),
        ("b.wav.part", Path.touch, "is half a download"),
        ("b.MP3.crdownload", Path.touch, "is half a download"),
        ("a.wav.aria2", Path.touch, "says that a download is not complete"),
        ("b.wav.gz", Path.touch, "is compressed; unpack it"),
        (".b.wav.icloud", Path.touch, "is in iCloud, not here"),
        ("b.wav.dvc", Path.touch, "is in DVC, not here; fetch it with dvc pull"),
        ("recordings.dvc", Path.touch, "is in DVC, not here"),
        ("._a.wav", Path.touch, "is an AppleDouble file, what macOS notes about another; delete"),
    ],
)
def test_what_stands_for_recordings_is_not_passed_over(
    tmp_path: Path, name: str, make: Callable[[Path], None], said: str
) -> None:
    """A name that says that recordings are elsewhere, or not yet here, with what to do."""
    speak(tmp_path / "a.wav", None)
    (tmp_path / "notes.md").symlink_to("nowhere")
    (tmp_path / "model.bin.dvc").touch()
    (tmp_path / "a.wav.zip").touch()
    if name != "a.txt":
        (tmp_path / "a.txt").write_text("x", encoding="utf-8")
        assert len(find_clips(tmp_path)) == 1
    make(tmp_path / name)
    with pytest.raises(InputError, match=said) as caught:
        find_clips(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than passed over. A test that root runs too has to refuse in the system's place."""
    speak(tmp_path / "a.wav", "x")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"--data .*/locked: Permission denied"):
        find_clips(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is no file, in a folder or a manifest, is refused and not opened."""
    os.mkfifo(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.wav is no file"):
        check_clips("mine", find_clips(tmp_path), lambda clips: clips)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "git lfs pull"),
        (b"/annex/objects/SHA256E-s3--1.wav\n", "git annex get"),
        (b"../../.git/annex/objects/SHA256E-s3--1.wav", "git annex get"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "AppleDouble file.*delete it"),
        (b"\n <!DOCTYPE html><title>404</title>", "a web page.*fetch it again"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "an XML text.*fetch it again"),
        (b'{"error": "not found"}', "a JSON text.*fetch it again"),
        (b"<Error><Code>NoSuchKey</Code></Error>", "an XML text.*fetch it again"),
        (b'{"text": "hello", "segments": []}', "a JSON text; write what is said alone"),
        (b"PK\x03\x04\x14", "compressed; unpack it"),
        (b"BZh91AY&SY\0", "compressed; unpack it"),
        (bytes(5000), "holds zeros alone.*fetch it again"),
    ],
)
def test_what_lies_in_a_files_place_is_told(tmp_path: Path, data: bytes, said: str) -> None:
    """As a recording, and as the text beside one: nobody is told to convert it."""
    speak(tmp_path / "a.wav", None)
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.txt .*{said}"):
        find_clips(tmp_path)
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.wav .*{said}") as caught:
        check_clips("mine", find_clips(tmp_path), lambda clips: clips)
    assert "convert" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Bzhania said so.",
            "BZh9 is a name.",
            "<error> beep",
            "<head nod> yes",
            "<HTML5> is new.",
        ),
        *('{"a":1}', "{cough} hello", '{ "quoted" } words', "[laughs] PK", "7z is an archive."),
        *("Version https colon slash slash", "xml is a format.", "Pk\x03"),
    ],
)
def test_what_people_say_is_no_archive_and_no_page(tmp_path: Path, text: str) -> None:
    """Names and noises that begin as another file may are transcripts."""
    speak(tmp_path / "a.wav", text)
    assert [clip.text for clip in find_clips(tmp_path)] == [text]


@pytest.mark.parametrize(
    ("text", "language"), [("...", "en"), ("[music]", "de"), ("Um, uh...", "en"), ("♪ – ♪", "ja")]
)
def test_a_text_without_words_is_neither_silence_nor_speech(text: str, language: str) -> None:
    """It is refused before anything is loaded; an empty one is silence."""
    clip = Clip(name="a", file="a.wav", text=text, language=language)
    with pytest.raises(InputError, match=r"the text of a, .* has no words"):
        require_words([clip])
    silent, untold, spoken = (
        Clip(name="a", file="a.wav", text=said, language="en") for said in ("", None, "Yes.")
    )
    require_words([silent, untold, spoken])


def test_remarks_are_kept_within_bounds(tmp_path: Path) -> None:
    """Each odd clip is named, up to ten."""
    clips = []
    for number in range(12):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * np.sin(np.arange(1600)) + 0.2, 16_000)
        clips.append(Clip(name=path.name, file=str(path), text="x"))
    found = check_clips("mine", clips, lambda clips: clips).remarks
    assert found[0] == "Clip 0.wav has an offset: its samples are +0.200 of full scale on average."
    assert found[10:] == ("2 more remarks on clips are not shown.",)
