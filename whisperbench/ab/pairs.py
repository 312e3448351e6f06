"""Pairs of processes, one of each side: in turns where that can be, and whole ones where not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from whisperbench.ab.sides import Side, SideError, SideProcess, ended_at_exit, ids_of
from whisperbench.ab.started import StartedPair
from whisperbench.ab.turns import LEFT_ALONE, can_pin, choose_spare_cpus
from whisperbench.judge.pairs import Key, Pairs
from whisperbench.judge.rules import percent
from whisperbench.judge.sequential import MOST
from whisperbench.results.passes import LatencyResult
from whisperbench.results.records import Run

ATTEMPTS = 2
"""Pairs in a row in which a benchmark may fail before it is given up: once may be the host's."""

OUT_OF_MEMORY = "out of memory"
"""How a benchmark says that the device or the host was too small (whisper/residency.py)."""


@dataclass
class Measured:
    """Pairs as they come, and which benchmarks the next one is for."""

    base: Side
    head: Side
    arguments: Sequence[str]
    folder: Path
    pairs: Pairs
    lock: int | None
    whole: str = ""
    """Why whole processes alternate, and no rounds; empty where rounds do."""
    failures: Counter[str] = field(default_factory=Counter)
    """Of benchmarks, by their ids."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why they failed the last time."""
    most: int = MOST
    """Pairs that there can be: none is started ahead after it."""
    _next: StartedPair | None = None
    _keys: dict[str, Key] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _loops_ms: list[float] = field(default_factory=list)
    _threads: int = 0
    _cores: int = 0

    def take(self) -> None:
        """Measure the next pair of what is not decided.

        Raises:
            NothingSelectedError: there is nothing to time.
            InvalidMeasurementError: a process ended or hung.
        """
        number = self.pairs.count + 1
        left_out = sorted(self._asked - self.wanted()) if self._asked else []
        runs = (self._whole if self.whole else self._in_turns)(number, left_out)
        if not self.whole and any(OUT_OF_MEMORY in why for why in map(_reasons, runs)):
            self.whole = "both sides do not fit into memory at once"
            runs = self._whole(number, left_out)
        self._keep(number, runs)

    def wanted(self) -> set[str]:
        """Return the ids of the benchmarks that another pair may still decide."""
        still_open = self.pairs.open()
        undecided = {name for name, key in self._keys.items() if key in still_open}
        again = undecided | self._without_figure()
        return {name for name in again if self.failures[name] < ATTEMPTS}

    def unmeasured(self) -> list[str]:
        """Name the benchmarks that gave no figure, or none any more, with the last reason."""
        none = self._without_figure()
        return [
            self.reasons[name]
            for name, times in self.failures.items()
            if name in none or times >= ATTEMPTS
        ]

    def _without_figure(self) -> set[str]:
        """Return the ids of the benchmarks that have failed in all pairs so far."""
        measured = self.pairs.measured()
        return {name for name in self.failures if self._keys.get(name) not in measured}

    def host(self) -> list[str]:
        """Say how steady the host was, by the reference loop before each round."""
        if not self._loops_ms:
            return []
        least, most = min(self._loops_ms), max(self._loops_ms)
        said = [
            f"the host's speed varied by {percent(most / least - 1)}: the reference loop took "
            f"{least:.2f} to {most:.2f} ms"
        ]
        if self._threads > self._cores > 0:
            said.append(
                f"torch has {self._threads} threads, and {self._cores} cores may be used: fewer "
                "threads were measured in turns"
            )
        return said

    def _keep(self, number: int, runs: tuple[Run, Run]) -> None:
        self.pairs.add(*runs)
        ran: set[str] = set()
        failed: dict[str, list[str]] = {}
        for side, run in zip((self.base, self.head), runs, strict=True):
            # What ran out of memory is over a limit, and may be without a figure all the same.
            figures = set(ids_of(self._result(number, side)))
            for entry in run.info.manifest:
                if entry.deselected:
                    continue
                ran.add(entry.benchmark)
                if entry.benchmark not in figures:
                    failed.setdefault(entry.benchmark, []).append(
                        f"{side.name}, pair {number}: {entry.outcome}: {entry.benchmark}: "
                        f"{entry.reason}"
                    )
            founds = [row.found for row in run.measurements]
            turns = [found.turns for found in founds if isinstance(found, LatencyResult)]
            self._loops_ms += [median(each.reference_ms) for each in turns if each is not None]
            if run.machine.on_host:
                self._threads = run.machine.threads
                self._cores = max((len(each.cpus) for each in turns if each), default=0)
        for name in ran - failed.keys():
            self.failures.pop(name, None)
        for name, reasons in failed.items():
            # Of a side that is left alone the reason is the other one's.
            own = [reason for reason in reasons if not reason.endswith(LEFT_ALONE)]
            self.failures[name] += 1
            self.reasons[name] = (own or reasons)[0]
        self._asked |= ran
        names = ids_of(self._result(number, self.head))
        for name, row in zip(names, runs[1].measurements, strict=True):
            self._keys[name] = (row.benchmark, row.cell)

    def _result(self, number: int, side: Side) -> Path:
        return self.folder / f"pair-{number:02}-{side.name}.json"

    def _in_turns(self, number: int, left_out: Sequence[str]) -> tuple[Run, Run]:
        pair, self._next = self._next or self._start(number), None
        with closing(pair):
            return pair.measure(left_out, self._start_ahead)

    def _start(self, number: int, cpus: Sequence[int] = ()) -> StartedPair:
        sides = (self.base, self.head)
        results = self._result(number, self.base), self._result(number, self.head)
        return StartedPair(number, sides, self.arguments, results, lock=self.lock, cpus=cpus)

    def _start_ahead(self, taken: Sequence[int]) -> None:
        """Start the next pair on CPUs that this one leaves, where there is one and there are any.

        Importing takes as long as a third of a pair's rounds.
        """
        number = self.pairs.count + 2
        spare = choose_spare_cpus(taken)
        if spare and number <= self.most:
            with suppress(SideError):  # it is told when its turn comes, if it cannot start then
                self._next = self._start(number, spare)

    def close(self) -> None:
        """End the processes of a pair that is not needed any more."""
        if self._next is not None:
            self._next.close()
            self._next = None

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
