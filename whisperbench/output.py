"""Text on its way out: what cannot be encoded is written otherwise, and no write ends the work."""

from __future__ import annotations

import codecs
import io
import select
import sys
from typing import Any, TextIO

_PLAINER = {"─": "-", "×": "x", "±": "+-", "…": "...", "█": "#", "░": "."}
"""What tables are written with, for encodings that lack it."""

_HANDLER = "whisperbench.legible"


def legible(text: str, encoding: str | None = None) -> str:
    r"""Write what an encoding lacks with signs that it has, or with JSON's escapes.

    >>> legible("1.5 × Ω", "ascii")
    '1.5 x \\u03a9'

    Args:
        text: of one line or of many.
        encoding: standard output's by default.
    """
    encoding = encoding or getattr(sys.__stdout__, "encoding", None) or "utf-8"
    return text.encode(encoding, _HANDLER).decode(encoding)


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAINER.get(sign) or _escaped(sign) for sign in lacking), error.end


def _escaped(sign: str) -> str:
    digits = sign.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{digits[at : at + 4]}" for at in range(0, len(digits), 4))


codecs.register_error(_HANDLER, _replacement)


class Output(io.TextIOWrapper):
    """Standard output or standard error, of which no write fails.

    What cannot be encoded is written otherwise. From the first write on that the system refuses all
    is dropped: work that takes hours is not lost for want of a reader, and its end tells of it.
    """

    def __init__(self, stream: TextIO) -> None:
        """Take a stream's place: it must not be written to any more."""
        stream.flush()
        # Unbuffered ones (python -u) are raw themselves.
        self._sink = _Sink(getattr(stream.buffer, "raw", stream.buffer))
        super().__init__(
            io.BufferedWriter(self._sink),
            encoding=stream.encoding,
            errors=_HANDLER,
            line_buffering=bool(stream.line_buffering),
        )

    @property
    def failure(self) -> OSError | None:
        """Why something was not written, if so; known for sure once it was flushed."""
        return self._sink.failure


class _Sink(io.RawIOBase):
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def write(self, data: Any) -> int:
        if self.failure is None:
            try:
                # A pipe that does not block, as some runners have, may be full for the moment.
                while (written := self._stream.write(data)) is None:
                    select.select([], [self._stream], [])
            except OSError as error:
                self.failure = error
            else:
                return int(written)
        return len(data)
