"""What a measuring process and `whisperbench ab` tell each other: lines of JSON through two pipes.

A process says what it is about to do and waits for the answer, so that at any time at most one of
the two computes.
"""

from __future__ import annotations

import os
import select
from typing import Literal, TypeVar

import msgspec

Part = Literal["counts", "cost", "reach", "wall"]
"""`counts`: all but wall time; one execution decides. `cost`: of these what is counted exactly.
`wall`: wall time of loaded models. `reach`: of both, what loads models here; for a run that keeps
no figure."""

PART_VARIABLE = "WHISPERBENCH_PART"
"""Environment variable of a process that runs one part of the suite alone."""

TURNS_VARIABLE = "WHISPERBENCH_TURNS"
"""Environment variable of a process that takes turns: the descriptors that it reads and writes."""


class _Message(msgspec.Struct, frozen=True, tag_field="say"):
    """What all messages have in common."""


class Begin(_Message, frozen=True, tag="begin"):
    """First of all: it is this pair's turn.

    Until then a process imports what it needs, and touches no device.
    """

    left_out: tuple[str, ...] = ()
    """Ids of benchmarks that it need not measure any more."""


class Collected(_Message, frozen=True, tag="collected"):
    """The answer: what the process is going to time."""

    threads: int
    """torch's, which is how many cores the host's part of an op uses."""
    on_host: bool
    """Whether the device is the host itself."""
    warmup_rounds: int
    """Of each benchmark."""
    benchmarks: tuple[str, ...]
    """Ids of its tests, in order."""


class Began(_Message, frozen=True, tag="began"):
    """A benchmark is loaded and its output checked: waits for `Start`."""

    benchmark: str


class Ready(_Message, frozen=True, tag="ready"):
    """The round before is over, if there was one: waits for `Go`."""

    took_s: float | None = None
    """Seconds of that round; None before the first one."""


class Ended(_Message, frozen=True, tag="ended"):
    """The last round is over: waits for `GoOn`, so that nothing computes beside the partner's."""


class Start(_Message, frozen=True, tag="start"):
    """Rounds begin."""

    cpus: tuple[int, ...]
    """Numbers of those that both processes are pinned to now."""
    partner: int
    """The partner's process id."""


class Alone(_Message, frozen=True, tag="alone"):
    """The partner does not measure this benchmark."""

    why: str


class Go(_Message, frozen=True, tag="go"):
    """It is your turn."""

    settling: bool = False
    """Whether the round is one more warm-up round."""


class Enough(_Message, frozen=True, tag="enough"):
    """Both have as many rounds as tell them apart, or as there is time for."""


class GoOn(_Message, frozen=True, tag="go on"):
    """The partner's rounds are over, too."""


FromProcess = Collected | Began | Ready | Ended
ToProcess = Begin | Start | Alone | Go | Enough | GoOn

T = TypeVar("T")


class Channel:
    """One end of two pipes."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._rest = b""

    def send(self, message: FromProcess | ToProcess) -> None:
        """Send a message.

        Raises:
            BrokenPipeError: the other end is gone.
        """
        data = msgspec.json.encode(message) + b"\n"
        while data:
            data = data[os.write(self._write_fd, data) :]

    def receive(self, kind: type[T], timeout_s: float | None = None) -> T:
        """Wait for a message.

        Args:
            kind: what it can be.
            timeout_s: how long to wait for each part of it; None for as long as it takes.

        Raises:
            EOFError: the other end is gone.
            TimeoutError: it said nothing.
            msgspec.DecodeError: it said what is no message.
        """
        while b"\n" not in self._rest:
            if not select.select([self._read_fd], [], [], timeout_s)[0]:
                raise TimeoutError
            part = os.read(self._read_fd, 65536)
            if not part:
                raise EOFError
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return msgspec.json.decode(line, type=kind)

    def close(self) -> None:
        """Close both pipes."""
        os.close(self._read_fd)
        os.close(self._write_fd)


def open_channel() -> tuple[Channel, tuple[int, int]]:
    """Make a channel; return our end, and the descriptors of the other one."""
    from_us, to_us = os.pipe(), os.pipe()
    return Channel(to_us[0], from_us[1]), (from_us[0], to_us[1])
