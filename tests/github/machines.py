"""What stands where the network and the GPU would be.

It is a Python that installs nothing, and sides that play what a commit has planned.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.packages import with_all_they_need
from tests.versions.repositories import begin, commit, git
from whisperbench.asked.checkout import ROOT

OWNER = "owner/whisperbench"
"""Repository of the suite."""

PROJECT = "owner/project"
"""Repository that is gated."""

_PYTHON = """#!/usr/bin/env bash
# A Python whose venv is itself, and whose pip installs nothing.
set -euo pipefail
if [[ "$*" == "-m venv --clear "* ]]; then
    mkdir -p "$4/bin"
    cp "$0" "$4/bin/python"
elif [[ "$1 $2" == "-m pip" ]]; then
    exit 0
elif [[ "$1 $2" == "-P -c" ]]; then
    PYTHONPATH=$PYTHONPATH:{site} exec {python} "$@"
else
    exec {python} "$@"
fi
"""

_SITE = """
import sys
from importlib.abc import MetaPathFinder

ABSENT = {absent!r}
RESOLVING = "whisperbench.ab.resolving"


class Blocker(MetaPathFinder):
    playing = False

    def find_spec(self, name, path=None, target=None):
        if name == RESOLVING and not self.playing:
            self.playing = True
            import {played} as played
            played.play()
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {{name!r}}: it is not installed here")


sys.meta_path.insert(0, Blocker())
"""
"""What the gate's own Python imports first.

It finds no package but those that install.sh installs, and where `whisperbench ab` looks for the
environments of both sides, it finds programs that play the plans of their commits.
"""

_PLAYED = """
import sys
from pathlib import Path

import msgspec


def play():
    from whisperbench.versions import environments
    from whisperbench.versions.environment import Environment

    sys.path.insert(1, {root!r})
    from tests.ab.stand_in import Plan, interpreter

    def environment_of(tree, _suite, _say):
        plan = msgspec.json.decode((tree.folder / ".plan.json").read_bytes(), type=Plan)
        python = interpreter(tree.folder.parent / "interpreter", plan)
        return Environment(python=python, name="a stand-in")

    environments.environment_of = environment_of
"""


def programs(folder: Path, *, plays: bool = True) -> Path:
    """Make the folder of programs that steps find first.

    Args:
        folder: of the programs.
        plays: whether both sides of a comparison are played.
    """
    site = folder / "site"
    site.mkdir(parents=True)
    text = _SITE.format(absent=absent(), played="played_sides")
    (site / "sitecustomize.py").write_text(text)
    played = _PLAYED.format(root=str(ROOT)) if plays else "def play():\n    pass\n"
    (site / "played_sides.py").write_text(played)
    found = folder / "bin"
    found.mkdir()
    (found / "python3").write_text(_PYTHON.format(python=sys.executable, site=site))
    (found / "python3").chmod(0o755)
    return found


@functools.cache
def absent() -> frozenset[str]:
    """Return the names of the modules that are here, and not where install.sh has installed.

    That takes a second, so each of the processes that it concerns is told.
    """
    gate = ROOT / ".github" / "gate"
    lists = [gate / name for name in ("requirements.txt", "pictures.txt")]
    lines = [line for path in lists for line in path.read_text().splitlines()]
    installed = with_all_they_need(line for line in lines if not line.startswith(("#", "-r")))
    return frozenset(
        module
        for module, packages in packages_distributions().items()
        if not installed & {each.lower().replace("_", "-") for each in packages}
    )


def suite(folder: Path, *, whole: bool = False) -> Path:
    """Copy what the workflows need of the suite's repository, as it is now, bytecode and all.

    Args:
        folder: of the copy.
        whole: whether it has clips and checkpoints, so that it can measure.
    """
    ignored = shutil.ignore_patterns(*([] if whole else ["checkpoints", "*.flac"]))
    for name in (".github", "benchmarks", "fixtures", "scripts/runner", "whisperbench"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("conftest.py", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def project(folder: Path, *plans: dict[str, object], thresholds: str | None = None) -> list[str]:
    """Make a repository with a commit a plan, and return their hashes.

    Args:
        folder: of the repository.
        *plans: what a side plays (tests/ab/stand_in.py), one a commit.
        thresholds: text of the suite.toml that all of them have; none where it is None.
    """
    begin(folder)
    always = {} if thresholds is None else {"bench/suite.toml": thresholds}
    found = []
    for number, plan in enumerate(plans):
        said = {".plan.json": json.dumps(plan), ".number": str(number)}
        found.append(commit(folder, always | said))
    return found


def checkout(repositories: dict[str, Path], repository: str, ref: str, place: Path) -> None:
    """Put a commit of a repository into a folder, as actions/checkout does.

    Raises:
        CalledProcessError: it has no such commit.
    """
    source = repositories[repository]
    if not (source / ".git").exists():  # the suite, of which there is one state
        shutil.copytree(source, place, copy_function=os.link)  # nothing writes into one
        return
    subprocess.run(
        ["git", "clone", "--quiet", "--no-checkout", str(source), str(place)],
        check=True,
        capture_output=True,
        text=True,
    )
    git(place, "checkout", "--quiet", "--detach", ref or "origin/main")
