"""The replay of recorded processes: which of them leave with which exit code."""

from __future__ import annotations

import msgspec

from scripts.check_exit_codes import Process, outcomes, splits
from whisperbench.asked.suite import read_suite
from whisperbench.results.kinds import KINDS


def a_process(seconds: float) -> Process:
    """Make up a process whose rounds all take as long."""
    rounds = [seconds] * 3
    return [{"model": "tiny", "precision": "fp16", "generate_s": rounds, "encoder_s": rounds}]


def test_a_replay_counts_exit_codes() -> None:
    """Wild processes leave with 0 unless wall time is required, slower steady ones with 1."""
    suite = read_suite()
    gate = msgspec.structs.replace(suite.gate, require=tuple(KINDS), report=())
    strict = msgspec.structs.replace(suite, gate=gate)
    wild = [*splits([a_process(each) for each in (1.0, 5.0, 0.3, 2.0, 9.0, 0.5)], 3, 3)]
    assert len(wild) == 20
    assert outcomes(wild, 0.0, suite)[0] == 20
    # In one of them the head has the three quickest processes, and is ok.
    required = outcomes(wild, 0.0, strict)
    assert (required[0], required[3]) == (1, 19)
    steady = [*splits([a_process(1 + each / 1000) for each in range(4)], 3, 1)]
    assert outcomes(steady, 0.0, strict)[0] == 4
    # A single head is never said to be worse, and looks it.
    slow = outcomes(steady, 0.5, suite)
    assert (slow[0], slow["worse"]) == (4, 4)
    steady = [*splits([a_process(1 + each / 1000) for each in range(6)], 3, 3)]
    assert outcomes(steady, 0.5, suite)[1] == 20
