"""How long an Ogg file is, by what its pages say."""

from __future__ import annotations

from typing import Any

from whisperbench.asked.audio.faults import breaks_off, several
from whisperbench.errors import InputError

LONGEST_PAGE_S = 60
"""What a page of Ogg holds no more of. One that ends later was cut out of a stream, as of a radio,
that had counted from its own beginning."""


def promised_ogg(data: bytes, source: Any, where: str) -> tuple[int, list[str]]:
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
                raise InputError(several(where))
            continue
        if not is_whole and (len(head) < 14 or granule < 0 or not head[5] & 4):
            raise InputError(breaks_off(where, source.frames / source.samplerate))
        if last == origin and granule > origin + LONGEST_PAGE_S * rate:
            origin = granule
        last = max(last, granule)
        ended = bool(head[5] & 4)
    total = max(int(source.frames), round((last - origin) / rate * source.samplerate))
    return total, [] if ended else ["has no mark at its end: more may have followed"]
