"""Made-up cells for the memory pass: what a fresh process runs in place of a real one.

They speak the messages of `measure.memory.watched` and hold made-up memory of a made-up card, which
a test reads through a scripted device. pytest is not imported: it would be, in every child.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.scripted import MIB
from whisperbench.devices.accelerator import AllocatorLevels
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.fresh import PRELOAD
from whisperbench.measure.memory.plausibility import MIN_POLLS
from whisperbench.measure.memory.watched import (
    PHASES,
    Done,
    Failed,
    Mark,
    Phase,
    run_cell,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path
    from typing import Any, TypeAlias

    Connected: TypeAlias = Connection[Any, Any]
    Ending: TypeAlias = Callable[[Connected, "Play"], None]

HANG_S = 60.0
"""How long a process stays that hangs, should nobody end it."""

ORPHAN_S = 2.0
"""How long a process stays whose parent was killed."""

GONE = len(PHASES) + 1
"""Place of a cell that has left the card, among the phases."""


class Card:
    """What a cell's process holds of a card: the process writes it, and a test reads it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        self._held = context.RawValue("q", 0)
        self._pid = context.RawValue("q", 0)
        self._place = context.RawValue("q", 0)
        self._looks = context.RawValue("q", 0)

    @property
    def held(self) -> int:
        """Bytes that the process holds."""
        return int(self._held.value)

    @property
    def pid(self) -> int:
        """The process's id; 0 before it has begun."""
        return int(self._pid.value)

    @property
    def place(self) -> int:
        """Index of the phase that it is in, or `GONE`."""
        return int(self._place.value)

    def is_in(self, phase: Phase) -> bool:
        """Whether the process is in this phase, and has begun it."""
        return bool(self.pid) and self.place == PHASES.index(phase)

    def looked(self) -> None:
        """Take note that the probe has looked at the processes."""
        self._looks.value += 1

    def begin(self, place: int) -> None:
        """Say, from the process, that it begins a phase."""
        self._place.value = place
        self._pid.value = os.getpid()

    def hold(self, held_mib: float, *, seen: bool) -> None:
        """Hold so much, from the process, and stay until as many polls as count have seen it."""
        self._held.value = round(held_mib * MIB)
        looks = self._looks.value
        while seen and self._looks.value < looks + MIN_POLLS + 1:  # one may be under way
            time.sleep(0.0005)

    def leave(self) -> None:
        """Give everything back, as a driver does for a process that ends."""
        self._held.value = 0
        self._place.value = GONE


class Step(NamedTuple):
    """A phase of a made-up cell."""

    peak_mib: float = 0.0
    """The most that it holds while the phase lasts."""
    left_mib: float = 0.0
    """What it still holds at the end."""
    levels: AllocatorLevels | None = None
    """What torch is made to say."""
    seen: bool = True
    """Whether the cell waits until the probe has seen its peak."""


class Play(CellRequest, frozen=True, kw_only=True):
    """A request for a made-up cell."""

    card: Card
    steps: tuple[Step, ...]
    """Of the phases, in their order; the cell ends after the last of them, where there are fewer
    than phases in the middle of the next."""
    ending: Ending
    """How it ends: a function of this module or a `functools.partial` of one."""

    def __str__(self) -> str:
        """Return what messages are to call it."""
        return "made-up in int8"


def play(connection: Connected, request: Play) -> None:
    """Go through the steps, then end."""
    card = request.card
    for place, step in enumerate(request.steps):
        card.begin(place)
        card.hold(step.peak_mib, seen=step.seen)
        card.hold(step.left_mib, seen=False)
        connection.send(Mark(phase=PHASES[place], at_s=time.monotonic(), levels=step.levels))
        connection.recv()
    card.begin(len(request.steps))
    request.ending(connection, request)


# Endings.


def say(last: Done | Failed, connection: Connected, request: Play) -> None:
    """Say the last word, wait for the answer, leave."""
    connection.send(last)
    connection.recv()
    request.card.leave()


