"""The course of `whisperbench ab`: counts of both sides, then pairs until wall time is decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from whisperbench.ab.again import execute_again
from whisperbench.ab.pairs import Measured, why_whole
from whisperbench.ab.reaching import reach_of
from whisperbench.ab.sides import (
    NothingSelectedError,
    Side,
    SideError,
    SideProcess,
    ended_at_exit,
)
from whisperbench.asked.suite import Suite
from whisperbench.errors import WhisperbenchError, printable
from whisperbench.judge.again import AGAIN, in_doubt, judge_executions
from whisperbench.judge.comparison import Comparison
from whisperbench.judge.pairs import Pairs
from whisperbench.judge.reach import Reach
from whisperbench.judge.sequential import MOST
from whisperbench.judge.tried import ATTEMPTS, put_together
from whisperbench.measure.reach import VARIABLE as REACH_VARIABLE
from whisperbench.measure.reach import read_entered
from whisperbench.results.comparison_file import Compared
from whisperbench.results.passes import CostResult
from whisperbench.results.reach import Entered
from whisperbench.results.records import Run
from whisperbench.units import counted
from whisperbench.versions.revisions import Tree

UNKNOWN = "no cost was counted, so it is not known which of the changed functions were run"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is compared, and how far it may go."""

    base: Side
    head: Side
    arguments: Sequence[str]
    """Of pytest."""
    folder: Path
    """Where all result files are to be."""
    suite: Suite
    """The head's: its tolerances and its gate hold for both."""
    largest: int = MOST
    """Pairs of the last look."""
    budget_s: float | None = None
    """In which no pair is begun that would end after it."""
    fast: bool = False
    """Whether wall time is left out."""
    trees: tuple[Tree, Tree] | None = None
    """The files of base and head, where they are revisions."""


