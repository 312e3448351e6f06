"""The soak's part of the summary: what its table and its lines say. No figure here was measured."""

from __future__ import annotations

from tests.report.cases import soaked
from tests.runs import CPU_MACHINE, make_cell, make_run, make_soak
from whisperbench.report.summary import WIDTH, details


def test_a_gpu_s_table() -> None:
    """A column for each figure that was measured, with its bounds; limits that are kept."""
    lines = details(make_run(soaked("fp16"), soaked("int8", 64.25))).splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    start = lines.index(
        "soak, growth of memory in KiB a call: model owner/whisper, clip harbour, batch 1, "
        "attention sdpa"
    )
    table = [line.split() for line in lines[start + 2 : start + 6]]
    assert table[0] == ["precision", "calls", "host", "tensors", "drift"]
    assert table[3] == ["int8", "40", "0.250", "±0.500", "64.2", "±0.500", "1.02", "±0.500"]
    text = " ".join(lines)
    assert "host is the process's memory on the host, without what malloc keeps free." in text
    assert "malloc is what" not in text  # has no column here
    assert "(wall time)" in text
    assert "The first 10 calls count for neither." in text
    kept = "limit ok: owner/whisper fp16: creep_allocated_kib_per_call is 0.5 of at most 16.0"
    assert kept in lines
    assert not any("limit ok: owner/whisper int8: creep" in line for line in lines)


def test_what_a_cpu_could_not_tell() -> None:
    """A figure that is not there has no column, and why it is not there is said once."""
    cell = make_cell("int8", device="cpu", tokens=8)
    why = "The memory of the process moved too much."
    rows = [make_soak(cell, {"malloc": 0.25, "drift": 1.5}, not_told=why)]
    rows.append(make_soak(make_cell("nf4", device="cpu"), {"malloc": 64.0}, not_told=why))
    text = details(make_run(*rows, machine=CPU_MACHINE))
    assert text.count(why) == 1
    assert "host is" not in text
    assert "(CPU time)" in text


def test_a_run_without_a_soak_says_nothing_of_one() -> None:
    """No heading without a table."""
    assert "soak" not in details(make_run())
