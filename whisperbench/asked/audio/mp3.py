"""How long an mp3 is: by its header, or by its frames."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from whisperbench.asked.audio.faults import CONVERT, LOSS_S, breaks_off
from whisperbench.errors import InputError

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


def promised_mp3(data: bytes, source: Any, where: str) -> tuple[int, list[str]]:
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
            f"part; {CONVERT}"
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
            raise InputError(breaks_off(where, at_s))
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
