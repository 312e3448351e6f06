"""`whisperbench ab` and who judges its files again come to the same verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.ab.bench import Bench
from tests.ab.stand_in import ENCODER, FAIL, KILL, TOKEN
from tests.pulls.artifacts import BASE, HEAD
from whisperbench.asked.suite import read_suite
from whisperbench.pulls.artifact import read_artifact
from whisperbench.pulls.rejudging import Expected, rejudged
from whisperbench.results.comparison_file import (
    COMPARISON_FILE,
    decode_compared,
    encode_compared,
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Two sides that are alike."""
    made = Bench(tmp_path)
    yield made
    assert made.process is None or made.process.poll() is not None


def more_ops(bench: Bench) -> None:
    """Let the head count more."""
    bench.head.ops = 101


def slower(bench: Bench) -> None:
    """Let a stage of the head take longer."""
    bench.head.seconds = {TOKEN: 1.2, ENCODER: 1.0}


def failing(bench: Bench) -> None:
    """Let a benchmark of the head fail in every pair, and one of the base in the first."""
    bench.head.at = {f"wall {number} round {TOKEN}": FAIL for number in range(1, 17)}
    bench.base.at = {f"wall 1 load {ENCODER}": FAIL}


def uncounted(bench: Bench) -> None:
    """Let the base's memory fail."""
    bench.base.at = {"counts": FAIL}


def killed(bench: Bench) -> None:
    """Let the third pair end before its time."""
    bench.head.at = {f"wall 3 round {ENCODER}": KILL}


def unreached(bench: Bench) -> None:
    """Let the head have code that it does not run."""
    bench.planted = "def new():\n    pass\n"


def removed(bench: Bench) -> None:
    """Let the head have one benchmark of wall time less than the base."""
    bench.head.seconds = {TOKEN: 1.0}


def whole(bench: Bench) -> None:
    """Let both sides take more memory than there is, so that whole processes alternate."""
    bench.base.memory_mib = bench.head.memory_mib = 9000.0


@pytest.mark.parametrize(
    ("plan", "arguments", "code"),
    [
        (lambda _: None, (), 0),
        (lambda _: None, ("--fast",), 0),
        (lambda _: None, ("--budget", "0.001"), 4),
        (more_ops, ("--fast",), 1),
        (slower, ("--pairs", "4", "--", "--clip", "yes"), 1),
        (failing, ("--pairs", "4"), 4),
        (uncounted, ("--fast",), 4),
        (killed, (), 4),
        (unreached, ("--fast",), 4),
        (removed, ("--pairs", "3"), 4),
        (whole, ("--pairs", "3"), 0),
    ],
    ids=[
        *("unchanged", "fast", "budget", "counts", "wall", "failing", "uncounted", "killed"),
        *("unreached", "removed", "whole"),
    ],
)
def test_the_verdicts_are_the_same(
    bench: Bench, plan: Callable[[Bench], None], arguments: tuple[str, ...], code: int
) -> None:
    """Each figure, each fault and the exit code follow from the files as they did live."""
    plan(bench)
    ended = bench.run(*arguments)
    assert ended.code == code, ended.out + ended.err
    files = dict(read_artifact(ended.folder))
    compared = decode_compared(files[COMPARISON_FILE])
    assert (compared.base, compared.head, compared.exit_code) == (None, None, code)
    # Interpreters are no commits; so that it is judged, two are named here.
    named = msgspec.structs.replace(compared, base=BASE, head=HEAD)
    files[COMPARISON_FILE] = encode_compared(named)
    expected = Expected(
        base=BASE,
        head=HEAD,
        arguments=arguments[arguments.index("--") + 1 :] if "--" in arguments else (),
        fast="--fast" in arguments,
        device="cpu",
    )
    found = rejudged(files, expected, read_suite())
    live = ended.verdicts()
    again: list[Any] = [
        {"benchmark": each.benchmark, "cell": msgspec.to_builtins(each.cell)}
        | {"change": each.verdict.change}
        | msgspec.to_builtins(each.verdict)
        for each in found.judged
    ]
    assert json.loads(json.dumps(again)) == live["verdicts"]
    assert found.exit_code == live["exit_code"] == code
    assert found.unmeasured == live["unmeasured"]
    assert found.circumstances == live["circumstances"]
