"""What a gate's cells have run of what was changed: a gate that reached nothing of it saw nothing.

A changed function was run if the head's process entered it. It also counts as reached where its
definition differs (its name, arguments, decorators or base classes, or that it is there at all) and
the body around it ran, because that body does something else now. So what is said to be unreached
cannot have changed a count: up to the first instruction that differs both sides do the same, and
that instruction stands in a function or body that is entered, in a file whose absence counts as
reached, or in one that cannot be looked into, which counts as reached as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whisperbench.results.reach import MODULE, Change, Changes, Entered
from whisperbench.units import counted

NAMED = 5
"""Functions or files that a sentence names."""

_TEST = re.compile(r"(^|/)(tests?/|test_[^/]*\.py$|[^/]*_test\.py$|conftest\.py$)")


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What the cells of a run reached of what differs between base and head."""

    sentence: str
    """What there is to say."""
    unreached: bool
    """Whether something was changed and none of it was reached: then nothing was judged, and that
    is no pass."""
    run: tuple[Change, ...] = ()
    """Functions that were entered."""
    defined: tuple[Change, ...] = ()
    """Functions that were not, but that the body around them defines otherwise, or no more."""
    missed: tuple[Change, ...] = ()
    """The others."""
    tests: tuple[Change, ...] = ()
    """Those of the others that are tests, which no cell is to run."""

    @property
    def changed(self) -> int:
        """How many functions differ, without tests that did not run."""
        return len(self.run) + len(self.defined) + len(self.missed)


def reach(changes: Changes, head: Entered, base: Entered | None = None) -> Reach:
    """Say what a run reached of what was changed.

    Args:
        changes: what differs.
        head: what the head's run entered.
        base: what the base's run entered, which decides of functions and files that the head does
            not have. Without it a file that the head lacks counts as reached.

    Returns:
        A sentence, and whether nothing was reached.
    """
    if changes.nothing:
        return Reach(sentence="base and head have the same code", unreached=False)
    run, defined, missed, tests = [], [], [], []
    for change in changes.functions:
        if _ran(change, head, base):
            run.append(change)
        elif _is_defined(change, head, base):
            defined.append(change)
        elif _TEST.search(change.file):
            tests.append(change)
        else:
            missed.append(change)
    closed = [*changes.closed, *(f"the version of {name}" for name in _asked(changes, head))]
    count = len(run) + len(defined) + len(missed)
    unreached = not (run or defined or closed) and (count > 0 or changes.unopened > 0)
    parts = [
        _of_functions(run, defined, missed, unreached=unreached),
        _of_unopened(changes.unopened, unreached=unreached and not count),
        _of_closed(closed, ran=bool(run)),
        _of_tests(tests),
        *(f"{why}, so all of an imported file counts as run" for why in head.unseen[:1]),
    ]
    said = "; ".join(part for part in parts if part)
    return Reach(
        sentence=said or "what differs is not in the code: versions of packages that nothing asks",
        unreached=unreached,
        run=tuple(run),
        defined=tuple(defined),
        missed=tuple(missed),
        tests=tuple(tests),
    )


def _ran(change: Change, head: Entered, base: Entered | None) -> bool:
    """Whether a function ran on either side."""
    if head.runs(change.path, change.name):
        return True
    return base is not None and base.runs(change.base_path, change.name)


def _is_defined(change: Change, head: Entered, base: Entered | None) -> bool:
    """Whether a definition that differs was executed, or missed by what looked for its file."""
    if change.within is not None:
        sides = [(head, change.path)] + ([(base, change.base_path)] if base is not None else [])
        return any(side.runs(path, change.within) for side, path in sides)
    if change.name != MODULE or change.kind == "changed":
        return False
    # The head may have looked for the file, in vain, and gone on without it.
    if change.kind == "removed" and base is None:
        return True
    asked = {_plain(name.partition(".")[0]) for name in head.asked}
    return _plain(change.file.partition("/")[0].removesuffix(".py")) in asked


def _asked(changes: Changes, head: Entered) -> list[str]:
    """Return the packages of other versions whose version the run asked for."""
    asked = {_plain(name) for name in head.asked}
    return [name for name in changes.versions if _plain(name) in asked]


def _plain(name: str) -> str:
    """Write a package's name as others write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _of_functions(
    run: Sequence[Change], defined: Sequence[Change], missed: Sequence[Change], *, unreached: bool
) -> str:
    count = len(run) + len(defined) + len(missed)
    if not count:
        return ""
    if unreached:
        none = (
            f"none of {count} changed functions was"
            if count > 1
            else "the changed function was not"
        )
        return (
            f"{none} run by these cells, so their figures say nothing of the change: "
            f"{_named(missed)}"
        )
    if count == len(run) == 1:
        return f"the changed function was run by these cells: {run[0]}"
    said = f"{len(run)} of {counted(count, 'changed function')} were run by these cells"
    if missed:
        said += f"; not run: {_named(missed)}"
    if defined:
        said += f"; not run, but defined otherwise: {_named(defined)}"
    return said


def _of_unopened(files: int, *, unreached: bool) -> str:
    if not files:
        return ""
    were = "was" if files == 1 else "were"
    said = f"{counted(files, 'more changed file')} {were} not imported by these cells"
    return f"{said}, so their figures say nothing of the change" if unreached else said


def _of_closed(closed: Sequence[str], *, ran: bool) -> str:
    if not closed:
        return ""
    also = " too" if ran else ""
    changes = counted(len(closed), "change")
    return f"{changes} cannot be looked into and may matter{also}: {_named(closed)}"


def _of_tests(tests: Sequence[Change]) -> str:
    if not tests:
        return ""
    are = "is" if len(tests) == 1 else "are"
    return f"{counted(len(tests), 'changed function')} of tests {are} not counted"


def _named(things: Sequence[object]) -> str:
    """Name the first few, and say how many more there are."""
    named: Iterable[str] = map(str, things[:NAMED])
    more = len(things) - NAMED
    return ", ".join([*named, *([f"and {more} more"] if more > 0 else [])])