@dataclass
class Course:
    """A comparison under way: what is known so far can be asked for at any time."""

    asked: Asked
    say: Callable[[str], None]
    lock: int | None = None
    clock: Callable[[], float] = time.monotonic
    remarks: list[str] = field(default_factory=list)
    """What is to be said beside the verdicts."""
    faults: list[str] = field(default_factory=list)
    """What keeps it from passing, whatever the verdicts are."""
    _counts: Comparison | None = None
    _again: int = 0
    """Executions a side after the first one of counts."""
    _measured: Measured | None = None
    _reached: Reach | None = None

    def run(self) -> None:
        """Measure both sides, as far as it was asked for.

        Raises:
            InvalidMeasurementError: a side failed before anything was measured.
            InputError: the sides cannot be compared at all.
        """
        started_s = self.clock()
        runs = self._count_both()
        if runs:
            self._decide_counts((runs[0], runs[1]), started_s)
            try:
                self._reach(runs[1])
            except WhisperbenchError as error:  # the verdicts on counts stand
                self.faults.append(f"what the head runs of the code that differs: {error}")
        else:
            self.remarks.append(UNKNOWN)
        if self.asked.fast:
            self._leave_wall_out()
            return
        self._measured = Measured(
            base=self.asked.base,
            head=self.asked.head,
            arguments=self.asked.arguments,
            folder=self.asked.folder,
            pairs=Pairs(self.asked.suite.tolerance, self.asked.largest),
            lock=self.lock,
            whole=why_whole(runs),
            # What missed a pair gets another one, so that it comes to its last look.
            most=self.asked.largest + ATTEMPTS,
        )
        with closing(self._measured):
            self._take_pairs(self._measured, started_s)

    def check(self, edited: Callable[[], Sequence[str]]) -> None:
        """Find out whether what was measured was one thing; the verdicts stand beside a fault."""
        try:
            self.faults += edited()
        except WhisperbenchError as error:
            self.faults.append(f"whether the files were edited meanwhile is not known: {error}")

    def _count_both(self) -> tuple[Run, ...]:
        """Run all but wall time on both sides, once; nothing where nothing of that is selected.

        Raises:
            SideError: a side failed, or selects nothing where the other one does.
        """
        runs, nothing = [], []
        for side in (self.asked.base, self.asked.head):
            try:
                runs.append(self._count(side))
            except NothingSelectedError:
                nothing.append(side.name)
        if nothing and runs:
            raise SideError(
                f"the {nothing[0]} alone selects no benchmark of counts, memory or words"
            )
        if nothing:
            self.remarks.append("no benchmark of counts, memory or words was selected")
        return tuple(runs)

    def _decide_counts(self, runs: tuple[Run, Run], started_s: float) -> None:
        """Judge one execution of each side, and execute again where GPU time differs alone."""
        asked = self.asked
        self._counts = judge_executions([runs], asked.suite)
        doubted = in_doubt(self._counts, *runs)
        if not doubted:
            return
        begun_s = self.clock()
        # No execution of a few cells takes longer than the first, which was of all.
        if asked.budget_s is not None and (1 + AGAIN) * (begun_s - started_s) > asked.budget_s:
            self.remarks.append("the budget leaves no time to measure GPU time again")
            return
        self.say(
            f"GPU time of {counted(len(doubted), 'cell')} differs, and the count of kernels does "
            f"not: {AGAIN} further executions a side"
        )
        executions = [runs]
        try:
            for number in range(1, AGAIN + 1):
                sides = asked.base, asked.head
                told = asked.arguments, asked.folder, self.lock
                executions.append(execute_again(sides, runs, doubted, number, *told))
                self._again = number
        except WhisperbenchError as error:  # the verdicts on the first execution stand
            self._again = 0
            self.remarks.append(f"GPU time could not be measured again: {error}")
            return
        self._counts = judge_executions(executions, asked.suite)
        self.say(f"further executions: {self.clock() - begun_s:.0f} s")

    def _reach(self, counted_run: Run) -> None:
        """Find out what the head's cells run of the code that differs."""
        if not any(isinstance(row.found, CostResult) for row in counted_run.measurements):
            self.remarks.append(UNKNOWN)
            return
        sides = self.asked.base, self.asked.head
        self._reached, remarks = reach_of(
            (sides[0].python, sides[1].python),
            self.asked.trees,
            self._record,
            own_suites=sides[0].suite != sides[1].suite,
        )
        self.remarks += remarks
        where = self.faults if self._reached.unreached else self.remarks
        where.append(self._reached.sentence)

    def _record(self) -> Entered:
        """Run what counts and what is timed once more on the head, and return what it enters."""
        path = self.asked.folder / "head-entered.json"
        process = SideProcess(
            self.asked.head,
            "cost" if self.asked.fast else "reach",
            self.asked.arguments,
            self.asked.folder / "head-entered-run.json",
            lock=self.lock,
            variables={REACH_VARIABLE: str(path.resolve())},
        )
        with ended_at_exit([process]):
            process.require_end()
        return read_entered(path)

    def _count(self, side: Side) -> Run:
        """Run all but wall time on a side, once."""
        started_s = self.clock()
        result = self.asked.folder / f"{side.name}.json"
        process = SideProcess(side, "counts", self.asked.arguments, result, lock=self.lock)
        with ended_at_exit([process]):
            run = process.finish()
        self.say(
            f"{side.name}: {counted(len(run.measurements), 'benchmark')} of counts, memory and "
            f"words: {self.clock() - started_s:.0f} s"
        )
        return run

    def _leave_wall_out(self) -> None:
        """Say that wall time is not measured; where suite.toml requires it, that is no pass."""
        required = "wall" in self.asked.suite.gate.require
        said = "wall time was not measured, because of --fast"
        if required:
            self.faults.append(f"{said}, and suite.toml requires it")
        else:
            self.remarks.append(said)

    def _take_pairs(self, measured: Measured, started_s: float) -> None:
        longest_s = 0.0
        while measured.pairs.count == 0 or (
            measured.pairs.count < measured.most and measured.wanted()
        ):
            begun_s = self.clock()
            budget_s = self.asked.budget_s
            if budget_s is not None and begun_s - started_s + longest_s > budget_s:
                ended = f"the budget of {budget_s / 60:g} minutes ended"
                if measured.pairs.count:
                    self.remarks.append(f"{ended} after {counted(measured.pairs.count, 'pair')}")
                else:
                    self.faults.append(
                        f"{ended} before the first pair, so that no wall time was measured: raise "
                        "--budget, or leave wall time out with --fast"
                    )
                return
            before = measured.whole
            try:
                measured.take()
            except NothingSelectedError:
                self.remarks.append("no benchmark of wall time was selected")
                return
            except WhisperbenchError as error:
                self.faults.append(f"pair {measured.pairs.count + 1}: {error}")
                return
            if measured.whole != before or (measured.whole and measured.pairs.count == 1):
                self.say(f"{measured.whole}: whole processes alternate, base, head, head, base")
            longest_s = max(longest_s, self.clock() - begun_s)
            self.say(
                f"pair {measured.pairs.count} of at most {self.asked.largest}: "
                f"{self.clock() - begun_s:.0f} s; "
                f"{counted(len(measured.wanted()), 'benchmark')} left for further pairs"
            )

    def compared(self, exit_code: int) -> Compared:
        """Say what was compared, for who judges the files again.

        Args:
            exit_code: of the command.
        """
        trees = self.asked.trees or (None, None)
        measured = self._measured
        return Compared(
            base=trees[0].commit if trees[0] is not None else None,
            head=trees[1].commit if trees[1] is not None else None,
            arguments=tuple(map(printable, self.asked.arguments)),
            fast=self.asked.fast,
            largest=self.asked.largest,
            again=self._again,
            pairs=measured.pairs.count if measured is not None else 0,
            whole=printable(measured.whole) if measured is not None else "",
            faults=tuple(map(printable, self.faults)),
            remarks=tuple(map(printable, self.remarks)),
            exit_code=exit_code,
        )

    @property
    def found(self) -> Comparison:
        """All that is known so far."""
        return put_together(
            self._counts,
            self._measured,
            require=self.asked.suite.gate.require,
            faults=self.faults,
            remarks=self.remarks,
            reach=self._reached,
        )
