"""What differs between the code of two sides: functions, and what cannot be looked into."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from whisperbench.errors import InputError, one_line
from whisperbench.results.reach import MODULE, Change, Changes, ClosedFile, Entered
from whisperbench.versions.files import FilePair, differing, folder_files
from whisperbench.versions.functions import differences
from whisperbench.versions.installed import Installed, Listed, installed_in

SUITE = ("baselines", "benchmarks", "conftest.py", "fixtures", "results", "whisperbench")
"""Of a repository that holds the suite, what is the suite's: it measures both sides, as the head
has it, so it is no difference between them."""

LOCKS = ("constraints.txt", "requirements.txt")
"""What an environment is made of. What comes of it is looked at in the environments."""

UNOPENED_BYTES = 2 * 2**20
"""Files that differ and that the run has not imported are looked into as long as they are together
no larger than this: reading syntax takes a second a MiB."""


@dataclass(frozen=True, kw_only=True)
class Differing:
    """Files that two sides do not have alike, before any of them is looked into."""

    pairs: tuple[FilePair, ...] = ()
    closed: tuple[ClosedFile, ...] = ()
    """What differs otherwise."""
    versions: tuple[str, ...] = ()
    """As of `Changes`."""

    @property
    def nothing(self) -> bool:
        """Whether the two sides are the same."""
        return not (self.pairs or self.closed or self.versions)

    def looked_into(self, entered: Entered | None = None) -> Changes:
        """Find the functions that differ.

        Args:
            entered: what the head's run entered: the files of which a function ran are looked into
                first.

        Raises:
            InputError: a file cannot be read.
        """
        found = _changes(self.pairs, entered)
        return joined(found, Changes(closed=self.closed, versions=self.versions))


def changes_of_trees(
    base: Path, head: Path, entered: Entered | None = None, *, leave_out: Collection[str] = ()
) -> Changes:
    """Compare two work trees, and look into what differs: `differing_trees` has the arguments."""
    return differing_trees(base, head, leave_out=leave_out).looked_into(entered)


def changes_of_interpreters(base: Path, head: Path, entered: Entered | None = None) -> Changes:
    """Compare what two interpreters import, and look into what differs."""
    return differing_interpreters(base, head).looked_into(entered)


def differing_trees(base: Path, head: Path, *, leave_out: Collection[str] = ()) -> Differing:
    """Compare two work trees.

    Args:
        base: its folder.
        head: likewise. Of both all files count that git tracks, or that are new and not ignored.
        leave_out: names at the top of both that are not compared, such as `SUITE`.

    Raises:
        InputError: a file cannot be read.
    """
    ignored = {*leave_out, *LOCKS}
    pairs = differing(
        folder_files(base, ignored),
        folder_files(head, ignored),
        base_folder=base,
        head_folder=head,
    )
    return Differing(pairs=tuple(pairs))


def differing_interpreters(base: Path, head: Path) -> Differing:
    """Compare what two interpreters import.

    Args:
        base: the executable.
        head: likewise.

    Raises:
        InputError: one of them does not run, or a file cannot be read.
    """
    if base.absolute() == head.absolute():  # links apart: a venv's python is one
        return Differing()
    listed = Listed()
    one, two = installed_in(base, listed), installed_in(head, listed)
    same = {name for name, digest in one.hashes.items() if two.hashes.get(name) == digest}
    pairs = differing(
        one.files,
        two.files,
        base_folder=_first(one),
        head_folder=_first(two),
        same={name for name in same if _are_whole(one, two, name)},
    )
    closed = [] if one.python == two.python else ["the library of Python itself"]
    for name in sorted(one.editable.keys() | two.editable.keys()):
        before, after = one.editable.get(name), two.editable.get(name)
        if before is None or after is None:
            closed.append(f"{name}, which one side imports from where it is developed")
        elif before.resolve() != after.resolve():
            pairs += differing(
                folder_files(before),
                folder_files(after),
                base_folder=before,
                head_folder=after,
            )
    closed += _other_folders(one, two)
    versions = tuple(
        name
        for name in sorted(one.versions.keys() | two.versions.keys())
        if one.versions.get(name) != two.versions.get(name)
    )
    return Differing(
        pairs=tuple(pairs),
        closed=tuple(ClosedFile(file=each) for each in closed),
        versions=versions,
    )


def joined(*found: Changes) -> Changes:
    """Put what differs in several places together."""
    return Changes(
        functions=tuple(change for each in found for change in each.functions),
        closed=tuple(file for each in found for file in each.closed),
        versions=tuple(name for each in found for name in each.versions),
        unopened=sum(each.unopened for each in found),
    )


def _first(installed: Installed) -> Path:
    """Return the folder in which a package would lie that is not there."""
    return next((each for each in installed.folders if each.name.endswith("-packages")), Path())


def _are_whole(one: Installed, two: Installed, name: str) -> bool:
    """Whether a large file has the size, on both sides, that its installer wrote down."""
    try:
        sizes = {Path(each.files[name]).stat().st_size for each in (one, two)}
    except (KeyError, OSError):
        return False
    return sizes == {int(one.hashes[name].rpartition(" ")[2])}


def _other_folders(one: Installed, two: Installed) -> list[str]:
    """Name the folders that one side alone imports from, and that are no installed packages."""

    def others(installed: Installed) -> set[Path]:
        developed = [each.resolve() for each in installed.editable.values()]
        return {
            folder
            for folder in installed.folders
            if not folder.name.endswith("-packages")
            and not any(folder.is_relative_to(each) for each in developed)
        }

    return [f"{folder}, on one side's path" for folder in sorted(others(one) ^ others(two))]


def _changes(pairs: Sequence[FilePair], entered: Entered | None) -> Changes:
    """Look into the files that differ."""
    functions: list[Change] = []
    closed: list[ClosedFile] = []
    unopened: list[FilePair] = []
    for pair in pairs:
        if not pair.is_python:
            closed.append(_closed(pair))
        elif entered is None or entered.imports(_real(pair.head)):
            _look_into(pair, functions, closed)
        else:
            unopened.append(pair)
    sides = [(pair.base, pair.in_base) for pair in unopened]
    sides += [(pair.head, pair.in_head) for pair in unopened]
    size_bytes = sum(path.stat().st_size for path, there in sides if there)
    if size_bytes > UNOPENED_BYTES:
        # A file that the head lacks is named: its absence may be what the head's run took note of.
        gone = [pair for pair in unopened if not pair.in_head]
        functions += [_whole(pair) for pair in gone]
        return Changes(
            functions=tuple(functions), closed=tuple(closed), unopened=len(unopened) - len(gone)
        )
    for pair in unopened:
        _look_into(pair, functions, closed)
    return Changes(functions=tuple(functions), closed=tuple(closed))


def _look_into(pair: FilePair, functions: list[Change], closed: list[ClosedFile]) -> None:
    """Add the functions that differ; where Python cannot read a side, the file as a whole."""
    try:
        found = differences(_text(pair, head=False), _text(pair, head=True))
    except (SyntaxError, ValueError, RecursionError):
        closed.append(_closed(pair))
        return
    functions += [
        Change(
            file=pair.file,
            name=each.name,
            path=_real(pair.head),
            base_path=_real(pair.base),
            kind=each.kind,
            within=each.within,
        )
        for each in found
    ]
    if pair.in_base != pair.in_head and not any(each.name == MODULE for each in found):
        functions.append(_whole(pair))  # it is empty


def _closed(pair: FilePair) -> ClosedFile:
    """Make what differs and cannot be looked into of a file.

    What the interpreter reads at its start, before anything can be recorded, has no path.
    """
    at_start = pair.file.endswith(".pth") or pair.head.name == "entry_points.txt"
    return ClosedFile(
        file=pair.file,
        path="" if at_start else _real(pair.head),
        on_both=pair.in_base and pair.in_head,
    )


def _whole(pair: FilePair) -> Change:
    """Make the change of a module that one side does not have."""
    return Change(
        file=pair.file,
        name=MODULE,
        path=_real(pair.head),
        base_path=_real(pair.base),
        kind="added" if pair.in_head else "removed",
    )


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _text(pair: FilePair, *, head: bool) -> bytes:
    """Read a side of a file; nothing where it has none.

    Raises:
        InputError: it cannot be read.
    """
    there, path = (pair.in_head, pair.head) if head else (pair.in_base, pair.base)
    if not there:
        return b""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read to compare it: {one_line(error.strerror)}"
        ) from error
