"""A pair of the real suite, on the smallest model: two live processes that take turns."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from whisperbench.ab import turns
from whisperbench.ab.cores import choose_cpus
from whisperbench.ab.pairs import Measured
from whisperbench.ab.sides import Side
from whisperbench.asked.checkout import ROOT
from whisperbench.asked.turns import FEWEST_ROUNDS
from whisperbench.judge.pairs import Pairs
from whisperbench.results.passes import LatencyResult
from whisperbench.results.run_file import read_run
from whisperbench.whisper.checkpoints import Checkpoint

BREAKS = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    if "test_encoder" in item.name:
        raise OSError("libplanted.so is not there")
"""


@pytest.fixture
def pair(
    tmp_path: Path, cache: Path, speck: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> Measured:
    """A pair of the front end and of the encoder, which fails on the base."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(cache))
    monkeypatch.setattr(turns, "ROUNDS_S", 0.5)
    monkeypatch.setattr(turns, "SETTLE_S", 0.2)
    sides = []
    for name, plugin in (("base", BREAKS), ("head", "")):
        own = tmp_path / name
        own.mkdir()
        (own / "planted.py").write_text(plugin)
        sides.append(Side(name=name, python=Path(sys.executable), suite=ROOT, own=(own,)))
    made = Measured(
        base=sides[0],
        head=sides[1],
        arguments=(
            *("benchmarks/test_stages.py", "-k", "front_end or encoder", "-p", "planted"),
            *("--model", str(speck.folder), "--precision", "fp32", "--device", "cpu"),
            *("--clip", "yes", "--tokens", "2"),
        ),
        folder=tmp_path,
        pairs=Pairs(),
        lock=None,
    )
    made.take()
    return made


def test_a_real_pair(pair: Measured) -> None:
    """Both time the front end in as many rounds on the same CPUs; the base's failure is told.

    The head, which could have timed the encoder, was told to leave it, and goes on with no figure.
    """
    both = [read_run(pair.folder / f"pair-01-{side}.json") for side in ("base", "head")]
    rows = [row for run in both for row in run.measurements]
    assert [row.benchmark for row in rows] == ["front end", "front end"]
    rounds = set()
    for row in rows:
        assert isinstance(row.found, LatencyResult)
        assert row.found.turns is not None
        assert row.found.turns.cpus == choose_cpus(1, both[0].machine.threads)
        samples = row.metrics[0].samples or ()
        assert len(row.found.turns.reference_ms) == len(samples)
        rounds.add(len(samples))
    assert len(rounds) == 1
    assert rounds.pop() >= FEWEST_ROUNDS
    (told,) = pair.unmeasured()
    assert told.startswith("base, pair 1: failed: benchmarks/test_stages.py::test_encoder[")
    assert told.endswith("libplanted.so is not there")
    reasons = [entry.reason for entry in both[1].info.manifest if "encoder" in entry.benchmark]
    assert reasons == ["the base does not come to this benchmark"]
    assert len(pair.wanted()) == 2
    assert pair.host()
