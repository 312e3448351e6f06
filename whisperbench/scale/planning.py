"""What a run can be split into, asked of pytest, which collects it and measures nothing."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from whisperbench.asked.checkout import ROOT
from whisperbench.asked.shards import WORK_VARIABLE, Work, split
from whisperbench.errors import InputError
from whisperbench.record.elsewhere import last_words, rebased
from whisperbench.record.processes import run_child

MOST_SHARDS = 32
"""That a budget is tried with."""


def ask_work(arguments: Sequence[str], times: Path | None) -> Work:
    """Let pytest collect a run, and return what it can be split into.

    Args:
        arguments: of pytest; `benchmarks` is added where none of them is a path there.
        times: a run or a baseline that predicts what benchmarks take; None for the baseline of this
            device, without which they count alike.

    Raises:
        InputError: pytest refuses the arguments, or collects no benchmark.
    """
    known = ["--shard-times", str(times.resolve())] if times is not None else []
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "work.json"
        code, output = run_child(
            [
                *(sys.executable, "-m", "pytest", *rebased(arguments, ROOT)),
                *("--collect-only", "-q", *known),
            ],
            environment=os.environ | {WORK_VARIABLE: str(written), "PYTHONIOENCODING": "utf-8"},
            folder=ROOT,
            lock=None,
        )
        if code or not written.is_file():
            raise InputError(f"pytest collects nothing to split: {last_words(output)}")
        work = msgspec.json.decode(written.read_bytes(), type=Work)
    if not work.parts:
        raise InputError("there are no benchmarks to split: name some, such as benchmarks/")
    return work


def lengths_s(work: Work, shards: int) -> list[float]:
    """Predict what each shard of a split takes, in seconds.

    Raises:
        InputError: there are fewer parts than shards.
    """
    return [work.seconds(shard) for shard in split(work, shards)]


def shortest(work: Work) -> int:
    """Return the least number of shards whose longest is as short as that of any number."""
    # No split is shorter than the part that takes longest, with its loading.
    least_s = max(work.seconds([part]) for part in work.parts)
    found = {}
    for shards in range(1, min(MOST_SHARDS, len(work.parts)) + 1):
        found[shards] = round(max(lengths_s(work, shards)), 6)
        if found[shards] <= least_s + 1e-6:
            break
    return min(found, key=lambda shards: found[shards])


def fewest_within(work: Work, budget_s: float) -> int | None:
    """Return the least number of shards whose longest is predicted to take at most so long.

    Returns:
        The number; None where not even the most do.
    """
    beside_s = work.process_s or 0.0
    for shards in range(1, min(MOST_SHARDS, len(work.parts)) + 1):
        # At the very best each has its share of what one process takes, and loads nothing twice.
        if (work.seconds(work.parts) - beside_s) / shards + beside_s > budget_s + 1e-6:
            continue
        if max(lengths_s(work, shards)) <= budget_s:
            return shards
    return None
