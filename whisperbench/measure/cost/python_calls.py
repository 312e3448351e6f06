"""Python calls of a piece of work, counted by the interpreter itself."""

from __future__ import annotations

import cProfile
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Protocol

from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.cost.encoder_hooks import around_encoder
from whisperbench.measure.cost.profiling import differences
from whisperbench.results.metric_row import STAGES

if TYPE_CHECKING:
    import torch

_NAME_LENGTH = 64


class CallCounter(Protocol):
    """Counts how often Python functions are entered on this thread while it is on.

    Generators that go on count again. The number is a property of the program and of Python's
    minor version, which inlines more or less: other versions do not compare.
    """

    def start(self) -> None:
        """Count from here on. One counter may be on at a time."""

    def stop(self) -> None:
        """Stop counting; the count so far is kept."""

    @property
    def calls(self) -> Counter[str]:
        """Calls counted until now, by function, as in "modules.Linear8bitLt.forward"."""


def _name(code: CodeType) -> str:
    """Name a function by its file and its place there; the last 64 letters of that."""
    path = Path(code.co_filename.strip("<>").removeprefix("frozen "))
    file = path.parent.name if path.stem == "__init__" else path.stem
    return f"{file}.{code.co_qualname.replace('<locals>.', '')}"[-_NAME_LENGTH:]


class _Profiled:
    """Counts with cProfile, which knows the start of every call."""

    def __init__(self) -> None:
        self._profile = cProfile.Profile(builtins=False)

    def start(self) -> None:
        self._profile.enable()

    def stop(self) -> None:
        self._profile.disable()

    @property
    def calls(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for entry in self._profile.getstats():
            if isinstance(entry.code, CodeType):
                found[_name(entry.code)] += entry.callcount
        return found


if sys.version_info >= (3, 12):

    class _Monitored:
        """Counts with sys.monitoring, which costs a fraction of what cProfile does."""

        def __init__(self) -> None:
            self._thread = threading.get_ident()
            self._slot: int | None = None
            # By id, since code objects hash by all that they hold. The code keeps its id its own.
            self._entered: dict[int, tuple[CodeType, int]] = {}

        def start(self) -> None:
            monitoring = sys.monitoring
            free = [slot for slot in range(6) if monitoring.get_tool(slot) is None]
            if not free:
                raise InvalidMeasurementError(
                    "Python calls cannot be counted: debuggers, coverage or profilers hold all of "
                    "sys.monitoring; run without them"
                )
            self._slot = free[-1]
            monitoring.use_tool_id(self._slot, "whisperbench")
            events = (monitoring.events.PY_START, monitoring.events.PY_RESUME)
            for event in events:
                monitoring.register_callback(self._slot, event, self._enter)
            monitoring.set_events(self._slot, events[0] | events[1])

        def stop(self) -> None:
            if self._slot is not None:
                sys.monitoring.set_events(self._slot, 0)
                for event in (sys.monitoring.events.PY_START, sys.monitoring.events.PY_RESUME):
                    sys.monitoring.register_callback(self._slot, event, None)
                sys.monitoring.free_tool_id(self._slot)
                self._slot = None

        @property
        def calls(self) -> Counter[str]:
            found: Counter[str] = Counter()
            for code, count in self._entered.values():
                found[_name(code)] += count
            return found

        def _enter(self, code: CodeType, _: int) -> None:
            if threading.get_ident() == self._thread:
                self._entered[id(code)] = code, self._entered.get(id(code), (code, 0))[1] + 1


def call_counter() -> CallCounter:
    """Make the counter that this Python has.

    Raises:
        InvalidMeasurementError: when it starts, and other tools hold all of Python's slots.
    """
    if sys.version_info >= (3, 12):
        return _Monitored()
    return _Profiled()


def count_calls(execute: Callable[[], object], encoder: torch.nn.Module) -> dict[str, Counter[str]]:
    """Count the Python calls of both stages by function, twice.

    Raises:
        InvalidMeasurementError: the second time differs.
    """
    first, second = (_calls_of_stages(execute, encoder) for _ in range(2))
    for stage in STAGES:
        if first[stage] != second[stage]:
            raise InvalidMeasurementError(
                f"the {stage} stage made {first[stage].total()} Python calls and then "
                f"{second[stage].total()}: something in it depends on what was before; "
                f"{'; '.join(differences(first[stage], second[stage]))}"
            )
    return first


def _calls_of_stages(
    execute: Callable[[], object], encoder: torch.nn.Module
) -> dict[str, Counter[str]]:
    """Count the calls of one execution; those of the encoder's forward pass apart."""
    encoding, decoding = call_counter(), call_counter()

    def enter() -> None:
        decoding.stop()
        encoding.start()

    def leave() -> None:
        encoding.stop()
        decoding.start()

    with around_encoder(encoder, enter, leave):
        decoding.start()
        try:
            execute()
        finally:
            encoding.stop()
            decoding.stop()
    return {"encoder": encoding.calls, "decode": decoding.calls}
