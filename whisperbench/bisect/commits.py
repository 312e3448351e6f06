"""Bisection over the commits of a package's repository, which git walks."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from whisperbench.bisect.git import Git
from whisperbench.bisect.measuring import SKIPPED, Measurer
from whisperbench.bisect.releases import Answer, following
from whisperbench.bisect.search import Growth, changes, counts_of, grown, normal, others
from whisperbench.errors import InputError, InvalidMeasurementError, printable
from whisperbench.results.environment import cache_folder
from whisperbench.results.records import Run
from whisperbench.versions.pip import pip_for

Verdict = Literal["good", "bad", "skip"]
"""Of a commit, in git's words."""

_FIRST_BAD = re.compile(r"^([0-9a-f]{40,64}) is the first (?:'bad'|bad) commit", re.MULTILINE)
_ONLY_SKIPPED = "only 'skip'ped commits left"


def bisect_commits(
    repository: Path,
    package: str,
    text: str,
    measurer: Measurer,
    *,
    metric: str | None = None,
    say: Callable[[str], None],
) -> Answer:
    """Find the commit of a repository that made a count grow, as `git bisect run` does.

    The commits are checked out in a worktree of their own, which is removed at the end: the
    repository's own files, its index and a bisection under way there stay as they are. No hook is
    run, and nothing fetched.

    Args:
        repository: a clone of what builds the package.
        package: the distribution that it builds.
        text: GOOD..BAD, two revisions.
        measurer: measures a tree.
        metric: as in `releases.bisect_releases`.
        say: told of each step.

    Raises:
        InputError: the repository, a revision or the package is none, GOOD is no ancestor of BAD,
            or BAD is not worse.
        InvalidMeasurementError: an end cannot be measured.
    """
    git = Git(folder=repository)
    ends = _ends(git, text)
    with _worktree(git, ends[1]) as tree:
        steps = _Steps(tree, package, measurer, say)
        runs, followed = steps.measure_ends(ends, metric)
        return _walk(steps, runs, followed, ends, metric)


def judge_checkout(
    repository: Path,
    package: str,
    text: str,
    measurer: Measurer,
    *,
    metric: str | None = None,
    say: Callable[[str], None],
) -> Verdict:
    """Judge the commit that is checked out in a repository: a step of a bisection of somebody's.

    The ends are measured once and kept, as all runs are.

    Raises:
        InputError: as `bisect_commits`.
        InvalidMeasurementError: an end cannot be measured.
    """
    git = Git(folder=repository)
    commit, ends = git.commit("HEAD"), _ends(git, text)
    with _worktree(git, commit) as tree:
        steps = _Steps(tree, package, measurer, say)
        _, followed = steps.measure_ends(ends, metric)
        return steps.judge(commit, followed, {})


class _Steps:
    """Builds, measures and judges commits in a worktree."""

    def __init__(
        self, tree: Git, package: str, measurer: Measurer, say: Callable[[str], None]
    ) -> None:
        self.tree = tree
        self._package = package
        self._measurer = measurer
        self._say = say

    def measure_ends(
        self, ends: tuple[str, str], metric: str | None
    ) -> tuple[dict[str, Run], Growth]:
        """Measure both ends; return their runs, and the count that is followed between them.

        Raises:
            InvalidMeasurementError: one of them cannot be measured.
            InputError: the bad one is not worse.
        """
        runs: dict[str, Run] = {}
        for commit, which in zip(ends, ("good", "bad"), strict=True):
            try:
                runs[commit] = self.measure(commit)
            except SKIPPED as error:
                raise InvalidMeasurementError(
                    f"the {which} end cannot be measured; name another revision: {error}"
                ) from error
            self._say(f"{self.name(commit)}: measured")
        good, bad = (counts_of(runs[each]) for each in ends)
        growths = grown(good, bad, (self.name(ends[0]), self.name(ends[1])), metric)
        self._say(following(growths))
        self._say(f"a commit with more than {growths[0].boundary:.10g} is bad: half of the way")
        return runs, growths[0]

    def judge(self, commit: str, followed: Growth, runs: dict[str, Run]) -> Verdict:
        """Measure a commit, add its run to those that there are, and say what it is."""
        try:
            runs[commit] = self.measure(commit)
        except SKIPPED as error:
            self._say(f"skipped: {error}")
            return "skip"
        count = counts_of(runs[commit]).get(followed.place)
        if count is None:
            self._say(f"skipped: {self.name(commit)}: {followed.place} was not measured")
            return "skip"
        verdict: Verdict = "bad" if count > followed.boundary else "good"
        self._say(f"{self.name(commit)}: {count:.10g}, {verdict}")
        return verdict

    def name(self, commit: str) -> str:
        """Name a commit in a sentence, with its subject."""
        return printable(self.tree.run("log", "-1", "--format=%h (%s)", commit).strip())

    def others(self, parent: str, commit: str) -> str | None:
        """Say which other packages the runs of two commits had in other versions."""
        before, after = (self._measurer.packages_of(self.name(each)) for each in (parent, commit))
        return others(before, after, self._package)

    def measure(self, commit: str) -> Run:
        """Check a commit out, build it, and return its run.

        Raises:
            NotInstallableError: it cannot be built or installed.
            InvalidMeasurementError: it cannot be run.
            InputError: it builds another package.
        """
        self.tree.run("checkout", "--quiet", "--force", "--detach", commit)
        # What an earlier build left would get into the wheel.
        self.tree.run("clean", "-ffdxq")
        python = self._measurer.python
        with tempfile.TemporaryDirectory(prefix="whisperbench-wheel-") as folder:
            wheel = pip_for(python).wheel_of(self.tree.folder, Path(folder), python)
            built = wheel.name.partition("-")[0]
            if normal(built) != normal(self._package):
                raise InputError(
                    f"the repository builds {built}, and not {printable(self._package)}: name the "
                    "package that it builds"
                )
            return self._measurer.run_of(str(wheel), self.name(commit))


