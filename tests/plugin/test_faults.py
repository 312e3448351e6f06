"""What becomes of benchmarks that fail, each in its own way, in one run (tests/sabotage.py)."""

from __future__ import annotations

import json

from tests.conftest import Shared
from whisperbench.results.run_file import read_run


def test_failures_are_in_the_manifest_and_their_figures_are_not(faulty_run: Shared) -> None:
    """A benchmark that fails is one line, is named in the result, and leaves no figure behind."""
    done = faulty_run.done
    assert done.returncode == 1
    line = "nano-fp32: word error rate 1.00 on other, over 0.5 (max_wer in suite.toml)"
    assert line in done.stdout.replace("\n", " ")
    assert "Traceback" not in done.stdout + done.stderr
    assert "fixtures/models.py" not in done.stdout
    run = read_run(faulty_run.result)
    assert [row for row in run.measurements if row.cell.model == "nano"] == []
    outcomes = {
        (entry.outcome, entry.reason[: len(line)])
        for entry in run.info.manifest
        if "[nano" in entry.benchmark
    }
    assert outcomes == {("invalid", line), ("skipped", "deselected")}


def test_a_timed_benchmark_that_fails_afterwards_is_not_kept(faulty_run: Shared) -> None:
    """pytest-benchmark saves a benchmark that failed after it was timed; the suite does not."""
    assert faulty_run.done.returncode == 1
    run = read_run(faulty_run.result)
    kept = [row.benchmark for row in run.measurements]
    assert "front end" in kept
    assert "encoder" not in kept
    name = "test_encoder[dummy:tiny-fp32"
    failed = [entry for entry in run.info.manifest if name in entry.benchmark]
    assert [(entry.outcome, entry.reason) for entry in failed] == [
        ("failed", "failed after it was timed")
    ]


def test_other_plugins_take_no_result_away(faulty_run: Shared) -> None:
    """Second attempts, facts that JSON cannot hold, a hook that fails: one whole file, and said."""
    done = faulty_run.done
    assert "for one of them failed: KeyError: 'not there'" in done.stdout
    run = read_run(faulty_run.result)
    # Once, by the attempt that passed.
    assert [row.benchmark for row in run.measurements if row.benchmark != "memory"] == ["front end"]
    entries = {
        entry.benchmark.partition("[")[0]: entry
        for entry in run.info.manifest
        if "test_stages" in entry.benchmark and entry.reason != "deselected"
    }
    assert entries["benchmarks/test_stages.py::test_front_end"].outcome == "measured"
    token = entries["benchmarks/test_stages.py::test_token"]
    assert token.outcome == "failed"
    assert "recorded what is no result: " in token.reason
    rows = json.loads(faulty_run.result.read_text(encoding="utf-8"))["benchmarks"]
    kept = [row["extra_info"]["odd"] for row in rows if "odd" in row["extra_info"]]
    assert kept == [{"a name": r"caf\udce9", "1": "Mute", "itself": "..."}]
