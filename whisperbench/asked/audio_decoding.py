"""Files of audio: what they hold, read to the end, against what they say that they hold.

libsndfile decodes. Of a file that was cut off it reads what is left, without a word: what a file
says of its length is read here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from whisperbench.asked.audio_levels import Levels
from whisperbench.errors import InputError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOSS_S = 0.1
"""What may be missing of a file: an encoder's last frame."""

SLACK_S = 0.1
"""How far from the end of its file a part may end that goes to the end: tools write lengths with
one decimal, and some round them up, as 3.935 s to 4.0. What is lost or won is no word."""

MP3_PADDING_S = 0.3
"""How much longer an mp3 is to tools that keep what its encoder filled up: some 2,300 samples."""

LONGEST_PAGE_S = 60
"""What a page of Ogg holds no more of. One that ends later was cut out of a stream, as of a radio,
that had counted from its own beginning."""

RATES_HZ = (1_000, 768_000)
"""Between these lie sample rates. Others come from damaged headers, and would fill the memory."""

_BLOCK = 1 << 14
_UNKNOWN = 1 << 62
"""Of a FLAC stream whose length nobody wrote down, libsndfile says that it has more frames."""

_ALL = 0xFFFFFFFF
"""A size that says: until the end."""

_FETCH = "copy it again from where it came from"
_CONVERT = "convert it to flac or wav with ffmpeg"

_SAYING = ("AIFF", "AU", "CAF", "FLAC", "MP3", "NIST", "OGG", "RF64", "W64", "WAV", "WAVEX")
"""Formats of which it is known how much a file says that it holds. libsndfile itself refuses a CAF
that was cut off; of Creative Voice, Ensoniq, Akai and others it reads what is left."""

_SPHERE_COUNT = re.compile(rb"\nsample_count -i (\d{1,15})\s")
"""How many frames a NIST SPHERE file has."""

_CHUNKS = {
    # First bytes: a chunk's name and size, where the first one is, and what holds the samples.
    b"RIFF": ("<4sI", 12, b"data"),
    b"RIFX": (">4sI", 12, b"data"),
    b"RF64": ("<4sI", 12, b"data"),
    b"FORM": (">4sI", 12, b"SSND"),
    b"riff": ("<4s12xQ", 40, b"data"),
}

_MP3_TAGS = (b"TAG", b"ID3", b"3DI", b"APETAGEX", b"LYRICSBEGIN")
"""How those begin that lie behind an mp3, or between two that were put together."""

_MP3_KBITS = {
    # By MPEG version, of layer III.
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
_MP3_RATES_HZ = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8000),
}


