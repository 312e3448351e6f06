"""Pairs of processes, one of each side: in turns where that can be, and whole ones where not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from whisperbench.ab.sides import (
    NothingSelectedError,
    Side,
    SideError,
    SideProcess,
    ended_at_exit,
    ids_of,
)
from whisperbench.ab.turns import (
    Live,
    TurnsNotBegunError,
    can_pin,
    pin,
    take_turns,
)
from whisperbench.judge.tried import Tried
from whisperbench.measure.turns.messages import open_channel
from whisperbench.results.records import Run

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

    def take(self) -> None:
        """Measure the next pair of what is not decided.

        Raises:
            NothingSelectedError: there is nothing to time.
            InvalidMeasurementError: a process ended or hung.
        """
        number = self.pairs.count + 1
        arguments = [*self.arguments, *(f"--deselect={name}" for name in self.left_out())]
        runs = (self._whole if self.whole else self._in_turns)(number, arguments)
        if not self.whole and any(OUT_OF_MEMORY in why for why in map(_reasons, runs)):
            self.whole = "both sides do not fit into memory at once"
            runs = self._whole(number, arguments)
        ids = [ids_of(self._result(number, side)) for side in (self.base, self.head)]
        self.keep(runs, (ids[0], ids[1]))

    def _result(self, number: int, side: Side) -> Path:
        return self.folder / f"pair-{number:02}-{side.name}.json"

    def _in_turns(self, number: int, arguments: Sequence[str]) -> tuple[Run, Run]:
        processes: list[SideProcess] = []
        lives: list[Live] = []
        with ended_at_exit(processes), ExitStack() as open_channels:
            # Who starts first changes, too: what follows from it must not be the same in all pairs.
            sides = (self.base, self.head)
            for side in sides if number % 2 else reversed(sides):
                channel, theirs = open_channel()
                open_channels.callback(channel.close)
                try:
                    process = SideProcess(
                        side,
                        "wall",
                        arguments,
                        self._result(number, side),
                        descriptors=theirs,
                        lock=self.lock,
                    )
                finally:
                    for descriptor in theirs:
                        os.close(descriptor)
                processes.append(process)
                lives.append(
                    Live(
                        side.name, process.pid, channel, process.how_it_ended, process.result.exists
                    )
                )
            base, head = processes if number % 2 else reversed(processes)
            base_live, head_live = lives if number % 2 else reversed(lives)
            try:
                take_turns(base_live, head_live, number, pin)
            except TurnsNotBegunError as error:
                _say_why(error.ended, base, head)
            return base.finish(), head.finish()

    def _whole(self, number: int, arguments: Sequence[str]) -> tuple[Run, Run]:
        """Run both sides after each other: in the order of ABBA, over two pairs."""
        sides = (self.base, self.head)
        runs = {}
        for side in sides if number % 2 else reversed(sides):
            process = SideProcess(
                side, "wall", arguments, self._result(number, side), lock=self.lock
            )
            with ended_at_exit([process]):
                runs[side.name] = process.finish()
        return runs["base"], runs["head"]


def _say_why(ended: Sequence[str], base: SideProcess, head: SideProcess) -> NoReturn:
    """Say why processes have ended before they named what they would time.

    Raises:
        NothingSelectedError: there is nothing to time, on either side.
        SideError: one of them failed, or only one of them has something to time.
    """
    nothing = []
    for process in (base, head):
        if process.side.name in ended:
            try:
                process.finish()
            except NothingSelectedError:
                nothing.append(process.side.name)
    if len(nothing) == 2:
        raise NothingSelectedError
    if nothing:
        raise SideError(f"the {nothing[0]} alone selects no benchmark of wall time")
    raise SideError(f"the {ended[0]}'s process took no turns")


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
