"""What cells have run of what was changed: a gate that reached nothing of it saw nothing.

A changed function was run if the head's process entered it. It also counts as reached where its
definition differs (its name, arguments, decorators or base classes, or that it is there at all) and
the body around it ran, because that body does something else now. So what is said to be unreached
cannot have changed a count: up to the first instruction that differs both sides do the same, and
that instruction stands in a function or body that is entered, or follows from a file that is read
or looked for.

A file that cannot be looked into counts as reached where the process touched anything in the
same folder at the top, for code in a package may read its data without Python, or where it opened
the file itself. A Python file that only one side has counts where it was imported, or was to be,
or where something listed the folder that lacks it or looked for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from whisperbench.results.reach import MODULE, Change, Changes, ClosedFile, Entered
from whisperbench.units import counted

NAMED = 5
"""Functions or files that a sentence names."""

_TEST = re.compile(r"(^|/)(tests?/|test_[^/]*\.py$|[^/]*_test\.py$|conftest\.py$)")

_LAST_PART = re.compile(r"[/\\][^/\\]*$")


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a run reached of what differs between base and head."""

    sentence: str
    """What there is to say."""
    unreached: bool
    """Whether something was changed and none of it was reached: then nothing was judged, and that
    is no pass."""
    run: tuple[Change, ...] = ()
    """Functions that were entered."""
    defined: tuple[Change, ...] = ()
    """Functions that were not, but whose definition differs, in a body that was."""
    missed: tuple[Change, ...] = ()
    """The others."""
    tests: tuple[Change, ...] = ()
    """Those of the others that are tests, which no cell is to run."""
    closed: tuple[str, ...] = ()
    """What cannot be looked into and may have been read."""
    unread: tuple[str, ...] = ()
    """What cannot be looked into and was not read."""

    @property
    def changed(self) -> int:
        """How many functions differ, without tests that did not run."""
        return len(self.run) + len(self.defined) + len(self.missed)

    @property
    def anything(self) -> bool:
        """Whether anything of what differs was reached."""
        return bool(self.run or self.defined or self.closed)


NOTHING = Reach(sentence="no code differs between base and head", unreached=False)
"""Of two sides that are the same."""


def reach(changes: Changes, head: Entered, base: Entered | None = None) -> Reach:
    """Say what a run reached of what was changed.

    Args:
        changes: what differs.
        head: what the head's run entered.
        base: what the base's run entered, which decides as well of functions that the head does
            not have.

    Returns:
        A sentence, and whether nothing was reached.
    """
    if changes.nothing:
        return NOTHING
    run, defined, missed, tests = [], [], [], []
    asked = {_plain(name) for name in head.asked}
    for change in changes.functions:
        if _ran(change, head, base):
            run.append(change)
        elif _is_defined(change, head, base):
            defined.append(change)
        elif _TEST.search(change.file):
            tests.append(change)
        else:
            missed.append(change)
    touched = _folders_touched(head)
    closed: list[str] = []
    unread: list[ClosedFile] = []
    for file in changes.closed:
        if _is_read(file, head, touched):
            closed.append(str(file))
        else:
            unread.append(file)
    closed += [f"the version of {name}" for name in changes.versions if _plain(name) in asked]
    count = len(run) + len(defined) + len(missed)
    code = count or changes.unopened or any(file.is_library for file in unread)
    unreached = bool(code) and not (run or defined or closed)
    parts = [
        _of_functions(run, defined, missed),
        _of_unopened(changes.unopened),
        _of_closed(closed, ran=bool(run)),
        _of_unread(unread),
        _of_tests(tests),
        *(f"{why}, so all of an imported file counts as run" for why in head.unseen[:1]),
    ]
    said = "; ".join(part for part in parts if part) or (
        "no code differs between base and head, and these cells did not ask for the versions "
        f"that do: {_named(changes.versions)}"
    )
    if unreached:
        said = f"unreached: {said}; so its counts say nothing of the change"
    return Reach(
        sentence=said,
        unreached=unreached,
        run=tuple(run),
        defined=tuple(defined),
        missed=tuple(missed),
        tests=tuple(tests),
        closed=tuple(closed),
        unread=tuple(map(str, unread)),
    )


