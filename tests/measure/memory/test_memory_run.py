"""Faults of cells in a run of the memory benchmark, as its user sees them."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import RunSuite
from tests.measure.memory.watching.made_up import (
    figures,
)
from whisperbench.results.run_file import read_run

SABOTAGE = """
from dataclasses import replace
from functools import partial
import whisperbench.plugin.session
import msgspec
from tests import workloads
from whisperbench.measure.memory import watching

plain, read = watching.measure_memory, whisperbench.plugin.session.read_suite

def lowered():
    suite = read()
    row = next(row for row in suite.limit if row.metric == "peak_process_mib")
    low = msgspec.structs.replace(row, precisions=("fp32",), max=100.5)
    return msgspec.structs.replace(suite, limit=(low,))

whisperbench.plugin.session.read_suite = lowered

def measure_memory(request, device):
    if request.precision == "int8":
        return plain(request, device, target=workloads.die)
    if request.precision == "bf16":
        little = partial(workloads.run_with_little_memory, 500)
        return plain(msgspec.structs.replace(request, batch_size=500), device, target=little)
    return plain(request, device)

watching.measure_memory = measure_memory
"""


def test_each_fault_in_one_run(run_suite: RunSuite, tmp_path: Path) -> None:
    """A killed cell is invalid; out of memory or over a ceiling is over a limit; each cell runs."""
    (tmp_path / "sabotage.py").write_text(SABOTAGE, encoding="utf-8")
    junit = tmp_path / "junit.xml"
    done = run_suite(
        *("--tokens", "2", "--clip", "yes", "--precision", "int8,bf16,fp32"),
        *("-p", "sabotage", f"--junit-xml={junit}"),
        path="benchmarks/test_memory.py",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 failed" in done.stdout
    assert "Traceback" not in done.stdout
    run = read_run(tmp_path / "run.json")
    # The reference comes first.
    assert [entry.outcome for entry in run.info.manifest] == ["over-limit", "invalid", "over-limit"]
    over, killed, full = run.info.manifest
    assert "the host is out of memory" in full.reason
    assert "as far as the phase 'first call'" in full.reason
    assert "killed from outside by SIGKILL" in killed.reason
    # What was over its limit keeps the figures that it got to; the invalid one has none.
    kept = {row.cell.precision: row for row in run.measurements}
    assert sorted(kept) == ["bf16", "fp32"]
    assert figures(kept["bf16"])["load_peak_process_mib"] > 0.0
    assert "weight_mib" not in figures(kept["bf16"])
    peak = figures(kept["fp32"])["peak_process_mib"]
    verdict = kept["fp32"].verdicts[0]
    assert (verdict.verdict, verdict.head, verdict.limit) == ("over-limit", peak, 100.5)
    # Limit, actual, what filled it and the remedy, in the terminal and in JUnit's report.
    message = (
        f"peak_process_mib is {peak:.1f} MiB, {peak - 100.5:.1f} MiB over its ceiling of 100.5"
    )
    for text in (over.reason, done.stdout, junit.read_text(encoding="utf-8")):
        assert message in text
        assert "in it: weights 144 MiB" in text
    assert "raise the ceiling in benchmarks/suite.toml" in done.stdout