def _walk(
    steps: _Steps,
    runs: dict[str, Run],
    followed: Growth,
    ends: tuple[str, str],
    metric: str | None,
) -> Answer:
    """Let git choose commits until it names the first bad one."""
    tree, (good, bad) = steps.tree, ends
    # git only chooses, and nothing that a build has rewritten can keep it from going on: whoever
    # measures checks out by force.
    said = tree.run("bisect", "start", "--no-checkout", bad, good)
    judged: set[str] = set()
    while not ((first := _FIRST_BAD.search(said)) or _ONLY_SKIPPED in said):
        commit = tree.run("rev-parse", "BISECT_HEAD").strip()
        if commit in judged:
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            raise InputError(f"git bisect does not go on from {steps.name(commit)}: {last}")
        judged.add(commit)
        verdict = steps.judge(commit, followed, runs)
        said = tree.run("bisect", verdict, commit, fails=True)
    if first is None:
        left = re.findall(r"^[0-9a-f]{40,64}$", said, re.MULTILINE)
        names = ", ".join(steps.name(each) for each in left)
        lines = [f"not decided: one of these is the first bad commit: {names}"]
        return Answer(lines=tuple(lines), decided=False, first_bad="")
    return Answer(
        lines=tuple(_told(steps, runs, first[1], followed, metric)),
        decided=True,
        first_bad=first[1],
    )


def _told(
    steps: _Steps, runs: dict[str, Run], first_bad: str, followed: Growth, metric: str | None
) -> Iterator[str]:
    """Name the first bad commit, and what it changed."""
    parent = steps.tree.run("rev-parse", f"{first_bad}^1").strip()
    yield f"{first_bad} is the first bad commit: {steps.name(first_bad)}"
    try:
        before = runs[parent] if parent in runs else steps.measure(parent)
    except SKIPPED as error:
        yield f"what it changed cannot be told: {error}"
        return
    for line in changes(before, runs[first_bad], followed.place, metric):
        yield f"  {line}"
    if told := steps.others(parent, first_bad):
        yield f"  {told}"


def _ends(git: Git, text: str) -> tuple[str, str]:
    """Find the two commits.

    Raises:
        InputError: this is no range, a revision is none, or good is no ancestor of bad.
    """
    good, dots, bad = (each.strip() for each in text.partition(".."))
    if not (dots and good and bad) or bad.startswith("."):
        raise InputError(f"{printable(text)!r} is no range: write GOOD..BAD, two revisions")
    ends = git.commit(good), git.commit(bad)
    if ends[0] == ends[1]:
        raise InputError(f"{printable(text)}: both ends are the same commit")
    if not git.is_ancestor(*ends):
        newer = git.is_ancestor(ends[1], ends[0])
        raise InputError(
            f"{printable(text)}: {good} is {'newer than' if newer else 'no ancestor of'} {bad}; "
            "write the older revision, which is good, first"
        )
    return ends


@contextmanager
def _worktree(git: Git, commit: str) -> Iterator[Git]:
    """Give a worktree of its own, and remove it whatever happens.

    Who bisects holds the lock of recordings, so that no other bisection's is taken away.
    """
    root = cache_folder().resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob("bisect-*/.git"):  # by one that was killed
            _remove(left.parent)
        folder = Path(tempfile.mkdtemp(prefix="bisect-", dir=root))
    except OSError as error:
        raise InputError(f"{root}: cannot be written: {error.strerror}") from error
    try:
        git.run("worktree", "add", "--quiet", "--detach", "--force", str(folder), commit)
        yield Git(folder=folder)
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a worktree, and what its repository knows of it; other worktrees are let be."""
    with suppress(InputError):
        owner = folder / Git(folder=folder).run("rev-parse", "--git-common-dir").rstrip("\n")
        Git(folder=owner).run("worktree", "remove", "--force", str(folder), fails=True)
    shutil.rmtree(folder, ignore_errors=True)
