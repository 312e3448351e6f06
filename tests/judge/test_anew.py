"""Cells held against limits once more: what a run says for itself counts for nothing."""

from __future__ import annotations

import msgspec
import pytest

from tests.runs import make_cell, make_measurement, make_memory, make_run
from whisperbench.asked.suite import Limit, read_suite
from whisperbench.judge.anew import held_to
from whisperbench.results.records import Verdict

FINE = Verdict(verdict="ok", metric="peak_process_mib", unit="MiB", sentence="all is well")
NO_ROOM = Verdict(verdict="over-limit", metric="latency_s", unit="s", sentence="out of memory")


def limit(**fields: float | str) -> Limit:
    """Make up a limit on memory."""
    said = {"models": ["*"], "precisions": ["*"], "devices": ["*"], "reason": "the card"}
    return msgspec.convert(said | {"metric": "peak_process_mib"} | fields, Limit)


@pytest.mark.parametrize(("most", "verdict"), [(99, "over-limit"), (100, "ok")])
def test_limits_are_those_that_are_given(most: float, verdict: str) -> None:
    """A run's own verdict does not stand for that of another suite.toml."""
    row = make_memory(make_cell(), {"peak_process_mib": 100.0}, verdicts=(FINE,))
    (found,) = held_to(make_run(row), [limit(max=most)]).measurements
    assert [each.verdict for each in found.verdicts] == [verdict]
    assert found.verdicts[0].sentence != FINE.sentence
    assert msgspec.structs.replace(found, verdicts=row.verdicts) == row


def test_what_a_run_says_against_itself_stays() -> None:
    """Where no limit says it anew; and where one does, it is said once."""
    own = msgspec.structs.replace(FINE, verdict="over-limit")
    row = make_memory(make_cell(), {"peak_process_mib": 100.0}, verdicts=(own,))
    timed = msgspec.structs.replace(make_measurement(), verdicts=(NO_ROOM, FINE))
    run = make_run(row, timed)
    without, limited = held_to(run, []), held_to(run, [limit(max=99)])
    assert [each.verdicts for each in without.measurements] == [(own,), (NO_ROOM,)]
    assert [each.verdict for each in limited.measurements[0].verdicts] == ["over-limit"]
    assert limited.measurements[0].verdicts != (own,)


def test_shares_are_of_what_was_measured_before() -> None:
    """A precision is held against another of the same cell, in the order of the run."""
    rows = [
        make_memory(make_cell(precision), {"peak_process_mib": mib})
        for precision, mib in (("fp16", 100.0), ("int8", 80.0))
    ]
    share = limit(precisions=["int8"], max_ratio=0.75, of="fp16")  # type: ignore[arg-type]
    for order, verdict in ((rows, "over-limit"), (rows[::-1], "missing")):
        found = held_to(make_run(*order), [share]).measurements
        (judged,) = [each.verdicts for each in found if each.cell.precision == "int8"]
        assert [each.verdict for each in judged] == [verdict]


def test_the_suites_own_limits_apply() -> None:
    """Those of suite.toml that are for a cell, and for its pass alone."""
    row = make_memory(
        make_cell("int8", model="dummy:tiny", device="cpu"), {"peak_process_mib": 1e6}
    )
    run = make_run(row)
    machine = msgspec.structs.replace(run.machine, device_key="cpu-x-2c", device_kind="cpu")
    held = held_to(msgspec.structs.replace(run, machine=machine), read_suite().limit)
    assert "over-limit" in [each.verdict for each in held.measurements[0].verdicts]
