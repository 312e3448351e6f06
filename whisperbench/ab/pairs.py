"""Pairs of processes, one of each side: in turns where that can be, and whole ones where not."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from whisperbench.ab.cores import can_pin, choose_spare_cpus
from whisperbench.ab.sides import Side, SideError, SideProcess, ended_at_exit, ids_of
from whisperbench.ab.started import StartedPair
from whisperbench.judge.sequential import MOST
from whisperbench.judge.tried import Tried
from whisperbench.results.records import Run

AHEAD = 2
"""Pairs that are started ahead, where there is a CPU for each of their processes.

Importing took 17 s on a slow host of H200s, longer than a pair of one benchmark is measured."""

OUT_OF_MEMORY = "out of memory"
"""How a benchmark says that the device or the host was too small (whisper/residency.py)."""


@dataclass(kw_only=True)
class Measured(Tried):
    """Pairs as they come, and which benchmarks the next one is for."""

    base: Side
    head: Side
    arguments: Sequence[str]
    folder: Path
    lock: int | None
    most: int = MOST
    """Pairs that there can be: none is started ahead after it."""
    _ahead: deque[StartedPair] = field(default_factory=deque)

    def take(self) -> None:
        """Measure the next pair of what is not decided.

        Raises:
            NothingSelectedError: there is nothing to time.
            InvalidMeasurementError: a process ended or hung.
        """
        number = self.pairs.count + 1
        left_out = self.left_out()
        runs = (self._whole if self.whole else self._in_turns)(number, left_out)
        if not self.whole and any(OUT_OF_MEMORY in why for why in map(_reasons, runs)):
            self.whole = "both sides do not fit into memory at once"
            runs = self._whole(number, left_out)
        ids = [ids_of(self._result(number, side)) for side in (self.base, self.head)]
        self.keep(runs, (ids[0], ids[1]))

    def _result(self, number: int, side: Side) -> Path:
        return self.folder / f"pair-{number:02}-{side.name}.json"

    def _in_turns(self, number: int, left_out: Sequence[str]) -> tuple[Run, Run]:
        pair = self._ahead.popleft() if self._ahead else self._start(number)
        with closing(pair):
            return pair.measure(left_out, self._start_ahead)

    def _start(self, number: int, cpus: Sequence[int] = ()) -> StartedPair:
        sides = (self.base, self.head)
        results = self._result(number, self.base), self._result(number, self.head)
        return StartedPair(number, sides, self.arguments, results, lock=self.lock, cpus=cpus)

    def _start_ahead(self, taken: Sequence[int]) -> None:
        """Have the next pairs start on CPUs that this one leaves, as far as there are any."""
        spare = choose_spare_cpus(taken)
        if spare:
            for pair in self._ahead:
                pair.keep_to(spare)
        measured = self.pairs.count + 1
        last = min(measured + min(AHEAD, len(spare) // 2), self.most)
        with suppress(SideError):  # it is told when its turn comes, if it cannot start then
            for number in range(measured + len(self._ahead) + 1, last + 1):
                self._ahead.append(self._start(number, spare))

    def close(self) -> None:
        """End the processes of pairs that are not needed any more."""
        with ExitStack() as stack:  # which ends all, also where Ctrl-C comes meanwhile
            while self._ahead:
                stack.callback(self._ahead.popleft().close)

    def _whole(self, number: int, left_out: Sequence[str]) -> tuple[Run, Run]:
        """Run both sides after each other: in the order of ABBA, over two pairs."""
        self.close()
        arguments = [*self.arguments, *(f"--deselect={name}" for name in left_out)]
        sides = (self.base, self.head)
        runs = {}
        for side in sides if number % 2 else reversed(sides):
            process = SideProcess(
                side, "wall", arguments, self._result(number, side), lock=self.lock
            )
            with ended_at_exit([process]):
                runs[side.name] = process.finish()
        return runs["base"], runs["head"]


def _reasons(run: Run) -> str:
    return " ".join(entry.reason for entry in run.info.manifest)


def why_whole(runs: Sequence[Run]) -> str:
    """Say why two live processes cannot take turns; "" where they can.

    Args:
        runs: of base and head, with what they took of memory where that was measured; or none.
    """
    if not can_pin():
        return "this system does not let processes be pinned to cores"
    taken_mib = sum(map(_peak_mib, runs))
    room_mib = min((run.machine.memory_mib for run in runs), default=0)
    if taken_mib > room_mib:
        return (
            f"both sides do not fit into memory at once: they take {taken_mib:.0f} of "
            f"{room_mib} MiB"
        )
    return ""


def _peak_mib(run: Run) -> float:
    """Return the most that a cell of a run took of the device; 0 where that was not measured."""
    peaks = (row.metric("peak_process_mib") for row in run.measurements)
    return max((max(metric.figures) for metric in peaks if metric is not None), default=0.0)
