"""The files of `whisperbench ab` judged again: no verdict of theirs is believed.

What speaks against the head is taken from them as it stands; what speaks for it is worked out anew
from the figures, by the base's suite.toml.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from whisperbench.asked.suite import Suite
from whisperbench.errors import InputError, printable
from whisperbench.judge.again import AGAIN, judge_executions
from whisperbench.judge.anew import held_to
from whisperbench.judge.comparison import Comparison
from whisperbench.judge.pairs import Pairs
from whisperbench.judge.sequential import FEWEST, MOST
from whisperbench.judge.tried import ATTEMPTS, Tried, put_together
from whisperbench.results.comparison_file import COMPARISON_FILE, Compared, decode_compared
from whisperbench.results.records import Run
from whisperbench.results.sameness import ONE_MACHINE, STACK, differing
from whisperbench.results.schema import decode_run, ids_in
from whisperbench.units import counted

_NUMBERED = re.compile(r"(pair|again)-(\d{2})-(base|head)\.json")

SIDES = ("base", "head")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a measuring job was asked for."""

    base: str
    head: str
    arguments: Sequence[str] = ()
    """Of pytest."""
    fast: bool = False
    """Whether wall time was to be left out."""
    device: str | None = None
    """The kind of device that it was to run on, such as cuda; None where any will do."""


class NotAsExpectedError(InputError):
    """Files that are not what the job was asked for, so that they say nothing of it."""


@dataclass(frozen=True)
class _Pair:
    name: str
    runs: tuple[Run, Run]
    ids: tuple[list[str], list[str]]


def rejudged(files: Mapping[str, bytes], expected: Expected, suite: Suite) -> Comparison:
    """Judge what `whisperbench ab` has left, from the run files alone.

    Args:
        files: by name, all that it has left.
        expected: what was to be measured.
        suite: whose limits, tolerances and gate hold.

    Raises:
        NotAsExpectedError: files are absent, or of other commits, arguments or devices.
        InputError: a file is no run, or holds what no run can.
    """
    compared = decode_compared(_content(files, COMPARISON_FILE))
    _require_expected(compared, expected)
    counts = tuple(_run(files, f"{side}.json") for side in SIDES)
    pairs = list(_pairs(files, compared))
    again = list(_again(files, compared))
    further = [(each.name, each.runs) for each in (*again, *pairs)]
    _require_one_machine([("", counts), *further])
    _require_device(counts[0], expected)
    measured = [("the counts", counts), *further]
    for which, runs in measured:
        _require_same_reference(which, *runs)
    held = judge_executions(
        [(counts[0], held_to(counts[1], suite.limit)), *(each.runs for each in again)], suite
    )
    tried = Tried(pairs=Pairs(suite.tolerance, compared.largest), whole=compared.whole)
    for pair in pairs:
        tried.keep(pair.runs, pair.ids)
    faults = [*compared.faults]
    if compared.fast and "wall" in suite.gate.require and not faults:
        faults.append("wall time was not measured, and the base's suite.toml requires it")
    found = put_together(
        held,
        tried if pairs else None,
        require=suite.gate.require,
        faults=faults,
        remarks=compared.remarks,
    )
    _require_finite(found)
    # With suites of their own the sides may be asked for other benchmarks. A figure of one side
    # alone is new or missing, and no pass. Where there is none to say so, this does.
    apart = [line for which, runs in measured for line in _asked_of_one(which, *runs)]
    if apart and not found.exit_code:
        found = replace(found, unmeasured=apart)
    if compared.exit_code and not found.exit_code:
        # By the head's suite.toml, which may be the stricter one; or the files are not all.
        said = f"whisperbench ab ended with the exit code {compared.exit_code}"
        return replace(found, unmeasured=[said])
    return found


