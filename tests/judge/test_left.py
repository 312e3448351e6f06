"""What `whisperbench ab` has left, read back to be looked at."""

from __future__ import annotations

import pytest

from tests.pulls.artifacts import BASE, HEAD, MERGE_BASE, Left, Side
from whisperbench.asked.suite import read_suite
from whisperbench.errors import ExitCode, InputError
from whisperbench.judge.left import NOT_ENDED, left_in
from whisperbench.pulls.rejudging import Expected, rejudged
from whisperbench.results.comparison_file import COMPARISON_FILE

STEADY = (1.0, 1.01, 0.99, 1.0, 1.02, 0.98)
SLOWER = tuple(1.3 * seconds + 0.001 * at for at, seconds in enumerate(STEADY))

SITUATIONS = {
    "alike": Left(base=Side(token_s=STEADY), head=Side(token_s=STEADY)),
    "slower": Left(base=Side(token_s=STEADY), head=Side(token_s=SLOWER)),
    "more ops": Left(head=Side(aten_ops=101.0)),
    "counts alone": Left(base=Side(token_s=()), head=Side(token_s=())),
    "failed": Left(
        base=Side(token_s=STEADY),
        head=Side(token_s=STEADY, failed={"benchmarks/m.py::a": "no memory was read"}),
    ),
    "a fault": Left(compared={"faults": ("the card was lost",), "exit_code": 4}),
    "another suite": Left(
        base=Side(token_s=STEADY), head=Side(token_s=STEADY), compared={"exit_code": 1}
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_comes_to_what_the_gate_comes_to(name: str) -> None:
    """Whoever looks at the files sees the verdict that pulls/rejudging.py reaches for a gate."""
    content = SITUATIONS[name].content()
    suite = read_suite()
    left = left_in(content)
    expected = Expected(base=MERGE_BASE, head=HEAD, fast=name == "counts alone")
    gate = rejudged(content, expected, suite)
    found = left.judged(suite, left.tried(suite))
    assert found.exit_code == gate.exit_code
    assert [each.verdict.verdict for each in found.judged] == [
        each.verdict.verdict for each in gate.judged
    ]


def test_what_did_not_end_has_not_passed() -> None:
    """Without the file that is written last it is incomplete, whatever the verdicts are."""
    content = SITUATIONS["alike"].content()
    del content[COMPARISON_FILE]
    left = left_in(content)
    found = left.judged(None, left.tried(None))
    assert found.exit_code == ExitCode.INVALID
    assert NOT_ENDED in found.unmeasured


def test_a_pair_that_was_lost_is_missed() -> None:
    """Fewer pairs than were measured are told, and are no pass."""
    content = SITUATIONS["alike"].content()
    del content["pair-06-head.json"]
    left = left_in(content)
    assert len(left.pairs) == 5
    found = left.judged(None, left.tried(None))
    assert "6 pairs were measured, and the files of 5 pairs are there" in found.unmeasured


def test_a_side_is_one_run() -> None:
    """Counts and rounds of a side stand together, each benchmark once."""
    left = left_in(SITUATIONS["slower"].content())
    assert [row.benchmark for row in left.run(1).measurements] == ["cost", "memory", "token"]


def test_a_folder_of_something_else_is_refused() -> None:
    """A folder without runs of both sides is no comparison."""
    with pytest.raises(InputError, match="no run files of a base and a head"):
        left_in({"run.json": b"{}", BASE: b""})


def test_a_file_that_is_no_run_is_refused() -> None:
    """What is named like a run and is none is said by its name."""
    content = SITUATIONS["alike"].content() | {"head.json": b"{"}
    with pytest.raises(InputError, match=r"head\.json: not a whisperbench run"):
        left_in(content)
