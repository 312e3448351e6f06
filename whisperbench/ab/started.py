"""The two live processes of a pair, which may be started while a pair before still measures."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from whisperbench.ab.cores import pin
from whisperbench.ab.sides import (
    NothingSelectedError,
    Side,
    SideError,
    SideProcess,
    ended_at_exit,
)
from whisperbench.ab.turns import Live, TurnsNotBegunError, take_turns
from whisperbench.measure.turns.messages import open_channel
from whisperbench.results.records import Run


class StartedPair:
    """A fresh process of each side, and the channels to both."""

    def __init__(
        self,
        number: int,
        sides: tuple[Side, Side],
        arguments: Sequence[str],
        results: tuple[Path, Path],
        *,
        lock: int | None = None,
        cpus: Sequence[int] = (),
    ) -> None:
        """Start both: they import what they need, and wait.

        Args:
            number: of the pair, from 1.
            sides: base and head.
            arguments: of pytest.
            results: where the files of base and head are to be.
            lock: a descriptor that both inherit.
            cpus: that they keep to until their turn comes; all that there are where none is named.

        Raises:
            SideError: one cannot be started.
        """
        self.number = number
        self._begun = False
        self._processes: dict[str, SideProcess] = {}
        self._lives: dict[str, Live] = {}
        # Who starts first changes, too: what follows from it must not be the same in all pairs.
        order = list(zip(sides, results, strict=True))
        with ExitStack() as stack:
            for side, result in order if number % 2 else reversed(order):
                channel, theirs = open_channel()
                stack.callback(channel.close)
                try:
                    process = SideProcess(
                        side, "wall", arguments, result, descriptors=theirs, lock=lock
                    )
                finally:
                    for descriptor in theirs:
                        os.close(descriptor)
                stack.enter_context(ended_at_exit([process]))
                self._processes[side.name] = process
                self._lives[side.name] = Live(
                    side.name, process.pid, channel, process.how_it_ended, process.result.exists
                )
            if cpus:
                self.keep_to(cpus)
            self._open = stack.pop_all()

    def keep_to(self, cpus: Sequence[int]) -> None:
        """Let both start and wait on some CPUs, until their turn comes."""
        pin([process.pid for process in self._processes.values()], cpus)

    def measure(
        self, left_out: Sequence[str], ahead: Callable[[Sequence[int]], None]
    ) -> tuple[Run, Run]:
        """Let both take turns, and return what base and head have measured.

        Args:
            left_out: ids of benchmarks that need no further pair.
            ahead: told the CPUs of the pair when its first rounds begin.

        Raises:
            NothingSelectedError: there is nothing to time.
            InvalidMeasurementError: a process ended or hung.
        """
        self._begun = True
        base, head = self._lives["base"], self._lives["head"]
        pin([base.pid, head.pid], sorted(os.sched_getaffinity(0)))
        try:
            take_turns(base, head, self.number, pin, left_out=left_out, ahead=ahead)
        except TurnsNotBegunError as error:
            _say_why(error.ended, *self._processes.values())
        return self._processes["base"].finish(), self._processes["head"].finish()

    def close(self) -> None:
        """End what still runs; of a pair that was never begun nothing is left."""
        processes = list(self._processes.values())
        with self._open, ended_at_exit(processes):
            pass
        if not self._begun:
            for process in processes:
                process.log.unlink(missing_ok=True)


def _say_why(ended: Sequence[str], *processes: SideProcess) -> NoReturn:
    """Say why processes have ended before they named what they would time.

    Raises:
        NothingSelectedError: there is nothing to time, on either side.
        SideError: one of them failed, or only one of them has something to time.
    """
    nothing = []
    for process in processes:
        if process.side.name in ended:
            try:
                process.finish()
            except NothingSelectedError:
                nothing.append(process.side.name)
    if len(nothing) == len(processes):
        raise NothingSelectedError
    if nothing:
        raise SideError(f"the {nothing[0]} alone selects no benchmark of wall time")
    raise SideError(f"the {ended[0]}'s process took no turns")
