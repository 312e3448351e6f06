"""What the cells of a comparison have run of what differs between its sides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from whisperbench.judge.reach import Reach, reach
from whisperbench.results.reach import Changes, Entered
from whisperbench.units import counted
from whisperbench.versions.changes import (
    SUITE,
    changes_of_interpreters,
    changes_of_trees,
    joined,
)
from whisperbench.versions.revisions import Tree
from whisperbench.versions.suites import holds_suite


def reach_of(
    pythons: tuple[Path, Path], trees: tuple[Tree, Tree] | None, entered: Entered
) -> tuple[Reach, list[str]]:
    """Say what of the code that differs the head's run has entered.

    Args:
        pythons: interpreters of base and head.
        trees: files of both, where they are revisions.
        entered: by the head's run.

    Returns:
        What was reached, with remarks on what differs and is not compared. Where nothing else
        differs, nothing was reached.

    Raises:
        InputError: an interpreter does not run, or a file cannot be read.
    """
    found = [changes_of_interpreters(*pythons, entered)]
    remarks = []
    if trees is not None:
        folders = trees[0].folder, trees[1].folder
        suite = SUITE if holds_suite(folders[1]) else ()
        found.append(changes_of_trees(*folders, entered, leave_out=suite))
        if own := _functions(changes_of_trees(*folders, entered)) - _functions(found[-1]):
            remarks.append(
                f"{counted(own, 'function')} of the suite itself differ between base and head; the "
                "head's suite measures both sides, so that these are not compared"
            )
    differs = joined(*found)
    reached = reach(differs, entered)
    if remarks and differs.nothing:
        reached = replace(reached, unreached=True, sentence=f"unreached: {remarks.pop()}")
    return reached, remarks


def _functions(changes: Changes) -> int:
    return len(changes.functions)
