"""Fresh processes: forked from a server that has the imports for a GPU, spawned for a CPU.

Importing torch and transformers takes 5 to 10 s, and a cell's memory must be that of a process
of its own. So one server process (multiprocessing's forkserver) imports them once, touches no
device, and is forked for every cell: the child has the imports and nothing else.

That holds for a GPU's memory. A forked process maps the libraries' pages without having touched
them, so that its resident memory on the host is too low (by 70 MiB for Whisper tiny): cells on the
CPU are started from nothing.

Either takes its 5 to 10 s while this process imports the same for itself, where `make_ready` was
told how many are to come: the server is started early, and a process that is spawned waits with its
imports done for what it is to run.

bitsandbytes is not among them: importing it initialises CUDA, and a process forked after that
cannot use a GPU. Each child imports it itself, as part of loading. Where a package does so that
transformers imports wherever it is installed, as torchao 0.18, a GPU's cells are spawned too.
Environment variables are those of the moment when the server was started.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from whisperbench.measure.reach import recording, run_recorded

PRELOAD = (
    "torch",
    "transformers",
    "transformers.models.auto.processing_auto",
    "transformers.models.whisper.feature_extraction_whisper",
    "transformers.models.whisper.modeling_whisper",
    "transformers.models.whisper.processing_whisper",
    "transformers.models.whisper.tokenization_whisper",
    "msgspec",
    "soundfile",
    "soxr",
)
"""Modules that every cell needs and that touch no device when they are imported."""


WAITING = 2
"""Processes that may wait at a time: each holds some 400 MiB."""


def preload() -> None:
    """Import in this process what every cell needs, before its time counts."""
    for name in PRELOAD:
        importlib.import_module(name)


def start_process(
    target: Callable[..., None], *arguments: Any, forked: bool = True
) -> tuple[BaseProcess, Connection[Any, Any]]:
    """Start a fresh process, or give one that waits its work.

    Args:
        target: a function of a module; called with a connection, then `arguments`.
        arguments: are pickled.
        forked: whether it has the imports already. Otherwise, and where a forkserver is of no use,
            it imports what it needs itself.

    Returns:
        The process, and the connection to it.
    """
    if recording():  # what a server has imported for it, nobody would have seen
        target, arguments, forked = run_recorded, (target, *arguments), False
    forked = forked and _can_fork()
    if not forked and not recording() and (waiting := _take_waiting()) is not None:
        process, connection = waiting
        connection.send((target, arguments))
        return process, connection
    return _start(target, arguments, forked=forked)


@functools.cache
def _can_fork() -> bool:
    """Whether there is a forkserver (not on Windows), whose children can use a GPU."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return False
    process, connection = _start(_tell_bad_fork, (), forked=True)
    try:
        return not connection.recv()
    except EOFError:  # what is wrong with the server, the next process tells
        return True
    finally:
        process.join()


def _tell_bad_fork(connection: Connection[Any, Any]) -> None:
    """Say whether CUDA was initialised before this process was forked."""
    from whisperbench.devices.cuda import is_in_bad_fork

    connection.send(is_in_bad_fork())


def _start(
    target: Callable[..., None], arguments: tuple[Any, ...], *, forked: bool
) -> tuple[BaseProcess, Connection[Any, Any]]:
    context: Any = multiprocessing.get_context("forkserver" if forked else "spawn")
    if forked:
        context.set_forkserver_preload(list(PRELOAD))
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
    with _no_main_module():
        process.start()
    theirs.close()
    return process, ours


_waiting: list[tuple[BaseProcess, Connection[Any, Any]]] = []
"""Processes that have nothing to do yet. Each says once that it has its imports."""

_to_come = [0]
"""How many more will be wanted."""


def make_ready(count: int, *, forked: bool = True) -> None:
    """Begin the imports of fresh processes that are to come, beside whatever this process does.

    Args:
        count: how many will be started. Two at most wait at a time.
        forked: as `start_process` takes it.
    """
    if recording() or count == 0:
        return
    _to_come[0] = count  # a GPU's too, where they turn out to be spawned
    if not forked:
        _start_waiting()
    elif "forkserver" in multiprocessing.get_all_start_methods():
        from multiprocessing import forkserver

        multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOAD))
        with _no_main_module():
            forkserver.ensure_running()


def dismiss() -> None:
    """End the processes that wait for work which does not come."""
    _to_come[0] = 0
    while _waiting:
        process, connection = _waiting.pop()
        connection.close()
        process.kill()
        process.join()


def _start_waiting() -> None:
    while _to_come[0] and len(_waiting) < WAITING:
        _to_come[0] -= 1
        _waiting.append(_start(_wait_for_work, (), forked=False))


def _take_waiting() -> tuple[BaseProcess, Connection[Any, Any]] | None:
    """Return one that waits; None where there is none.

    No other is at its imports then: they would keep a probe from looking. So where none is left,
    all of the next are started, and waited for.
    """
    if not _waiting:
        _start_waiting()
    ready = [each for each in _waiting if each in _ready or _has_imports(each[1])]
    _waiting[:] = ready
    _ready[:] = ready
    while _waiting:
        process, connection = _waiting.pop(0)
        if process.is_alive():
            return process, connection
        connection.close()
    return None


_ready: list[tuple[BaseProcess, Connection[Any, Any]]] = []
"""Those of `_waiting` that are known to have their imports."""


def _has_imports(connection: Connection[Any, Any]) -> bool:
    """Wait until a process has its imports; False where it has died over them."""
    try:
        connection.recv()
    except (EOFError, OSError):
        return False
    return True


def _wait_for_work(connection: Connection[Any, Any]) -> None:
    """Import what every cell needs, then do what is sent."""
    preload()
    try:
        connection.send(None)
        target, arguments = connection.recv()
    except (EOFError, OSError):
        return  # nobody wants it any more
    target(connection, *arguments)
    # Python's own end would then take all modules down: torch and transformers need 1.5 s for that.
    atexit._run_exitfuncs()  # noqa: SLF001 - it has no other name
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, or nobody reads it
            stream.flush()
    os._exit(0)


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Keep multiprocessing from running this program's main script in the child.

    It would import pytest there, or not, depending on how pytest was started.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
