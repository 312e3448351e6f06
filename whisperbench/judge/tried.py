"""All that a comparison has measured, put together: pure, runs in, one verdict out.

`whisperbench ab` judges by this while it measures, and who has its files judges by it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from statistics import median

from whisperbench.judge.comparison import Comparison
from whisperbench.judge.pairs import Key, Pairs
from whisperbench.judge.reach import Reach
from whisperbench.judge.rules import percent
from whisperbench.results.passes import LatencyResult
from whisperbench.results.records import Run

ATTEMPTS = 2
"""Pairs in a row in which a benchmark may fail before it is given up: once may be the host's."""

LEFT_ALONE = "does not come to this benchmark"
"""What is said of the other process where a benchmark is one's alone."""

REMEDY = "a quieter machine would decide it"

SIDES = ("base", "head")


@dataclass(kw_only=True)
class Tried:
    """The pairs so far, and what failed in them."""

    pairs: Pairs
    whole: str = ""
    """Why whole processes alternate, and no rounds; empty where rounds do."""
    failures: Counter[str] = field(default_factory=Counter)
    """Of benchmarks, by their ids."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why they failed the last time."""
    _keys: dict[str, Key] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _loops_ms: list[float] = field(default_factory=list)
    _threads: int = 0
    _cores: int = 0

    def keep(self, runs: tuple[Run, Run], ids: tuple[Sequence[str], Sequence[str]]) -> None:
        """Take in the next pair.

        Args:
            runs: of base and head.
            ids: of the tests whose measurements the two hold, in their order.

        Raises:
            InputError: a run measured a cell twice, or there are more figures than can be judged.
        """
        self.pairs.add(*runs)
        ran: set[str] = set()
        failed: dict[str, list[str]] = {}
        # What neither side offers is no failure; what one of them does, the other misses.
        base, head = (
            {row.benchmark for row in run.info.manifest if row.not_offered} for run in runs
        )
        for side, run, names in zip(SIDES, runs, ids, strict=True):
            # What ran out of memory is over a limit, and may be without a figure all the same.
            figures = set(names)
            for entry in run.info.manifest:
                if entry.deselected or entry.benchmark in base & head:
                    continue
                ran.add(entry.benchmark)
                if entry.benchmark not in figures:
                    failed.setdefault(entry.benchmark, []).append(
                        f"{side}, pair {self.pairs.count}: {entry.outcome}: {entry.benchmark}: "
                        f"{entry.reason}"
                    )
            founds = [row.found for row in run.measurements]
            turns = [found.turns for found in founds if isinstance(found, LatencyResult)]
            self._loops_ms += [median(each.reference_ms) for each in turns if each is not None]
            if run.machine.on_host:
                self._threads = run.machine.threads
                self._cores = max((len(each.cpus) for each in turns if each), default=0)
        self._count(ran, failed)
        for name, row in zip(ids[1], runs[1].measurements, strict=True):
            self._keys[name] = (row.benchmark, row.cell)

    def _count(self, ran: set[str], failed: dict[str, list[str]]) -> None:
        """Count how often in a row each benchmark has failed, and keep why."""
        for name in ran - failed.keys():
            self.failures.pop(name, None)
        for name, reasons in failed.items():
            # Of a side that is left alone the reason is the other one's.
            own = [reason for reason in reasons if not reason.endswith(LEFT_ALONE)]
            self.failures[name] += 1
            self.reasons[name] = (own or reasons)[0]
        self._asked |= ran

    def left_out(self) -> list[str]:
        """Return the ids of the benchmarks that the next pair is not for."""
        return sorted(self._asked - self.wanted()) if self._asked else []

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


def put_together(
    counts: Comparison | None,
    tried: Tried | None,
    *,
    require: Collection[str],
    faults: Sequence[str] = (),
    remarks: Sequence[str] = (),
    reach: Reach | None = None,
) -> Comparison:
    """Make one comparison of all that is known.

    Args:
        counts: what one execution of each side decides; None where none was selected.
        tried: the pairs; None where none was taken.
        require: kinds whose figures must be decided.
        faults: what keeps it from passing, whatever the verdicts are.
        remarks: what is said beside the verdicts.
        reach: what of the code that differs was run, where that is known.
    """
    judged = [*(counts.judged if counts is not None else ())]
    unmeasured = [*faults, *(counts.unmeasured if counts is not None else ())]
    circumstances = [*(counts.circumstances if counts is not None else ()), *remarks]
    if tried is not None:
        judged += tried.pairs.judged()
        if counts is None:
            circumstances += tried.pairs.circumstances()
        unmeasured += tried.unmeasured()
        if tried.whole:
            circumstances.append(f"wall time is measured by whole processes: {tried.whole}")
        circumstances += tried.host()
    return Comparison(
        judged=judged,
        unmeasured=unmeasured,
        circumstances=circumstances,
        require=require,
        reach=reach,
        remedy=REMEDY,
    )
