"""What the terminal shows while benchmarks run: how far they are, and the first answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest

from whisperbench.asked.shards import usual_s
from whisperbench.errors import WhisperbenchError
from whisperbench.measure.reach import recording
from whisperbench.plugin.collecting import block_of
from whisperbench.plugin.needs import EARLY_ANSWER, FRESH_PROCESS, needs_of
from whisperbench.plugin.parts import part
from whisperbench.plugin.session import Session, is_benchmark, session_of
from whisperbench.plugin.terminal import announcer
from whisperbench.report.early import EARLY, early_line
from whisperbench.results.environment import cache_folder
from whisperbench.results.records import Cell, Measurement
from whisperbench.results.run_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MUCH_S = 5.0
"""Seconds that must have been foretold before what they took corrects the rest."""


@dataclass(kw_only=True)
class Course:
    """How far the benchmarks of a process are."""

    names: Sequence[str]
    """Of all, in the order in which they run."""
    known_s: Mapping[str, float]
    """What they took at another time, with their set-up, by name."""
    started_s: float = field(default_factory=time.monotonic)

    def line(self, name: str, now_s: float) -> str:
        """Say which of how many a benchmark is, and how long the rest may take.

        Args:
            name: of the one that begins.
            now_s: on the monotonic clock.
        """
        place = self.names.index(name)
        elapsed_s = now_s - self.started_s
        parts = [f"benchmark {place + 1} of {len(self.names)}"]
        if place:
            parts.append(f"after {_duration(elapsed_s)}")
        left_s = self._left_s(place, elapsed_s)
        if left_s is not None:
            parts.append(f"about {_duration(left_s)} left")
        return f"{', '.join(parts)}: {name.rpartition('::')[2]}"

    def _left_s(self, place: int, elapsed_s: float) -> float | None:
        """Foretell the rest; None where nothing is known of some of it.

        A machine that was slower or faster until now is taken to stay so.
        """
        foretold = [usual_s(self.known_s, name) for name in self.names]
        done_s = sum(each or 0.0 for each in foretold[:place])
        left = [each for each in foretold[place:] if each is not None]
        if len(left) < len(foretold) - place:
            return None
        complete = all(each is not None for each in foretold[:place])
        pace = elapsed_s / done_s if complete and done_s >= MUCH_S else 1.0
        return pace * sum(left)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def times_file(device_key: str) -> Path:
    """Return where the times of the last run on a device are kept, for the next one to foretell."""
    return cache_folder() / "times" / f"{device_key}.json"


def read_times(path: Path) -> dict[str, float]:
    """Read what benchmarks took; nothing where it was not kept, or cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except (OSError, msgspec.DecodeError):
        return {}


def keep_times(session: Session) -> None:
    """Keep what the benchmarks of a run took; where that fails, the next run foretells nothing.

    Processes that take turns, or record what they enter, take longer than others.
    """
    took_s = {
        name: round((fate.setup_s or 0.0) + fate.took_s, 3)
        for name, fate in session.fates.items()
        if fate.outcome == "measured" and fate.took_s is not None
    }
    if session.prepared is None or not took_s or part() is not None or recording():
        return
    path = times_file(session.prepared.device_key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(read_times(path) | took_s))
    except (OSError, WhisperbenchError):
        return


def _course(session: Session, items: Iterable[pytest.Item]) -> Course:
    known_s: dict[str, float] = {}
    if session.judging is not None:
        known_s = {
            entry.benchmark: (entry.setup_s or 0.0) + entry.took_s
            for entry in session.judging.base.info.manifest
            if entry.took_s is not None
        }
    if session.prepared is not None:
        known_s |= read_times(times_file(session.prepared.device_key))
    names = [item.nodeid for item in items if is_benchmark(item)]
    return Course(names=names, known_s=known_s)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Take down which benchmark runs, and say how far the run is; with -q that is left out."""
    session = session_of(item.config)
    if session is None or session.prepared is None or not is_benchmark(item):
        return
    session.running = item
    if session.course is None:
        session.course = _course(session, item.session.items)
    if item.config.get_verbosity() >= 0 and item.nodeid in session.course.names:
        announcer(item.config)(session.course.line(item.nodeid, time.monotonic()))


def is_for_early_answer(config: pytest.Config) -> bool:
    """Whether the benchmark that runs, and all that use its checkpoint next, are asked first."""
    session = session_of(config)
    if session is None or session.running is None:
        return False
    return all(
        not needs_of(each).isdisjoint({EARLY_ANSWER, FRESH_PROCESS})
        for each in block_of(session.running)
        if is_benchmark(each)
    )


def teller(config: pytest.Config) -> Callable[[Measurement], None]:
    """Return what is told of each measurement, and says what a precision costs once it can."""
    session = session_of(config)

    def tell(row: Measurement) -> None:
        if session is None or row.benchmark not in EARLY or config.get_verbosity() < 0:
            return
        reference = session.plan.profile.reference
        if row.cell.precision == reference:
            session.references[row.benchmark, _place(row.cell)] = row
            return
        known = session.references.get((row.benchmark, _place(row.cell)))
        if known is not None and (line := early_line(known, row)):
            announcer(config)(line)

    return tell


def _place(cell: Cell) -> Cell:
    return msgspec.structs.replace(cell, precision="", dtype="")
