"""Faults of cells in a run of the memory benchmark, as its user sees them."""

from __future__ import annotations

from tests.conftest import Shared
from tests.measure.memory.watching.made_up import figures
from tests.sabotage import LIMIT_MIB
from whisperbench.results.run_file import read_run


def test_each_fault_in_one_run(faulty_run: Shared) -> None:
    """A killed cell is invalid; out of memory or over a limit is over a limit; each cell runs."""
    done = faulty_run.done
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout
    run = read_run(faulty_run.result)
    entries = {
        entry.benchmark.split("-")[1]: entry
        for entry in run.info.manifest
        if "test_memory" in entry.benchmark and entry.reason != "deselected"
    }
    # The reference comes first.
    assert {precision: entry.outcome for precision, entry in entries.items()} == {
        "fp32": "over-limit",
        "int8": "invalid",
        "bf16": "over-limit",
    }
    assert list(entries) == ["fp32", "int8", "bf16"]
    over, killed, full = entries.values()
    assert "the host is out of memory" in full.reason
    assert "as far as the phase 'first call'" in full.reason
    assert "killed from outside by SIGKILL" in killed.reason
    # What was over its limit keeps the figures that it got to; the invalid one has none.
    kept = {row.cell.precision: row for row in run.measurements if row.benchmark == "memory"}
    assert sorted(kept) == ["bf16", "fp32"]
    assert figures(kept["bf16"])["load_peak_process_mib"] > 0.0
    assert "weight_mib" not in figures(kept["bf16"])
    peak = figures(kept["fp32"])["peak_process_mib"]
    verdict, other = kept["fp32"].verdicts
    assert (other.metric, other.verdict) == ("weight_mib", "ok")
    assert (verdict.verdict, verdict.head, verdict.limit) == ("over-limit", peak, LIMIT_MIB)
    # Limit, actual, what filled it and the remedy, in the terminal and in JUnit's report.
    message = (
        f"peak_process_mib is {peak:.1f} MiB, {peak - LIMIT_MIB:.1f} MiB over its limit of "
        f"{LIMIT_MIB}"
    )
    junit = (faulty_run.folder / "junit.xml").read_text(encoding="utf-8")
    for text in (over.reason, done.stdout, junit):
        assert message in text
        assert "in it: weights 144 MiB" in text
    assert "raise the limit in benchmarks/suite.toml" in done.stdout
