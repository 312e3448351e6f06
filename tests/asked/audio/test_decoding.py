"""What files of audio hold: all that they say, a part of it, or a line that says why not.

Over 300 lines, because it is one subject with one set of helpers.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import struct
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from whisperbench.asked.clips import Audio, Clip, load_audio
from whisperbench.errors import InputError

RATE_HZ = 16_000
SECONDS = 3.0
KINDS = {
    "wav": ("WAV", "PCM_16"),
    "24.wav": ("WAV", "PCM_24"),
    "float.wav": ("WAV", "FLOAT"),
    "rf64.wav": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "gsm.wav": ("WAV", "GSM610"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "ALAC_16"),
    "sph": ("NIST", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}


def speech() -> np.ndarray:
    """Make something that changes all the time."""
    time = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(0).standard_normal(len(time))
    return 0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time) + 0.02 * noise


def encoded(kind: str, samples: np.ndarray | None = None) -> bytes:
    """Encode samples, else the speech."""
    stream = io.BytesIO()
    form, subtype = KINDS[kind]
    soundfile.write(
        stream, speech() if samples is None else samples, RATE_HZ, format=form, subtype=subtype
    )
    return stream.getvalue()


ENCODED = {kind: encoded(kind) for kind in KINDS}


def without_length(flac: bytes) -> bytes:
    """Take the count of samples out of a FLAC's header, as an encoder into a pipe leaves it."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]


def in_short_pages(samples: np.ndarray) -> bytes:
    """Encode Opus as opusenc --max-delay 10 does: half of it ends between two packets."""
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", RATE_HZ, 1, format="OGG", subtype="OPUS") as file:
        # soundfile has no public name for libsndfile's commands.
        latency_ms = soundfile._ffi.new("double*", 20.0)  # noqa: SLF001
        assert soundfile._snd.sf_command(file._file, 0x1302, latency_ms, 8) == 0  # noqa: SLF001
        file.write(samples)
    assert stream.getvalue().count(b"OggS") > 40
    return stream.getvalue()


def without_header(mp3: bytes) -> bytes:
    """Take the first frame away, which holds an mp3's length."""
    return mp3[mp3.index(b"\xff\xf3", 4) :]


def of_one_bit_rate(samples: np.ndarray) -> bytes:
    """Encode an mp3 of which libsndfile knows the length without a header."""
    stream = io.BytesIO()
    how = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}
    soundfile.write(stream, samples, RATE_HZ, format="MP3", **how)
    return without_header(stream.getvalue())


def hear(folder: Path, data: bytes, name: str = "clip.wav", **fields: float | None) -> Audio:
    """Decode bytes as a file."""
    path = folder / name
    path.write_bytes(data)
    clip = msgspec.convert({"name": name, "file": str(path), "text": None, **fields}, Clip)
    # As it goes to a fresh process.
    return load_audio(msgspec.json.decode(msgspec.json.encode(clip), type=Clip))


@pytest.mark.parametrize("kind", [*KINDS, "unknown length"])
def test_parts_are_cut_out_exactly(tmp_path: Path, kind: str) -> None:
    """Any part is sample by sample what the whole holds there, and its digest is its own."""
    data = ENCODED[kind] if kind in KINDS else without_length(ENCODED["flac"])
    whole = hear(tmp_path, data)
    assert whole.seconds == SECONDS
    assert whole.sha256 == hashlib.sha256(data).hexdigest()
    digests = {whole.sha256}
    for offset, duration in ((0.0, 1.0), (1.0, 1.0), (0.50003, 0.25004), (2.9, 0.1), (2.25, None)):
        part = hear(tmp_path, data, offset_s=offset, duration_s=duration)
        start = round(offset * RATE_HZ)
        stop = len(whole.samples) if duration is None else start + round(duration * RATE_HZ)
        np.testing.assert_array_equal(part.samples, whole.samples[start:stop])
        assert part.seconds == (stop - start) / RATE_HZ
        digests.add(part.sha256)
    assert len(digests) == 6
    for seconds in (2.95, 2.995, 3.0, 3.009, 3.065):
        again = hear(tmp_path, data, duration_s=seconds)
        assert (again.sha256, again.seconds) == (whole.sha256, SECONDS)