class _Source(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile seeks to where it is after each read, and libsndfile cannot do that everywhere."""

    def seekable(self) -> bool:
        return False


class _Stream(BytesIO):
    """libsndfile seeks to where damaged headers send it, and prints what is raised meanwhile."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        with suppress(ValueError, OverflowError):
            return super().seek(offset, whence)
        return self.tell()


@dataclass(frozen=True, kw_only=True)
class Sound:
    """What was decoded of a file: all of it, or a part."""

    samples: NDArray[np.float32]
    """Of shape (n,): the mean of the channels, at the file's rate."""
    rate_hz: int
    part: tuple[int, int] | None
    """From which frame to which; None for the whole."""
    levels: Levels
    remarks: tuple[str, ...]
    """Sentences without a subject, such as "ends without a mark"."""


def decode(
    data: bytes, where: str, offset_s: float = 0.0, duration_s: float | None = None
) -> Sound:
    """Decode a file, or cut a part out of it.

    Args:
        data: the file.
        where: what messages begin with.
        offset_s: where the part begins.
        duration_s: how long it is; None for what is left.

    Raises:
        InputError: the file is damaged, is cut off, is none that libsndfile reads, holds nothing or
            what is not finite, or ends before the part does.
    """
    _require_one(data, where)
    data = _with_length(data)
    source = _open(data, where)
    rate = source.samplerate
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise InputError(f"{where} says that it has {rate} samples a second; {_FETCH}")
    total, remarks = _promised(data, source, where)
    start, stop = _place(total, source, where, offset_s, duration_s)
    whole = not start and stop >= total - round(SLACK_S * rate)
    stop = total if whole else stop
    mono, levels, held = _read(source, where, start, stop)
    if stop - held > LOSS_S * rate:
        raise InputError(
            f"{where} is cut off or damaged: {held / rate:.3f} s of its {total / rate:.3f} s can "
            f"be read; {_FETCH}, or convert what there is to flac or wav with ffmpeg"
        )
    if not len(mono):
        raise InputError(f"{where} holds no audio (zero length); {_FETCH}")
    return Sound(
        samples=mono,
        rate_hz=rate,
        part=None if whole else (start, stop),
        levels=levels,
        remarks=tuple(remarks),
    )


def _place(
    total: int, source: Any, where: str, offset_s: float, duration_s: float | None
) -> tuple[int, int]:
    """Return from which frame to which a part goes.

    Raises:
        InputError: it is not within the file, or shorter than a sample.
    """
    if not total:
        return 0, 0
    rate = source.samplerate
    length_s = total / rate
    end_s = length_s if duration_s is None else offset_s + duration_s
    beyond_s = MP3_PADDING_S if source.format == "MP3" else SLACK_S
    # Only what lies within a file is small enough to be counted in frames.
    if 0 <= offset_s <= length_s and end_s <= length_s + beyond_s:
        start = round(offset_s * rate)
        stop = total if duration_s is None else min(total, start + round(duration_s * rate))
        if start < stop:
            return start, stop
    wanted = f"{offset_s:.10g} s" + ("" if duration_s is None else f" to {end_s:.10g} s")
    raise InputError(
        f"{where} lasts {length_s:.3f} s, and the part from {wanted} is asked for; correct its "
        "offset and duration"
    )


def _open(data: bytes, where: str) -> Any:
    try:
        source = _Source(_Stream(data))
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        # Of libsndfile's own errors the whole text names the stream, not the file.
        why = one_line(getattr(error, "error_string", error)).removesuffix(".")
        remedy = _CONVERT
        if data[:4] in (*_CHUNKS, b"fLaC", b"OggS", b"caff", b"NIST", b".snd"):
            remedy = f"{_FETCH}, or {remedy}"
        raise InputError(f"{where} is not a readable wav, flac or mp3: {why}; {remedy}") from error
    if source.format not in _SAYING:
        raise InputError(
            f"{where} is of the format {source.format}, in which a file that was cut off is not "
            f"known from a whole one; {_CONVERT}"
        )
    return source


def _read(
    source: Any, where: str, start: int, stop: int
) -> tuple[NDArray[np.float32], Levels, int]:
    """Read frames, and average their channels.

    Returns:
        The frames from `start` to `stop`, their levels, and the frame at which reading ended.
    """
    at = 0
    # What is compressed in blocks that lean on each other is read from its start: in GSM 6.10
    # libsndfile 1.2.2 cannot seek, and in Vorbis it finds another place than the right one.
    seeks = source.subtype.startswith(("PCM", "FLOAT", "DOUBLE")) and source.frames < _UNKNOWN
    levels = Levels(source.channels)
    kept = []
    # Where it is damaged, what was read until then says all.
    with suppress(soundfile.LibsndfileError):
        if start and seeks:
            at = source.seek(start)
        for frames in _blocks(source, stop - at):
            part = frames[max(0, start - at) :]
            at += len(frames)
            if not len(part):
                continue
            if not np.isfinite(part).all():
                raise InputError(f"{where} holds samples that are not finite numbers")
            with np.errstate(over="ignore"):  # of samples that the levels will refuse
                mono = part.mean(axis=1, dtype=np.float32)
                levels.add(part, mono)
            kept.append(mono)
    return np.concatenate(kept) if kept else np.zeros(0, np.float32), levels, at


def _blocks(source: Any, frames: int) -> Iterator[NDArray[np.float32]]:
    """Read so many frames, or what there is.

    Raises:
        LibsndfileError: it is damaged; what comes before has been passed on.
    """
    buffer = np.empty((_BLOCK, source.channels), np.float32)
    while frames > 0:
        buffer.fill(np.nan)
        try:
            block = source.read(min(frames, _BLOCK), out=buffer)
        except soundfile.LibsndfileError:
            # It was filled up to there, and only then refused.
            yield buffer[np.isfinite(buffer).all(axis=1)]
            raise
        if not len(block):
            return
        frames -= len(block)
        yield block


def _promised(data: bytes, source: Any, where: str) -> tuple[int, list[str]]:
    """Return how many frames a file says that it has, and what is odd about how it says so.

    Raises:
        InputError: it breaks off, and does not say how much there should be; or there is more in it
            than libsndfile reads.
    """
    if source.format == "MP3":
        return _promised_mp3(data, source, where)
    if source.format == "OGG":
        return _promised_ogg(data, source, where)
    if source.format == "FLAC":
        return (source.frames if source.frames < _UNKNOWN else _counted(data, where)), []
    if source.format == "NIST" and (count := _SPHERE_COUNT.search(data, 0, 1024)):
        frames = int(count[1])
        return frames, _behind((source.frames - frames) / source.samplerate)
    place = _samples_place(data)
    if place is None:
        return source.frames, []
    start, size = place
    there = len(data) - start
    if _says_nothing(size):
        return source.frames, []
    if size > there > 0:
        return source.frames * size // there, []
    behind_s = (there - size) * source.frames / max(1, size) / source.samplerate
    is_chunk = data[:4] in _CHUNKS and _is_chunk(data, start + size + size % 2)
    return source.frames, [] if is_chunk else _behind(behind_s)


def _behind(seconds: float) -> list[str]:
    """Say that there is more than a header says, where it is worth a word."""
    return [f"goes on for {seconds:.3f} s behind the end of its header"] if seconds > LOSS_S else []


def _require_one(data: bytes, where: str) -> None:
    """Refuse what was made of several files as by cat, but for mp3s, which may be."""
    marks: tuple[bytes, ...] = ()
    start = 4
    if data[:4] == b"fLaC":
        marks = (b"fLaC\0\0\0\x22",)
    elif (place := _samples_place(data)) is not None:
        marks, start = (b"WAVEfmt ", b"WAVEds64"), place[0]
    if any(data.find(mark, start) >= 0 for mark in marks):
        raise InputError(_several(where))


def _several(where: str) -> str:
    return (
        f"{where} is several recordings, one behind the other, of which libsndfile reads the "
        "first; make one file of each, or one of them all, with ffmpeg or sox"
    )


def _counted(data: bytes, where: str) -> int:
    """Read a stream whose length nobody wrote down to its end."""
    source = _open(data, where)
    held = 0
    try:
        for frames in _blocks(source, _UNKNOWN):
            held += len(frames)
    except soundfile.LibsndfileError as error:
        raise InputError(_breaks_off(where, held / source.samplerate)) from error
    return held


def _breaks_off(where: str, seconds: float) -> str:
    return (
        f"{where} breaks off or is damaged after {seconds:.3f} s, and does not say how long it "
        f"should be; {_FETCH}, or convert what there is to flac or wav with ffmpeg"
    )


def _samples_place(data: bytes) -> tuple[int, int] | None:
    """Return where the samples of a WAV, W64, AIFF or AU begin, and how many bytes it says.

    None where they are not found.
    """
    if data[:4] in (b".snd", b"dns.") and len(data) >= 12:
        start, size = struct.unpack_from("<II" if data[:4] == b"dns." else ">II", data, 4)
        return start, size
    form, at, wanted = _CHUNKS.get(data[:4], ("<4sI", len(data), b""))
    length = struct.calcsize(form)
    long_size = _ALL
    while at + length <= len(data):
        name, size = struct.unpack_from(form, data, at)
        at += length
        if length == 24:  # of W64, whose sizes count their own header
            size = max(0, size - length)
        if name == b"ds64" and at + 16 <= len(data):
            (long_size,) = struct.unpack_from("<Q", data, at + 8)
        if name == wanted:
            return at, long_size if size == _ALL else size
        at += size + -size % (8 if length == 24 else 2)
    return None


def _says_nothing(size: int) -> bool:
    """Whether this is what encoders leave that write into a pipe, where they cannot come back."""
    return size == 0 or 0x7F000000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= _ALL


def _is_chunk(data: bytes, at: int) -> bool:
    """Whether a chunk of a RIFF file begins there."""
    if at + 8 > len(data):
        return False
    name, size = struct.unpack_from("<4sI", data, at)
    return all(32 <= byte < 127 for byte in name) and at + 8 + size <= len(data)


def _with_length(data: bytes) -> bytes:
    """Let a WAV whose size was never filled in be read to its end: libsndfile takes 0 for 0."""
    place = _samples_place(data) if data[:4] in (b"RIFF", b"RIFX") else None
    if place is None or place[1] or len(data) == place[0] or _is_chunk(data, place[0]):
        return data
    return data[: place[0] - 4] + _ALL.to_bytes(4) + data[place[0] :]


def _promised_mp3(data: bytes, source: Any, where: str) -> tuple[int, list[str]]:
    """Return how many frames of samples an mp3 says that it has, or where it does not, holds.

    Without a header that says it, libsndfile guesses from the first bit rate.

    Raises:
        InputError: it breaks off, and does not say how much there should be; or libsndfile reads
            less than there is.
    """
    starts = list(_mp3_frames(data))
    if not starts:
        return source.frames, []
    first, _, samples = starts[0]
    head = data[first : first + 200]
    said = None
    for mark in (b"Xing", b"Info"):
        place = head.find(mark)
        if place > 0 and len(head) >= place + 12 and head[place + 7] & 1:
            said = int.from_bytes(head[place + 8 : place + 12])
    if head[36:40] == b"VBRI":
        said = int.from_bytes(head[50:54])
    # Its first frame then holds no samples.
    held = (len(starts) - (said is not None)) * samples
    readable = int(source.frames) if said is None else said * samples
    remarks = _mp3_remarks(data, starts, source.samplerate, where) if said is None else []
    if held > readable + 4 * samples:
        raise InputError(
            f"{where} holds {held / source.samplerate:.3f} s, of which libsndfile reads "
            f"{readable / source.samplerate:.3f} s, for its header has no length, or that of a "
            f"part; {_CONVERT}"
        )
    if said is None:
        return held, remarks
    # Of the other kind of header, libsndfile has taken away what the encoder filled up.
    return readable if head[36:40] == b"VBRI" else int(source.frames), []


def _mp3_remarks(
    data: bytes, frames: list[tuple[int, int, int]], rate_hz: int, where: str
) -> list[str]:
    """Look at what lies before, between and behind the frames of an mp3 that says no length.

    Raises:
        InputError: frames are missing there, or the last one was cut.
    """
    start, _, samples = frames[0]
    frame_s = samples / rate_hz
    byte_s = len(frames) * frame_s / sum(length for _, length, _ in frames)
    places = [(_mp3_start(data), 0, 0), *frames, (len(data), 0, 0)]
    remarks: list[str] = []
    for number, ((at, length, _), (following, _, _)) in enumerate(pairwise(places)):
        rest = data[at + length : following]
        if not rest or rest.startswith(_MP3_TAGS):
            continue
        is_last = number == len(frames)
        has_zeros = not rest.strip(b"\0")
        # Half a frame begins as a whole one does.
        is_cut = is_last and rest[:2] == data[start : start + min(2, len(rest))]
        # Zeros before the first one fill up what a tag left free.
        is_hole = has_zeros if is_last else number or not has_zeros
        at_s = number * frame_s
        if is_cut or (is_hole and len(rest) * byte_s > LOSS_S):
            raise InputError(_breaks_off(where, at_s))
        if number and not has_zeros and not remarks:
            remarks.append(f"has bytes out of place after {at_s:.3f} s: more may be missing")
    return remarks


def _mp3_start(data: bytes) -> int:
    """Return where an mp3 begins behind its tags."""
    at = 0
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        sizes = data[at + 6 : at + 10]
        at += 10 + sum(byte << shift for byte, shift in zip(sizes, (21, 14, 7, 0), strict=True))
    return at


def _mp3_frames(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Find the frames of an MPEG layer III stream: where each begins, its bytes and its samples."""
    at = _mp3_start(data)
    kind = None
    in_step = False
    while (at := at if in_step else data.find(b"\xff", at)) >= 0:
        length, samples = _mp3_frame(data, at)
        end = at + length
        is_one = length > 0 and end <= len(data)
        # Other bytes look like a frame, but rarely like two.
        if is_one and not in_step:
            is_one = end == len(data) or _mp3_frame(data, end)[0] > 0
        if is_one:
            this = (data[at + 1] & 0x1E, data[at + 2] & 0x0C)
            kind = kind or this
            is_one = this == kind
        if is_one:
            yield at, length, samples
        at = end if is_one else at + 1
        in_step = is_one


def _mp3_frame(data: bytes, at: int) -> tuple[int, int]:
    """Return the bytes and the samples of the frame of layer III that begins there; 0 of none."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return 0, 0
    version, third = data[at + 1] >> 3 & 3, data[at + 2]
    rates = _MP3_RATES_HZ.get(version, ())
    kbits = _MP3_KBITS[3 if version == 3 else 2][third >> 4]
    if not kbits or not rates or third >> 2 & 3 == 3:
        return 0, 0
    samples = 1152 if version == 3 else 576
    return samples // 8 * 1000 * kbits // rates[third >> 2 & 3] + (third >> 1 & 1), samples


def _promised_ogg(data: bytes, source: Any, where: str) -> tuple[int, list[str]]:
    """Return how many frames the last page says that there are; and whether it is marked as such.

    A page says how long it all is up to its own end, and only the last one how long the whole is.

    Raises:
        InputError: it ends within a page that is not its last; or another stream follows.
    """
    opus = data.find(b"OpusHead", 0, 64)
    # Opus counts at 48 kHz, whatever it was recorded at, and from before the beginning.
    rate = 48_000 if opus > 0 else source.samplerate
    origin = int.from_bytes(data[opus + 10 : opus + 12], "little") if opus > 0 else 0
    at, last, ended = 0, origin, False
    while (at := data.find(b"OggS", at)) >= 0:
        head = data[at : at + 27]
        granule = int.from_bytes(head[6:14], "little", signed=True)
        parts = data[at + 27 : at + 27 + head[26]] if len(head) == 27 else b""
        at += 27 + len(parts) + sum(parts)
        is_whole = len(head) == 27 and len(parts) == head[26] and at <= len(data)
        if ended:
            if is_whole and head[5] & 2:
                raise InputError(_several(where))
            continue
        if not is_whole and (len(head) < 14 or granule < 0 or not head[5] & 4):
            raise InputError(_breaks_off(where, source.frames / source.samplerate))
        if last == origin and granule > origin + LONGEST_PAGE_S * rate:
            origin = granule
        last = max(last, granule)
        ended = bool(head[5] & 4)
    total = max(int(source.frames), round((last - origin) / rate * source.samplerate))
    return total, [] if ended else ["has no mark at its end: more may have followed"]
