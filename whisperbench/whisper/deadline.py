"""An end for calls that may not end by themselves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from whisperbench.errors import InvalidMeasurementError

AGAIN_S = 5.0
"""How long after an alarm the next one comes: an error that is raised within a callback is lost."""


@contextmanager
def ended_after(seconds: float, what: str) -> Iterator[None]:
    """End a block with an error where it takes longer than it may.

    By an alarm, which costs microseconds and reaches the block wherever Python goes on. Windows has
    none, nor have other threads than the first: there the block is not bounded.

    Args:
        seconds: how long it may take.
        what: the block, as the subject of a sentence.

    Raises:
        InvalidMeasurementError: it took longer.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise InvalidMeasurementError(
            f"{what} did not end within {seconds:.0f} s, ten times what so many tokens take, and "
            "was ended: the model or this transformers goes round in circles; try another clip, or "
            "report it with the clip"
        )

    before = signal.signal(signal.SIGALRM, end)
    # Who started this process may have left alarms blocked.
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    left_s, every_s = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left_s, every_s)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGALRM, before)