@pytest.mark.parametrize(
    ("offset", "duration"),
    [
        *((0.0, 3.5), (2.9, 0.5), (3.0, 0.01), (1e6, 1.0), (0.0, 1e308), (1e300, 1.0)),
        *((1.0, 1e-6), (2.99999, 0.01), (1e308, 1e308)),
    ],
)
@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "ogg", "unknown length"])
def test_a_part_beyond_the_end_is_refused(
    tmp_path: Path, kind: str, offset: float, duration: float
) -> None:
    """With the length of the file and the place that was asked for; so is one without a sample."""
    data = ENCODED[kind] if kind in KINDS else without_length(ENCODED["flac"])
    message = r"lasts 3\.000 s, and the part from .* is asked for; correct its offset and duration$"
    with pytest.raises(InputError, match=message) as caught:
        hear(tmp_path, data, offset_s=offset, duration_s=duration)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_file_is_named_with_both_lengths(tmp_path: Path, kind: str) -> None:
    """Whatever the format: what was cut off is not half heard; a byte or two do not matter."""
    data = ENCODED[kind]
    said = r"is cut off or damaged: [01]\.\d+ s of its (3\.000|2\.9\d\d|3\.0\d\d) s can be read"
    if kind in ("ogg", "opus"):  # whose last page alone says how long it is
        said = r"breaks off or is damaged after [01]\.\d+ s, and does not say"
    if kind == "caf":
        said = "is not a readable .*copy it again"
    with pytest.raises(InputError, match=said):
        hear(tmp_path, data[: len(data) // 2])
    assert hear(tmp_path, data + b"\0").seconds == pytest.approx(SECONDS, abs=0.02)


def test_the_last_page_of_an_ogg_says_how_long_it_is(tmp_path: Path) -> None:
    """Where it was cut itself; one before it says so of no more than what leads up to its end."""
    data = encoded("ogg", speech()[:44_000])
    with pytest.raises(InputError, match=r"is cut off or damaged: [12]\.\d+ s of its 2\.750 s can"):
        hear(tmp_path, data[: data.rindex(b"OggS") + 100])
    data = in_short_pages(speech())
    assert hear(tmp_path, data).seconds == SECONDS
    for share in (0.3, 0.5, 0.71, 0.9):
        with pytest.raises(InputError, match=r"breaks off or is damaged after [012]\.\d+ s, and"):
            hear(tmp_path, data[: round(share * len(data))])


def test_what_says_no_length_is_converted(tmp_path: Path) -> None:
    """Of a Creative Voice, an IFF or a PVF file half cannot be told from a whole one."""
    for form in ("VOC", "SVX", "PVF"):
        stream = io.BytesIO()
        soundfile.write(stream, speech(), RATE_HZ, format=form, subtype="PCM_16")
        with pytest.raises(InputError, match=f"of the format {form}, .*; convert it to flac or"):
            hear(tmp_path, stream.getvalue())


def test_a_damaged_file_prints_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever its header sends libsndfile, what cannot be reached is no traceback."""
    printed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    for place in range(12, 60):
        data = bytearray(ENCODED["aiff"])
        data[place : place + 2] = b"\xff\xff"
        with suppress(InputError):
            hear(tmp_path, bytes(data))
    assert not printed


def test_a_part_before_the_damage_is_heard(tmp_path: Path) -> None:
    """A file that was cut off holds what comes before, whole."""
    half = ENCODED["wav"][: len(ENCODED["wav"]) // 2]
    assert hear(tmp_path, half, offset_s=0.25, duration_s=1.0).seconds == 1.0
    with pytest.raises(InputError, match=r"1\.499 s of its 3\.000 s"):
        hear(tmp_path, half, offset_s=1.0, duration_s=1.0)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_stream_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    """A WAV whose encoder could not come back to fill in its size is whole, and so is a FLAC."""
    data = bytearray(ENCODED["wav"])
    struct.pack_into("<I", data, 4, size)
    struct.pack_into("<I", data, 40, size)
    assert hear(tmp_path, bytes(data)).seconds == SECONDS
    broken = without_length(ENCODED["flac"])[:-2000]
    with pytest.raises(InputError, match=r"breaks off or is damaged after 2\.\d+ s, and does not"):
        hear(tmp_path, broken)


def test_an_empty_wav_with_notes_holds_nothing(tmp_path: Path) -> None:
    """A size of 0 is meant where other chunks follow."""
    empty = encoded("wav", np.zeros(0)) + b"LIST\x04\0\0\0INFO"
    with pytest.raises(InputError, match="holds no audio"):
        hear(tmp_path, empty)


@pytest.mark.parametrize("kind", ["wav", "rf64.wav", "flac", "mp3", "ogg", "opus"])
def test_several_recordings_in_one_file_are_not_one(tmp_path: Path, kind: str) -> None:
    """Libsndfile reads the first; what cat made of two is refused."""
    with pytest.raises(InputError, match="of which libsndfile reads"):
        hear(tmp_path, ENCODED[kind] * 2)


def test_what_an_mp3_does_not_say_is_counted(tmp_path: Path) -> None:
    """Without a header its frames are counted: libsndfile guesses from how loud it begins."""
    fading = without_header(encoded("mp3", speech() * np.linspace(1, 0, 48_000) ** 8))
    with pytest.raises(
        InputError, match=r"holds 3\.096 s, of which libsndfile reads 1\.\d+ s, for"
    ):
        hear(tmp_path, fading)
    rising = without_header(encoded("mp3", speech() * np.linspace(0, 1, 48_000) ** 8))
    assert hear(tmp_path, rising).seconds == 3.096
    assert hear(tmp_path, b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + ENCODED["mp3"]).seconds == SECONDS


def test_an_mp3_without_a_header_shows_where_it_breaks_off(tmp_path: Path) -> None:
    """Half a frame, zeros or a hole are seen; tags before, between and behind are no damage."""
    data = of_one_bit_rate(speech())
    whole = hear(tmp_path, data)
    half = len(data) // 2
    frame = data.index(data[:3], half)
    for broken in (
        *(data[: frame + length] for length in (1, 2, 3, 4, 100)),
        data[:frame] + bytes(half),
        data[: frame + 50] + bytes(half),
        data[:half] + bytes(2000) + data[half + 2000 :],
        data[:2000] + b"x" * 2000 + data[4000:],
    ):
        with pytest.raises(InputError, match=r"breaks off or is damaged after [01]\.\d+ s, and"):
            hear(tmp_path, broken)
    before = b"ID3\x04\0\0\0\0\x10\0" + bytes(2048)
    for behind in (b"TAG" + bytes(125), b"APETAGEX" + bytes(3000), bytes(100), b"\0"):
        assert hear(tmp_path, before + data + behind).seconds == whole.seconds
    again = hear(tmp_path, data + b"TAG" + bytes(125) + before + data)
    assert (again.seconds, again.remarks) == (2 * whole.seconds, ())
    for odd in (data[:half] + data[half + 2000 :], data + b"x" * 2000, data[:-4740] + data[-159:]):
        (remark,) = hear(tmp_path, odd).remarks
        assert re.search(r"has bytes out of place after [123]\.\d+ s: more may be missing", remark)


def test_an_mp3_with_the_other_header_is_held_to_it(tmp_path: Path) -> None:
    """VBRI, which Fraunhofer's encoders write, promises as Xing does."""
    data = bytearray(ENCODED["mp3"])
    frames = round(SECONDS * RATE_HZ / 576)
    data[4 : data.index(b"\xff\xf3", 4)] = bytes(data.index(b"\xff\xf3", 4) - 4)
    data[36:40], data[50:54] = b"VBRI", frames.to_bytes(4)
    with pytest.raises(InputError, match=r"[01]\.\d+ s of its 2\.988 s can be read"):
        hear(tmp_path, bytes(data[: len(data) // 2]))


def test_bytes_behind_the_end_are_remarked_on(tmp_path: Path) -> None:
    """A header that says less than there is is believed, and that is said; tags are none."""
    shorter = bytearray(ENCODED["wav"])
    struct.pack_into("<I", shorter, 40, RATE_HZ * 2)
    audio = hear(tmp_path, bytes(shorter))
    assert audio.seconds == 1.0
    assert audio.remarks == ("Clip clip.wav goes on for 2.000 s behind the end of its header.",)
    tagged = ENCODED["wav"] + b"LIST" + struct.pack("<I", 9000) + bytes(9000)
    assert hear(tmp_path, tagged).remarks == ()


def test_an_ogg_without_an_end_is_remarked_on(tmp_path: Path) -> None:
    """A stream that was ended between two pages is whole as far as anyone can tell."""
    data = ENCODED["ogg"]
    audio = hear(tmp_path, data[: data.rindex(b"OggS")])
    assert 1.0 < audio.seconds < SECONDS
    assert "has no mark at its end" in audio.remarks[0]


@pytest.mark.parametrize("rate", [0, 1, 4_000_000])
def test_impossible_rates_are_refused(tmp_path: Path, rate: int) -> None:
    """Resampled from 1 Hz, a second would fill the memory."""
    data = bytearray(ENCODED["wav"])
    struct.pack_into("<I", data, 24, rate)
    with pytest.raises(InputError, match=r"samples a second|not a readable"):
        hear(tmp_path, bytes(data))


def _spoiled(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    place, length = chance.randrange(len(data)), chance.randrange(1, 5000)
    how = chance.choice(["cut", "padded", "overwritten", "hole", "header", "twice"])
    return how, {
        "cut": data[:place],
        "padded": data + chance.randbytes(length),
        "overwritten": data[:place] + chance.randbytes(length) + data[place + length :],
        "hole": data[:place] + data[place + length :],
        "header": data[: place % 60] + chance.randbytes(2) + data[place % 60 + 2 :],
        "twice": data + data,
    }[how]


MADE = {
    "unknown length": lambda samples: without_length(encoded("flac", samples)),
    "no header": of_one_bit_rate,
    "short pages": in_short_pages,
}


@pytest.mark.parametrize("kind", [*KINDS, *MADE])
def test_spoiled_files_are_heard_at_their_length_or_refused(tmp_path: Path, kind: str) -> None:
    """Cut, padded, scaled, damaged at random places, misnamed: never a part without a word."""
    refused: list[str] = []
    for seed in range(10):
        chance = random.Random(f"{kind} {seed}")
        scale = chance.choice([1e-6, 0.001, 1.0, 3.0, 30_000.0])
        whole = encoded(kind, scale * speech()) if kind in KINDS else MADE[kind](scale * speech())
        how, data = _spoiled(whole, chance)
        try:
            audio = hear(tmp_path, data, chance.choice(["a.wav", "a.mp3", "a.flac", "a.opus"]))
        except InputError as error:
            refused.append(str(error))
            continue
        assert len(audio.samples) == pytest.approx(audio.seconds * 16_000, abs=2)
        # What its header says is what anyone can know.
        if how != "header" and not audio.remarks:
            # Two mp3s without headers are one.
            times = 2 if (kind, how) == ("no header", "twice") else 1
            assert audio.seconds == pytest.approx(times * SECONDS, abs=0.1 * times), (seed, how)
    assert not any("\n" in line for line in refused)
