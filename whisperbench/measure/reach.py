"""Which Python functions a process enters: imports, loading and measured cells alike.

`record_from_here` switches it on as early in the process as it is called. Python 3.12 and later
tell the first entry of each function by `sys.monitoring`, at next to no cost; Python 3.11 tells
every call by `sys.settrace`, which takes two to four times as long. So no figure of such a process
is to be judged.

What C code calls is seen as well: it is Python code that is entered. What is not entered and counts
all the same is source that another compiler reads: the functions that torch and Triton compile are
taken down where they are handed over (`HANDED_OVER`).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import msgspec

from whisperbench.errors import InputError, InvalidMeasurementError, one_line
from whisperbench.measure.lookups import ASKED, LOOKED_FOR, TRIED, Lookups
from whisperbench.results.reach import MODULE, REACH_SCHEMA, Entered, merged
from whisperbench.results.run_file import write_whole

VARIABLE = "WHISPERBENCH_REACH"
"""Environment variable that switches it on: the path of the file to write."""

HANDED_OVER = {
    # Of torch.jit.script, for each function and method that it compiles.
    ("torch/jit/frontend.py", "get_jit_def"): "fn",
    # Of torch.compile, for each function that it compiles or inlines.
    ("torch/_dynamo/symbolic_convert.py", "InstructionTranslatorBase.__init__"): "f_code",
    ("triton/runtime/jit.py", "JITFunction.__init__"): "fn",
    ("triton/runtime/jit.py", "JITCallable.__init__"): "fn",
}
"""Functions by file and name, and their argument that is a function whose source they compile."""

_TABLES = {"compiled": HANDED_OVER, "asked": ASKED, "tried": TRIED, "looked for": LOOKED_FOR}
"""Functions whose arguments are looked at, at every call."""

_TOOL = 4
"""The place in sys.monitoring: not one that a debugger, coverage or a profiler has."""


class Recording:
    """Takes down what this process enters, on all of its threads, until it is stopped."""

    def __init__(self) -> None:
        # By id, since code objects hash by all that they hold. The code keeps its id its own.
        self._entered: dict[int, CodeType] = {}
        self._telling: dict[int, tuple[str, str]] = {}
        self._unseen: list[str] = []
        self._before = _loaded_files()
        if threading.active_count() > 1:
            self._unseen.append("threads ran before anything was recorded")
        self._lookups = Lookups()
        self._stop = self._monitor() if sys.version_info >= (3, 12) else self._trace()

    def stop(self) -> Entered:
        """Stop, and return what was entered."""
        self._stop()
        self._stop = _nothing
        self._lookups.stop()
        real: dict[str, str] = {}
        found: dict[str, set[str]] = {}
        for code in list(self._entered.values()):
            file = code.co_filename
            if file not in real:
                # Generated code and what is built into the interpreter have no file.
                real[file] = "" if file[:1] == "<" else os.path.realpath(file)
            if real[file]:
                found.setdefault(real[file], set()).add(function_of(code.co_qualname))
        opened, libraries = self._lookups.opened()
        return Entered(
            functions={file: tuple(sorted(found[file])) for file in sorted(found)},
            before=self._before,
            asked=tuple(sorted(self._lookups.asked)),
            tried=tuple(sorted(self._lookups.tried)),
            opened=opened,
            listed=self._lookups.listed(),
            libraries=libraries,
            unseen=tuple(dict.fromkeys(self._unseen)),
        )

    def _take_down(self, code: CodeType) -> bool:
        """Take down a function; whether its arguments are to be looked at, at every call."""
        self._entered[id(code)] = code
        place = ("/".join(code.co_filename.replace(os.sep, "/").split("/")[-3:]), code.co_qualname)
        for kind, rows in _TABLES.items():
            for (file, name), argument in rows.items():
                if name == place[1] and place[0].endswith(file):
                    self._telling[id(code)] = kind, argument
        return id(code) in self._telling

    def _look_at(self, frame: FrameType) -> None:
        """Look at an argument that names a package, module or file, or is a function."""
        kind, argument = self._telling[id(frame.f_code)]
        value: Any = frame.f_locals.get(argument)
        if kind != "compiled":
            self._lookups.look_at(kind, value, frame)
            return
        code = getattr(value, "__code__", value)
        if isinstance(code, CodeType):
            self._entered[id(code)] = code
        else:
            name = frame.f_code.co_qualname
            self._unseen.append(f"{name} compiled something that is no Python function")

    def _trace(self) -> Callable[[], None]:
        """Switch on by sys.settrace; return what switches it off."""
        entered, telling, switch = self._entered, self._telling, sys.settrace

        def tell(frame: FrameType, _event: str, _arg: object) -> None:
            code = frame.f_code
            if (id(code) not in entered and self._take_down(code)) or id(code) in telling:
                self._look_at(frame)

        def keep(other: Any) -> None:
            # pytest-benchmark switches tracing off while it measures, and on again.
            if other is tell:  # as of a new thread
                switch(tell)
            elif other is not None:
                self._unseen.append("a debugger or coverage has taken sys.settrace")
                switch(other)

        def stop() -> None:
            sys.settrace = switch
            if sys.gettrace() is not tell:
                self._unseen.append("sys.settrace was switched off before the run's end")
            switch(None)
            threading.settrace(None)  # type: ignore[arg-type,unused-ignore]

        sys.settrace = keep
        threading.settrace(tell)
        switch(tell)
        return stop

    def _monitor(self) -> Callable[[], None]:
        """Switch on by sys.monitoring; return what switches it off.

        Raises:
            InputError: its place is taken.
        """
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        start = monitoring.events.PY_START

        def tell(code: CodeType, _offset: int) -> object:
            if id(code) in self._telling or self._take_down(code):
                self._look_at(sys._getframe(1))  # noqa: SLF001 - the function that is entered
                return None
            return monitoring.DISABLE

        def stop() -> None:
            monitoring.set_events(_TOOL, 0)
            monitoring.register_callback(_TOOL, start, None)
            monitoring.free_tool_id(_TOOL)

        try:
            monitoring.use_tool_id(_TOOL, "whisperbench reach")
        except ValueError as error:
            raise InputError(
                f"{VARIABLE}: another tool has place {_TOOL} of sys.monitoring; run without it"
            ) from error
        monitoring.restart_events()  # what an earlier recording has seen is to be told again
        monitoring.register_callback(_TOOL, start, tell)
        monitoring.set_events(_TOOL, start)
        return stop


def function_of(qualified: str) -> str:
    """Name the function that a code object belongs to: what a lambda stands in, and the like.

    >>> function_of("Model.forward.<locals>.<lambda>.<locals>.<listcomp>")
    'Model.forward'
    >>> function_of("<genexpr>")
    '<module>'
    >>> function_of("wrap.<locals>.inner")
    'wrap.<locals>.inner'
    """
    kept: list[str] = []
    for part in qualified.split("."):
        if part[:1] == "<" and part != "<locals>":
            break
        kept.append(part)
    while kept and kept[-1] == "<locals>":
        kept.pop()
    return ".".join(kept) or MODULE


def _nothing() -> None:
    """Do nothing."""


def _loaded_files() -> tuple[str, ...]:
    """Return the files of the modules that are imported already."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return tuple(sorted({os.path.realpath(file) for file in files if isinstance(file, str)}))


