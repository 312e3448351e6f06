"""Files of audio: what they hold, read to the end, against what they say that they hold.

libsndfile decodes. Of a file that was cut off it reads what is left, without a word: what a file
says of its length is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from whisperbench.asked.audio.chunks import (
    CHUNKS,
    is_chunk,
    samples_place,
    says_nothing,
    with_length,
)
from whisperbench.asked.audio.faults import CONVERT, FETCH, LOSS_S, breaks_off, several
from whisperbench.asked.audio.levels import Levels
from whisperbench.asked.audio.mp3 import promised_mp3
from whisperbench.asked.audio.ogg import promised_ogg
from whisperbench.errors import InputError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLACK_S = 0.1
"""How far from the end of its file a part may end that goes to the end: tools write lengths with
one decimal, and some round them up, as 3.935 s to 4.0. What is lost or won is no word."""

MP3_PADDING_S = 0.3
"""How much longer an mp3 is to tools that keep what its encoder filled up: some 2,300 samples."""

RATES_HZ = (1_000, 768_000)
"""Between these lie sample rates. Others come from damaged headers, and would fill the memory."""

_BLOCK = 1 << 14
_UNKNOWN = 1 << 62
"""Of a FLAC stream whose length nobody wrote down, libsndfile says that it has more frames."""

_SAYING = ("AIFF", "AU", "CAF", "FLAC", "MP3", "NIST", "OGG", "RF64", "W64", "WAV", "WAVEX")
"""Formats of which it is known how much a file says that it holds. libsndfile itself refuses a CAF
that was cut off; of Creative Voice, Ensoniq, Akai and others it reads what is left."""

_SPHERE_COUNT = re.compile(rb"\nsample_count -i (\d{1,15})\s")
"""How many frames a NIST SPHERE file has."""


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
    data = with_length(data)
    source = _open(data, where)
    rate = source.samplerate
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise InputError(f"{where} says that it has {rate} samples a second; {FETCH}")
    total, remarks = _promised(data, source, where)
    start, stop = _place(total, source, where, offset_s, duration_s)
    whole = not start and stop >= total - round(SLACK_S * rate)
    stop = total if whole else stop
    mono, levels, held = _read(source, where, start, stop)
    if stop - held > LOSS_S * rate:
        raise InputError(
            f"{where} is cut off or damaged: {held / rate:.3f} s of its {total / rate:.3f} s can "
            f"be read; {FETCH}, or convert what there is to flac or wav with ffmpeg"
        )
    if not len(mono):
        raise InputError(f"{where} holds no audio (zero length); {FETCH}")
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
        remedy = CONVERT
        if data[:4] in (*CHUNKS, b"fLaC", b"OggS", b"caff", b"NIST", b".snd"):
            remedy = f"{FETCH}, or {remedy}"
        raise InputError(f"{where} is not a readable wav, flac or mp3: {why}; {remedy}") from error
    if source.format not in _SAYING:
        raise InputError(
            f"{where} is of the format {source.format}, in which a file that was cut off is not "
            f"known from a whole one; {CONVERT}"
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
        return promised_mp3(data, source, where)
    if source.format == "OGG":
        return promised_ogg(data, source, where)
    if source.format == "FLAC":
        return (source.frames if source.frames < _UNKNOWN else _counted(data, where)), []
    if source.format == "NIST" and (count := _SPHERE_COUNT.search(data, 0, 1024)):
        frames = int(count[1])
        return frames, _behind((source.frames - frames) / source.samplerate)
    place = samples_place(data)
    if place is None:
        return source.frames, []
    start, size = place
    there = len(data) - start
    if says_nothing(size):
        return source.frames, []
    if size > there > 0:
        return source.frames * size // there, []
    behind_s = (there - size) * source.frames / max(1, size) / source.samplerate
    ends_there = data[:4] in CHUNKS and is_chunk(data, start + size + size % 2)
    return source.frames, [] if ends_there else _behind(behind_s)


def _behind(seconds: float) -> list[str]:
    """Say that there is more than a header says, where it is worth a word."""
    return [f"goes on for {seconds:.3f} s behind the end of its header"] if seconds > LOSS_S else []


def _require_one(data: bytes, where: str) -> None:
    """Refuse what was made of several files as by cat, but for mp3s, which may be."""
    marks: tuple[bytes, ...] = ()
    start = 4
    if data[:4] == b"fLaC":
        marks = (b"fLaC\0\0\0\x22",)
    elif (place := samples_place(data)) is not None:
        marks, start = (b"WAVEfmt ", b"WAVEds64"), place[0]
    if any(data.find(mark, start) >= 0 for mark in marks):
        raise InputError(several(where))


def _counted(data: bytes, where: str) -> int:
    """Read a stream whose length nobody wrote down to its end."""
    source = _open(data, where)
    held = 0
    try:
        for frames in _blocks(source, _UNKNOWN):
            held += len(frames)
    except soundfile.LibsndfileError as error:
        raise InputError(breaks_off(where, held / source.samplerate)) from error
    return held
