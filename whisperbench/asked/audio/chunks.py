"""Where the samples of a WAV, W64, AIFF or AU stand, and how many bytes its header says."""

from __future__ import annotations

import struct

_ALL = 0xFFFFFFFF
"""A size that says: until the end."""

CHUNKS = {
    # First bytes: a chunk's name and size, where the first one is, and what holds the samples.
    b"RIFF": ("<4sI", 12, b"data"),
    b"RIFX": (">4sI", 12, b"data"),
    b"RF64": ("<4sI", 12, b"data"),
    b"FORM": (">4sI", 12, b"SSND"),
    b"riff": ("<4s12xQ", 40, b"data"),
}


def samples_place(data: bytes) -> tuple[int, int] | None:
    """Return where the samples of a WAV, W64, AIFF or AU begin, and how many bytes it says.

    None where they are not found.
    """
    if data[:4] in (b".snd", b"dns.") and len(data) >= 12:
        start, size = struct.unpack_from("<II" if data[:4] == b"dns." else ">II", data, 4)
        return start, size
    form, at, wanted = CHUNKS.get(data[:4], ("<4sI", len(data), b""))
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


def says_nothing(size: int) -> bool:
    """Whether this is what encoders leave that write into a pipe, where they cannot come back."""
    return size == 0 or 0x7F000000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= _ALL


def is_chunk(data: bytes, at: int) -> bool:
    """Whether a chunk of a RIFF file begins there."""
    if at + 8 > len(data):
        return False
    name, size = struct.unpack_from("<4sI", data, at)
    return all(32 <= byte < 127 for byte in name) and at + 8 + size <= len(data)


def with_length(data: bytes) -> bytes:
    """Let a WAV whose size was never filled in be read to its end: libsndfile takes 0 for 0."""
    place = samples_place(data) if data[:4] in (b"RIFF", b"RIFX") else None
    if place is None or place[1] or len(data) == place[0] or is_chunk(data, place[0]):
        return data
    return data[: place[0] - 4] + _ALL.to_bytes(4) + data[place[0] :]
