"""From what `whisperbench ab` was given to the two sides: revisions, interpreters, a difference."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from whisperbench.ab.sides import Side
from whisperbench.asked.checkout import ROOT, require_checkout
from whisperbench.errors import InputError
from whisperbench.versions.environments import environment_of
from whisperbench.versions.layers import layered
from whisperbench.versions.revisions import Tree, checked_out, state_of
from whisperbench.versions.scratch import scratch
from whisperbench.versions.suites import RUNNING, holds_suite, own_paths, suite_for


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the two sides are to be, as the command was given."""

    base: str | None = None
    """A revision."""
    head: str | None = None
    """A revision; None for the work tree."""
    repository: Path = Path()
    base_python: Path | None = None
    head_python: Path | None = None
    base_with: Sequence[str] = ()
    """Requirements that are installed over the environment."""
    head_with: Sequence[str] = ()
    own_suites: bool = False
    """Whether each revision's own suite measures it, in a repository that holds the suite."""

    def __post_init__(self) -> None:
        """Refuse what says too little, or two things.

        Raises:
            InputError: it does.
        """
        pythons = (self.base_python, self.head_python)
        differ = bool(self.base_with or self.head_with)
        if self.base is None and not differ and None in pythons:
            raise InputError(
                "name what to compare: a git revision as BASE, or --base-python and --head-python, "
                "or --base-with 'transformers==5.17.0'"
            )
        if self.base is not None and pythons != (None, None):
            raise InputError(
                "BASE is a revision, which brings its own environment: drop --base-python and "
                "--head-python, or BASE"
            )
        if pythons != (None, None) and None in pythons and not differ:
            raise InputError("--base-python and --head-python go together: name both")
        for option, python in zip(("--base-python", "--head-python"), pythons, strict=True):
            if python is not None and not (python.is_file() and os.access(python, os.X_OK)):
                raise InputError(f"{option} {python}: is no interpreter that can be run")
        if self.own_suites and self.base is None:
            raise InputError("--own-suites is for two revisions: name one as BASE")


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Both sides, ready to run."""

    base: Side
    head: Side
    trees: tuple[Tree, Tree] | None
    """Their files, where they are revisions."""
    remarks: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    """Of the trees, as they were before anything was measured."""

    def edited(self) -> list[str]:
        """Name the trees that somebody has edited since: what was measured was not one thing.

        Raises:
            InputError: the repository cannot be read any more.
        """
        return [
            f"{tree.name} was edited while it was measured: measure again, or name a revision"
            for tree, state in zip(self.trees or (), self.states, strict=True)
            if state_of(tree) != state
        ]


@contextmanager
def resolved(wish: Wish, say: Callable[[str], None]) -> Iterator[Sides]:
    """Make both sides ready, for as long as they are needed.

    Raises:
        InputError: a revision, lock, interpreter or requirement cannot be used.
    """
    with ExitStack() as stack:
        place = stack.enter_context(scratch("suite"))
        if wish.base is None:
            yield _of_interpreters(wish, place / "suite", say)
            return
        head = stack.enter_context(checked_out(wish.repository, wish.head))
        base = stack.enter_context(checked_out(wish.repository, wish.base))
        states = state_of(base), state_of(head)
        suites = _suites(wish, (base, head), place)
        sides = []
        for name, tree, suite, more in (
            ("base", base, suites[0], wish.base_with),
            ("head", head, suites[1], wish.head_with),
        ):
            environment = environment_of(tree, suite, say)
            python = _with(environment.python, more, say)
            sides.append(
                Side(name=name, python=python, suite=suite, own=own_paths(tree), what=tree.name)
            )
        yield Sides(
            base=sides[0],
            head=sides[1],
            trees=(base, head),
            states=states,
            remarks=tuple(dict.fromkeys((*base.remarks, *head.remarks))),
        )


def _suites(wish: Wish, trees: tuple[Tree, Tree], place: Path) -> tuple[Path, Path]:
    """Return the folders of the suites that measure base and head."""
    if not wish.own_suites:
        suite = suite_for(trees[1], place / "suite")
        return suite, suite
    for tree in trees:
        if not holds_suite(tree.folder):
            raise InputError(f"{tree.name}: holds no suite of its own: drop --own-suites")
    return trees[0].folder, trees[1].folder


def _of_interpreters(wish: Wish, place: Path, say: Callable[[str], None]) -> Sides:
    require_checkout("ab")
    here = Tree(name=RUNNING, folder=ROOT, commit=None, dirty=False)
    suite = suite_for(here, place)
    own = Path(sys.executable)
    head = wish.head_python or wish.base_python or own
    base = wish.base_python or head
    return Sides(
        base=_side("base", suite, base, wish.base_with, say),
        head=_side("head", suite, head, wish.head_with, say),
        trees=None,
    )


def _side(
    name: str, suite: Path, python: Path, more: Sequence[str], say: Callable[[str], None]
) -> Side:
    what = f"{python} with {', '.join(more)}" if more else str(python)
    return Side(name=name, suite=suite, python=_with(python.absolute(), more, say), what=what)


def _with(python: Path, more: Sequence[str], say: Callable[[str], None]) -> Path:
    return layered(python, more, say).python if more else python