_recording: list[Recording] = []
"""This process's, while it is on."""


def record_from_here() -> bool:
    """Begin to record where `VARIABLE` asks for it; whether it does. A second time does nothing."""
    if not os.environ.get(VARIABLE):
        return False
    if not _recording:
        _recording.append(Recording())
    return True


def recording() -> bool:
    """Whether this process records."""
    return bool(_recording)


def write_entered() -> Entered | None:
    """Stop recording, and write the file with what fresh processes of this one have entered too.

    Returns:
        What was written; None where nothing was recorded.

    Raises:
        InputError: it cannot be written.
    """
    if not _recording:
        return None
    entered = _recording.pop().stop()
    path = Path(os.environ[VARIABLE])
    try:
        for child in sorted(path.parent.glob(f"{path.name}.[0-9]*")):
            entered = merged(entered, read_entered(child))
            child.unlink()
        write_whole(path, msgspec.json.encode(entered))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error.strerror)}") from error
    return entered


@contextmanager
def recorded_child() -> Iterator[None]:
    """Record in a fresh process, for the process that started it, where `VARIABLE` asks for it.

    A process that is killed leaves word that it had not said what it entered.
    """
    if not record_from_here():
        yield
        return
    path = Path(f"{os.environ[VARIABLE]}.{os.getpid()}")
    lost = "a fresh process was ended before it had told what it entered"
    write_whole(path, msgspec.json.encode(Entered(functions={}, unseen=(lost,))))
    try:
        yield
    finally:
        write_whole(path, msgspec.json.encode(_recording.pop().stop()))


def run_recorded(connection: object, target: Callable[..., None], *arguments: object) -> None:
    """Run a fresh process's target, and record it."""
    with recorded_child():
        target(connection, *arguments)


def read_entered(path: Path) -> Entered:
    """Read what a run entered.

    Raises:
        InvalidMeasurementError: the run has not written it, or not as this version does.
    """
    try:
        entered = msgspec.json.decode(path.read_bytes(), type=Entered)
    except FileNotFoundError as error:
        raise InvalidMeasurementError(
            f"{path}: the run ended without telling which functions it entered"
        ) from error
    except (OSError, ValueError) as error:
        raise InvalidMeasurementError(
            f"{path}: cannot be read as what a run entered: {one_line(error)}"
        ) from error
    if entered.schema != REACH_SCHEMA:
        raise InvalidMeasurementError(
            f"{path}: was written by another whisperbench (schema {entered.schema}, not "
            f"{REACH_SCHEMA})"
        )
    return entered