def say_and_crash(last: Done | Failed, connection: Connected, request: Play) -> None:
    """Say the last word, and crash at exit, as libraries do."""
    say(last, connection, request)
    os.kill(os.getpid(), signal.SIGSEGV)


def say_and_stay(last: Done | Failed, connection: Connected, request: Play) -> None:
    """Say the last word, and do not exit."""
    say(last, connection, request)
    time.sleep(HANG_S)


def overfill(held_mib: float, last: Failed, connection: Connected, request: Play) -> None:
    """Take more, until it is too much; what was taken until then is kept."""
    request.card.hold(held_mib, seen=True)
    say(last, connection, request)


def leave_something(held_mib: float, last: Done, connection: Connected, request: Play) -> None:
    """Say the last word, and leave a card that is not as it was."""
    say(last, connection, request)
    request.card.hold(held_mib, seen=False)


def raise_error(connection: Connected, request: Play) -> None:  # noqa: ARG001 - as the others
    """Fail with an error that nobody has thought of."""
    raise KeyError("first\nsecond")


def exit_with(code: int, connection: Connected, request: Play) -> None:  # noqa: ARG001
    """Exit at once."""
    os._exit(code)


def signal_itself(number: int, connection: Connected, request: Play) -> None:  # noqa: ARG001
    """End by a signal, without a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)
    time.sleep(HANG_S)


def hang(connection: Connected, request: Play) -> None:  # noqa: ARG001
    """Say nothing any more."""
    time.sleep(HANG_S)


def hang_up(connection: Connected, request: Play) -> None:  # noqa: ARG001
    """Close the connection and live on."""
    connection.close()
    time.sleep(HANG_S)


def interrupt(pid: int, connection: Connected, request: Play) -> None:
    """Press Ctrl-C for another process."""
    os.kill(pid, signal.SIGINT)
    hang(connection, request)


def mark_and_die(connection: Connected, request: Play) -> None:
    """End a phase, and be killed before the answer."""
    connection.send(Mark(phase=PHASES[request.card.place], at_s=time.monotonic(), levels=None))
    os.kill(os.getpid(), signal.SIGKILL)


def leave_an_orphan(connection: Connected, request: Play) -> None:
    """Be killed, and leave a process of one's own that holds the connection open for a while."""
    parent = os.getpid()
    if os.fork() == 0:
        while os.getppid() == parent:
            time.sleep(0.01)
        time.sleep(ORPHAN_S)
        request.card.leave()
        os._exit(0)
    signal_itself(signal.SIGKILL, connection, request)


# Other targets.


def tell_start(connection: Connected) -> None:
    """Say what a fresh process has imported, what is its main module, and whether CUDA is used."""
    torch = sys.modules.get("torch")
    main = getattr(sys.modules["__main__"], "__file__", None)
    connection.send((os.getpid(), os.getppid(), frozenset(sys.modules), main))
    connection.send(torch is not None and torch.cuda.is_initialized())


def end_with(connection: Connected, path: Path) -> None:
    """Print something, and leave a file to be made at exit."""
    atexit.register(path.touch)
    print("said", end="")  # noqa: T201 - which stays in the buffer until it is flushed
    connection.send("done")


def die(connection: Connected, request: CellRequest) -> None:  # noqa: ARG001 - as the others
    """Be killed at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def run_with_little_memory(spare_mib: int, connection: Connected, request: CellRequest) -> None:
    """Run a real cell with a limit on its address space, which its imports fit into."""
    for name in PRELOAD:
        importlib.import_module(name)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - nothing to import
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + spare_mib * MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    run_cell(connection, request)


def build_dummy(connection: Connected, cache: Path) -> None:
    """Build dummy:tiny once told to, and say how far that is."""
    from whisperbench.whisper.dummy import ensure_dummy

    connection.recv()
    ensure_dummy("tiny", cache, on_build=lambda: connection.send("building"))
    connection.send("done")
