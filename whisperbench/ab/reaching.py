"""What the head's cells have run of what differs between the sides of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from whisperbench.judge.reach import NOTHING, Reach, beside_the_suite, reach
from whisperbench.results.reach import Entered
from whisperbench.units import counted
from whisperbench.versions.changes import (
    SUITE,
    Differing,
    changes_of_trees,
    differing_interpreters,
    differing_trees,
    joined,
)
from whisperbench.versions.revisions import Tree
from whisperbench.versions.suites import holds_suite


def reach_of(
    pythons: tuple[Path, Path],
    trees: tuple[Tree, Tree] | None,
    record: Callable[[], Entered],
    *,
    own_suites: bool = False,
) -> tuple[Reach, list[str]]:
    """Say what of the code that differs the head's run has entered.

    Args:
        pythons: interpreters of base and head.
        trees: files of both, where they are revisions.
        record: runs the head's cells, and returns what it entered. It is not called where
            nothing differs that it could enter.
        own_suites: whether each side is measured by its own suite, which is code like any other.

    Returns:
        What was reached, with remarks on what differs and is not compared.

    Raises:
        InputError: an interpreter does not run, or a file cannot be read.
    """
    differing = [differing_interpreters(*pythons)]
    own = 0
    if trees is not None:
        folders = trees[0].folder, trees[1].folder
        suite = SUITE if holds_suite(folders[1]) and not own_suites else ()
        differing.append(differing_trees(*folders, leave_out=suite))
        own = _functions_of_suite(*folders) if suite else 0
    found = NOTHING
    if not all(each.nothing for each in differing):
        found = _reached(differing, record())
    reached = beside_the_suite(found, own)
    remarks = []
    if own and not reached.unreached:
        differ = "differs" if own == 1 else "differ"
        remarks.append(
            f"{counted(own, 'function')} of the suite itself {differ} between base and head; the "
            "head's suite measures both sides, so that this is not compared"
        )
    return reached, remarks


def _reached(differing: list[Differing], entered: Entered) -> Reach:
    return reach(joined(*(each.looked_into(entered) for each in differing)), entered)


def _functions_of_suite(base: Path, head: Path) -> int:
    """Count the functions of the suite itself that differ between two trees."""
    names = {each.name for folder in (base, head) for each in folder.iterdir()}
    changes = changes_of_trees(base, head, leave_out=names - {*SUITE})
    return len(changes.functions) + changes.unopened
