"""What stands where the network and the GPU would be: a Python that installs nothing, and sides
that play what a commit has planned.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

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
elif [[ " $* " == *" ab "* ]]; then
    PYTHONPATH=$PYTHONPATH:{stand_in} exec {python} "$@"
else
    exec {python} "$@"
fi
"""

_SITE = """
import whisperbench.ab.resolving as resolving
import msgspec, sys
from pathlib import Path
sys.path.insert(1, {root!r})
from tests.ab.stand_in import Plan, interpreter
from whisperbench.versions.environment import Environment


def environment_of(tree, _suite, _say):
    plan = msgspec.json.decode((tree.folder / ".plan.json").read_bytes(), type=Plan)
    place = tree.folder.parent / "interpreter"
    return Environment(python=interpreter(place, plan), name="a stand-in")


resolving.environment_of = environment_of
"""
"""What `whisperbench ab` imports first: both sides' interpreters play the plans of their commits."""


def programs(folder: Path) -> Path:
    """Make the folder of programs that steps find first."""
    site = folder / "site"
    site.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(_SITE.format(root=str(ROOT)))
    found = folder / "bin"
    found.mkdir()
    (found / "python3").write_text(_PYTHON.format(python=sys.executable, stand_in=site))
    (found / "python3").chmod(0o755)
    return found


def suite(folder: Path) -> Path:
    """Copy what the workflows need of the suite's repository, as it is now."""
    ignored = shutil.ignore_patterns("__pycache__", "checkpoints", "*.flac")
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
        shutil.copytree(source, place)
        return
    subprocess.run(
        ["git", "clone", "--quiet", "--no-checkout", str(source), str(place)],
        check=True,
        capture_output=True,
        text=True,
    )
    git(place, "checkout", "--quiet", "--detach", ref or "origin/main")