def beside_the_suite(found: Reach, own: int) -> Reach:
    """Say that nothing was reached where the suite itself differs, and nothing else was reached.

    Args:
        found: of all that is not the suite's.
        own: functions of the suite that differ. The head's suite measures both sides.
    """
    if not own or found.anything:
        return found
    differ = "differs" if own == 1 else "differ"
    said = (
        f"{counted(own, 'function')} of the suite itself {differ} between base and head, and the "
        "head's suite measures both sides"
    )
    rest = found.sentence.removeprefix("unreached: ")
    beside = "" if found == NOTHING else f"; of what else differs: {rest}"
    return replace(found, unreached=True, sentence=f"unreached: {said}{beside}")


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
    if _is_sought(change.file, change.path, head):
        return True
    module = change.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    # A folder of the path may lie below the repository's: a module is known by the name's end.
    if any(f".{module}".endswith(f".{name}") for name in head.tried):
        return True
    asked = {_plain(name.partition(".")[0]) for name in head.asked}
    return _plain(module.partition(".")[0]) in asked


def _is_sought(file: str, path: str, head: Entered) -> bool:
    """Whether the run looked for a file that one side alone has, or listed a folder over it."""
    if path in head.opened:
        return True
    folders = []
    for _ in range(file.count("/") + 1):
        path = _LAST_PART.sub("", path)
        folders.append(path)
    # Both sides have the folder at the top: that somebody looked for it says nothing.
    return not ({*folders}.isdisjoint(head.listed) and {*folders[:-1]}.isdisjoint(head.opened))


def _folders_touched(head: Entered) -> frozenset[str]:
    """Return all folders under which a run opened, listed or imported something."""
    found: set[str] = set()
    for path in (
        *head.functions,
        *head.before,
        *head.opened,
        *(f"{each}/" for each in head.listed),
    ):
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(found)


def _is_read(file: ClosedFile, head: Entered, touched: frozenset[str]) -> bool:
    """Whether a run may have read a file that cannot be looked into."""
    root = file.path.removesuffix(file.file)
    if not file.path or root == file.path or (file.is_library and not head.libraries):
        return True
    top, _, below = file.file.partition("/")
    if file.path in head.opened or (below and f"{root}{top}" in touched):
        return True
    return not file.on_both and _is_sought(file.file, file.path, head)


def _plain(name: str) -> str:
    """Write a package's name as others write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _of_functions(
    run: Sequence[Change], defined: Sequence[Change], missed: Sequence[Change]
) -> str:
    count = len(run) + len(defined) + len(missed)
    if not count:
        return ""
    if count == len(run) == 1:
        return f"the changed function was run by these cells: {run[0]}"
    if count == 1:
        said = "the changed function was not run by these cells"
    else:
        were = "was" if len(run) == 1 else "were"
        number = str(len(run)) if run else "none"
        said = f"{number} of {count} changed functions {were} run by these cells"
    if missed:
        said += f"{': ' if count == len(missed) else '; not run: '}{_named(missed)}"
    if defined:
        rest = "" if count == 1 else "; not run, but"
        told = "its definition changed and was executed"
        if len(defined) > 1:
            told = "their definitions changed and were executed"
        said += f"{rest or ', but'} {told}: {_named(defined)}"
    return said


def _of_unopened(files: int) -> str:
    if not files:
        return ""
    were = "was" if files == 1 else "were"
    return f"{counted(files, 'more changed file')} {were} not imported by these cells"


def _of_closed(closed: Sequence[str], *, ran: bool) -> str:
    if not closed:
        return ""
    also = " too" if ran else ""
    changes = counted(len(closed), "change")
    return f"{changes} cannot be looked into and may matter{also}: {_named(closed)}"


def _of_unread(files: Sequence[ClosedFile]) -> str:
    if not files:
        return ""
    were = "was" if len(files) == 1 else "were"
    others = counted(len(files), "changed file")
    return f"{others} of data or machine code {were} not read by these cells: {_named(files)}"


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
