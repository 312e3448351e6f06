"""The baselines that are committed: each lies where it is looked for, and is of today's suite."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from whisperbench.asked.checkout import BASELINES, ROOT
from whisperbench.asked.suite import read_suite
from whisperbench.errors import InputError
from whisperbench.judge.baselines import shared_key
from whisperbench.plugin.recording import body_digest
from whisperbench.results.records import Run
from whisperbench.results.run_file import read_run

COMMITTED = sorted(BASELINES.glob("*/*.json"))
MAX_BYTES = 3 * 2**20
"""Of one that is committed: a model in all precisions takes less."""


def key_of(run: Run) -> str | None:
    """Return the key that CPUs share for a run; None where only its own machine has it."""
    try:
        return shared_key(run, "")
    except InputError:
        return None


def test_there_are_some() -> None:
    """Without a committed baseline the next tests would hold nothing."""
    assert BASELINES / "cpu-x86-64-avx2" / "default.json" in COMMITTED


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_committed_baseline_is_whole(path: Path) -> None:
    """It is complete, small, and in the folder of its device, or of what CPUs share."""
    run = read_run(path)
    assert run.measurements
    assert run.unmeasured() == []
    assert path.parent.name in (run.machine.device_key, key_of(run))
    assert path.stat().st_size < MAX_BYTES
    assert str(Path.home()) not in path.read_text(encoding="utf-8")


SHARED = [path for path in COMMITTED if key_of(read_run(path)) == path.parent.name]


@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.parent.name)
def test_a_shared_baseline_is_of_the_cpu_profiles_costs(path: Path) -> None:
    """`pytest benchmarks/test_cost.py --device cpu --baseline` finds neither more nor less in it.

    Who changes the profile or the benchmark records the baseline anew, in the same pull request.
    """
    profile = read_suite().profile["cpu"]
    asked = {
        (model, precision, clip, batch, attention, profile.cost_tokens)
        for model in profile.models
        for precision in profile.precisions
        for clip in profile.clips
        for batch in profile.batch_sizes
        for attention in profile.attention
    }
    rows = read_run(path).measurements
    assert {
        (cell.model, cell.precision, cell.clip, cell.batch_size, cell.attention, cell.tokens)
        for cell in (row.cell for row in rows)
    } == asked
    body = body_digest(importlib.import_module("benchmarks.test_cost").test_cost)
    assert {(row.benchmark, row.body) for row in rows} == {("cost", body)}


WRITES = re.compile(r"whisperbench record|baseline promote|contents: write|git (push|commit)\b")
"""What could move a baseline without anybody's pull request."""


def movers(files: Mapping[str, str]) -> list[str]:
    """Name the files of automation that could write a baseline, or push one."""
    return [name for name, text in files.items() if WRITES.search(text)]


def automation() -> dict[str, str]:
    """Return what runs without a person: workflows, actions and what they call."""
    paths = [path for folder in (".github", ".ci") for path in (ROOT / folder).rglob("*")]
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in paths
        if path.is_file()
    }


def test_nothing_moves_a_baseline_by_itself() -> None:
    """No workflow records, promotes or pushes; the command alone calls what writes a baseline."""
    files = automation()
    assert ".github/workflows/ci.yml" in files
    assert movers(files) == []
    for line in ("- run: whisperbench record --force", "contents: write", "- run: git push"):
        text = files[".github/workflows/ci.yml"] + line
        assert movers(files | {".github/workflows/ci.yml": text}) == [".github/workflows/ci.yml"]
    callers = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "whisperbench").rglob("*.py")
        if re.search(r"record\.baselines import .*\bkeep\b|baselines?\.keep\(", path.read_text())
    ]
    assert callers == ["whisperbench/cli/baselines.py"]
