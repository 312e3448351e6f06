"""What `whisperbench ab` has left of a comparison, read back: pure, files in, runs and pairs out.

Who judges for a gate asks more of the files (pulls/rejudging.py); this is for looking at them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from whisperbench.asked.gate import DEFAULT_GATE
from whisperbench.asked.suite import Suite
from whisperbench.errors import InputError
from whisperbench.judge.again import AGAIN, judge_executions
from whisperbench.judge.baselines import RecordedRun
from whisperbench.judge.compare import identity_of
from whisperbench.judge.comparison import Comparison
from whisperbench.judge.pairs import Pairs
from whisperbench.judge.sequential import MOST
from whisperbench.judge.tried import Tried, put_together
from whisperbench.results.comparison_file import COMPARISON_FILE, Compared, decode_compared
from whisperbench.results.records import Run
from whisperbench.results.schema import decode_run, ids_in
from whisperbench.units import counted

SIDES = ("base", "head")

_PAIR = re.compile(r"(pair|again)-(\d{2})-(base|head)\.json")

FILES = re.compile(rf"(?:base|head)\.json|{re.escape(COMPARISON_FILE)}|{_PAIR.pattern}")
"""Names of the files that are read."""

NOT_ENDED = f"{COMPARISON_FILE} is absent: the comparison did not come to its end"

_Sides = tuple[RecordedRun, RecordedRun]


@dataclass(frozen=True, kw_only=True)
class Left:
    """A comparison as far as its files tell."""

    compared: Compared | None
    """None where it did not come to its end."""
    counts: _Sides | None
    """One execution of each side; None where nothing was selected that one decides."""
    pairs: tuple[_Sides, ...]
    again: tuple[_Sides, ...] = ()
    """Executions after that, of cells whose GPU time differed alone."""

    def run(self, side: int) -> Run:
        """Return all that a side has measured as one run: the counts, and the rounds of a pair.

        Args:
            side: 0 of the base, 1 of the head.
        """
        files = [each[side] for each in (*([self.counts] if self.counts else []), *self.pairs)]
        found = {identity_of(row): row for file in reversed(files) for row in file.run.measurements}
        order = dict.fromkeys(identity_of(row) for file in files for row in file.run.measurements)
        return msgspec.structs.replace(
            files[0].run, measurements=tuple(found[identity] for identity in order)
        )

    def tried(self, suite: Suite | None) -> Tried:
        """Judge the pairs by the tolerances of a suite, or where there is none by their kind's.

        Raises:
            InputError: a run measured a cell twice, or there are too many figures.
        """
        largest = self.compared.largest if self.compared is not None else MOST
        found = Tried(
            pairs=Pairs(suite.tolerance if suite is not None else (), largest),
            whole=self.compared.whole if self.compared is not None else "",
        )
        for base, head in self.pairs:
            found.keep(
                (base.run, head.run), (ids_in(base.data, base.name), ids_in(head.data, head.name))
            )
        return found

    def judged(self, suite: Suite | None, tried: Tried) -> Comparison:
        """Put together what the files say. What did not come to its end has not passed."""
        counts, told = self.counts, self.compared
        found = put_together(
            judge_executions(self._executions(counts), suite) if counts is not None else None,
            tried if self.pairs else None,
            require=(suite.gate if suite is not None else DEFAULT_GATE).require,
            faults=[*self._faults()],
            remarks=told.remarks if told is not None else (),
        )
        if told is not None and told.exit_code and not found.exit_code:
            # By another suite.toml, which may be the stricter one.
            said = f"whisperbench ab ended with the exit code {told.exit_code}"
            return replace(found, unmeasured=[said])
        return found

    def _executions(self, counts: _Sides) -> list[tuple[Run, Run]]:
        return [(base.run, head.run) for base, head in (counts, *self.again)]

    def _faults(self) -> Iterator[str]:
        if self.compared is None:
            yield NOT_ENDED
            return
        yield from self.compared.faults
        if len(self.pairs) < self.compared.pairs:
            there = counted(len(self.pairs), "pair")
            yield f"{self.compared.pairs} pairs were measured, and the files of {there} are there"


def left_in(files: Mapping[str, bytes]) -> Left:
    """Read the files of a comparison.

    Args:
        files: by their names; those of other names are not looked at.

    Raises:
        InputError: there is no run of both sides, or a file is not what its name says.
    """
    told = files.get(COMPARISON_FILE)
    counts = tuple(_read(files, "{}.json")) if {"base.json", "head.json"} <= files.keys() else ()
    whole, again = (_numbered(files, what) for what in ("pair", "again"))
    if not counts and not whole:
        raise InputError("there are no run files of a base and a head, as whisperbench ab leaves")
    return Left(
        compared=decode_compared(told) if told is not None else None,
        counts=(counts[0], counts[1]) if counts else None,
        pairs=whole,
        # Those before one that failed are not judged by.
        again=again if len(again) == AGAIN else (),
    )


def _numbered(files: Mapping[str, bytes], what: str) -> tuple[_Sides, ...]:
    """Read the files of pairs, or of further executions, as far as both sides have one."""
    found = (_PAIR.fullmatch(name) for name in files)
    numbers = sorted({each[2] for each in found if each and each[1] == what})
    both = (tuple(_read(files, f"{what}-{number}-{{}}.json")) for number in numbers)
    return tuple((pair[0], pair[1]) for pair in both if len(pair) == len(SIDES))


def _read(files: Mapping[str, bytes], name: str) -> Iterator[RecordedRun]:
    for side in SIDES:
        own = name.format(side)
        if own in files:  # of a pair that was begun and not ended one side may be absent
            yield RecordedRun(own, decode_run(files[own], own), files[own])
