"""`whisperbench ab` and who judges its files again come to the same verdicts.

Most such comparisons are those of tests/ab/test_command.py, which calls `require_agreement` too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ab.bench import Bench
from tests.ab.stand_in import ENCODER, FAIL, TOKEN
from tests.pulls.agreement import require_agreement


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Two sides that are alike."""
    made = Bench(tmp_path)
    yield made
    assert made.process is None or made.process.poll() is not None


def test_benchmarks_that_fail_on_both_sides(bench: Bench) -> None:
    """One of the head in every pair, and one of the base in the first: the same files, the same."""
    bench.head.at = {f"wall {number} round {TOKEN}": FAIL for number in range(1, 17)}
    bench.base.at = {f"wall 1 load {ENCODER}": FAIL}
    ended = bench.run("--pairs", "4")
    assert ended.code == 4, ended.out + ended.err
    require_agreement(ended, "--pairs", "4")


def test_a_benchmark_that_the_head_has_lost(bench: Bench) -> None:
    """What the head does not select is missing in both verdicts."""
    bench.head.seconds = {TOKEN: 1.0}
    ended = bench.run("--pairs", "3")
    assert ended.code == 4, ended.out + ended.err
    require_agreement(ended, "--pairs", "3")