def _content(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        why = (
            "the measuring job did not come to its end, or left something else"
            if name == COMPARISON_FILE
            else "it was lost, or nothing of it was selected, and then nothing can pass"
        )
        raise NotAsExpectedError(f"{name} is absent: {why}")
    return files[name]


def _require_expected(compared: Compared, expected: Expected) -> None:
    """Refuse a comparison of something else than was asked for."""
    for side, measured, wanted in (
        ("base", compared.base, expected.base),
        ("head", compared.head, expected.head),
    ):
        if measured != wanted:
            what = f"the commit {measured}" if measured is not None else "no commit"
            raise NotAsExpectedError(f"the {side} that was measured is {what}, not {wanted}")
    arguments = tuple(map(printable, expected.arguments))
    if compared.arguments != arguments:
        said = [" ".join(each) or "none" for each in (compared.arguments, arguments)]
        raise NotAsExpectedError(f"the arguments of pytest were {said[0]}, not {said[1]}")
    if compared.fast and not expected.fast:
        raise NotAsExpectedError("wall time was left out, and was to be measured")
    if not FEWEST <= compared.largest <= MOST:
        raise NotAsExpectedError(f"no comparison has {counted(compared.largest, 'pair')} at most")
    if not compared.fast and not compared.pairs and not compared.faults:
        raise NotAsExpectedError("no pair of processes was measured, so that wall time is unknown")
    if compared.fast and compared.pairs:
        raise NotAsExpectedError("wall time was left out, and pairs of processes are said to exist")


def _run(files: Mapping[str, bytes], name: str) -> Run:
    """Read a run, which must have measured something and must be of one process."""
    data = _content(files, name)
    run = decode_run(data, name)
    if run.info.processes != 1:
        raise NotAsExpectedError(f"{name}: is a baseline of {run.info.processes} runs, not a run")
    if not run.info.manifest:
        raise NotAsExpectedError(f"{name}: says nothing of what was to be measured")
    asked = {each.benchmark for each in run.info.manifest if not each.deselected}
    ids = ids_in(data, name)
    if len(ids) != len(set(ids)) or not asked.issuperset(ids):
        raise NotAsExpectedError(f"{name}: holds a benchmark that was not asked for, or one twice")
    return run


def _pairs(files: Mapping[str, bytes], compared: Compared) -> Iterator[_Pair]:
    """Read the pairs, of which there must be as many as were measured, one after the other."""
    if compared.pairs > compared.largest + ATTEMPTS:
        raise NotAsExpectedError(f"{compared.pairs} pairs are more than a comparison takes")
    # One that was begun and not ended stands behind them, and then that is among the faults.
    yield from _numbered(files, "pair", compared.pairs, begun=bool(compared.faults))


def _again(files: Mapping[str, bytes], compared: Compared) -> Iterator[_Pair]:
    """Read further executions of counts, of which there must be as many as were measured."""
    if compared.again not in (0, AGAIN):
        raise NotAsExpectedError(
            f"{compared.again} executions after the first are none, or not all {AGAIN}"
        )
    # Those before one that failed are left, and are not judged by: the first stands.
    if compared.again:
        yield from _numbered(files, "again", AGAIN, begun=False)


def _numbered(files: Mapping[str, bytes], what: str, count: int, *, begun: bool) -> Iterator[_Pair]:
    """Read the runs of both sides from the first to the last.

    Args:
        files: all.
        what: pair or again.
        count: as many as must be there.
        begun: whether another one may be there, which was not ended and is not read.
    """
    found = (_NUMBERED.fullmatch(name) for name in files)
    there = {int(each[2]) for each in found if each and each[1] == what}
    wanted = range(1, count + 1)
    if more := there - {*wanted, *([count + 1] if begun else [])}:
        raise NotAsExpectedError(f"{what} {min(more)} is there, and {count} were measured")
    for number in wanted:
        names = [f"{what}-{number:02}-{side}.json" for side in SIDES]
        base, head = (_run(files, name) for name in names)
        ids = [ids_in(files[name], name) for name in names]
        yield _Pair(f"{what} {number}", (base, head), (ids[0], ids[1]))


def _require_one_machine(measured: Sequence[tuple[str, tuple[Run, ...]]]) -> None:
    """Refuse runs of several machines, and sides that changed between their runs."""
    first = measured[0][1]
    for which, runs in measured:
        for side, run, own in zip(SIDES, runs, first, strict=True):
            where = f"the {side}{f' of {which}' if which else ''}"
            if found := differing(first[0].machine, run.machine, ONE_MACHINE):
                raise NotAsExpectedError(f"{where} ran on another machine than the base: {found}")
            if found := differing(own.machine, run.machine, STACK):
                raise NotAsExpectedError(f"{where} has another stack than its counts have: {found}")


def _asked_of_one(which: str, base: Run, head: Run) -> Iterator[str]:
    """Name the benchmarks that one of two runs alone was asked for."""
    asked = [
        Counter((each.benchmark, each.cell) for each in run.info.manifest if not each.deselected)
        for run in (base, head)
    ]
    for side, others in (("base", asked[0] - asked[1]), ("head", asked[1] - asked[0])):
        yield from (f"{which}: the {side} alone was asked for {name}" for name, _ in others)


def _require_same_reference(which: str, base: Run, head: Run) -> None:
    """Refuse two runs that differ in what ratios are of."""
    if base.info.reference != head.info.reference:
        raise NotAsExpectedError(
            f"{which}: ratios are against {base.info.reference} in the base, and against "
            f"{head.info.reference} in the head"
        )


def _require_device(run: Run, expected: Expected) -> None:
    """Refuse what ran on another kind of device, as where the runner has lost its card."""
    kind = run.machine.device_kind
    if expected.device is not None and kind != expected.device:
        raise NotAsExpectedError(
            f"it ran on {kind}, not on {expected.device}: has the runner lost its card?"
        )


def _require_finite(found: Comparison) -> None:
    """Refuse figures so large or small that what was worked out from them is no number."""
    for each in found.judged:
        verdict = each.verdict
        for figure in (verdict.base, verdict.head, verdict.change, *(verdict.interval or ())):
            if figure is not None and not math.isfinite(figure):
                raise NotAsExpectedError(f"{verdict.metric}: no share of it can be worked out")
