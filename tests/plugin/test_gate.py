"""`pytest benchmarks/ --baseline`, as a user runs it: real runs, held against real baselines."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.conftest import RunSuite
from whisperbench.asked.gate import GateKinds
from whisperbench.asked.suite import read_suite
from whisperbench.record import baselines as baseline
from whisperbench.results.kinds import KINDS
from whisperbench.results.run_file import read_run
from whisperbench.whisper.transformers_transcriber import TransformersTranscriber


@pytest.fixture
def cell(quickest: tuple[str, ...]) -> tuple[str, ...]:
    """Options of a quick cell in int8."""
    return (*quickest, "--precision", "int8")


def test_a_run_is_held_against_its_baseline(
    run_here: RunSuite, cell: tuple[str, ...], tmp_path: Path
) -> None:
    """The test that regressed fails, in JUnit too; what was not measured is missing.

    Two runs of the same code have the same counts, so the first one is a baseline that the second
    one meets, until a count of the baseline is lowered by one.
    """
    kept = tmp_path / "baseline.json"
    assert run_here(*cell, "--all", "-k", "test_cost or front_end").returncode == 0
    content = json.loads(baseline.merge([tmp_path / "run.json"]))
    (row,) = (row for row in content["benchmarks"] if "test_cost" in row["fullname"])
    metrics = row["extra_info"]["whisperbench"]["metrics"]
    (ops,) = (metric for metric in metrics if metric["name"] == "decode_aten_ops")
    ops["processes"] = [ops["processes"][0] - 1]
    kept.write_text(json.dumps(content), encoding="utf-8")
    report = tmp_path / "junit.xml"
    done = run_here(
        *(*cell, "-k", "test_cost"), "--baseline", str(kept), "--junit-xml", str(report)
    )
    assert done.returncode == 1
    assert "1 regressed" in done.stdout
    assert "missing: front end, speck int8" in done.stdout
    said = f"decode_aten_ops: {ops['processes'][0]:.0f} to {ops['processes'][0] + 1:.0f}"
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    junit = report.read_text(encoding="utf-8")
    assert 'failures="1"' in junit
    assert said in junit
    run = read_run(tmp_path / "run.json")
    assert [entry.outcome for entry in run.info.manifest if entry.reason != "deselected"] == [
        "regressed"
    ]
    # Its figures are kept, to be looked at; a baseline they never become.
    assert len(run.measurements) == 1


def test_a_skip_is_no_pass_of_a_gate(
    run_here: RunSuite, cell: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traps 5 and 6: skipped while it runs, and without a terminal. Nor is a baseline overwritten.

    The baseline has what is skipped, and nothing else.
    """
    kept = tmp_path / "baseline.json"
    assert run_here(*cell, "-k", "front_end").returncode == 0
    kept.write_bytes(baseline.merge([tmp_path / "run.json"]))
    judged = (*cell, "-k", "front_end", "--baseline", str(kept), "-p", "no:terminal")
    with monkeypatch.context() as patch:
        patch.setattr(TransformersTranscriber, "front_end", lambda *_: pytest.skip("no memory"))
        assert run_here(*judged).returncode == 4
    assert run_here(*judged, "--benchmark-json", str(kept)).returncode == 4
    assert read_run(kept).measurements


def test_undecided_wall_time_is_told_and_fails_nothing(
    run_here: RunSuite,
    quickest: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run whose weights are as they were passes, with a line on the wall time of one process.

    Where suite.toml requires wall time, the same run leaves with 3.
    """
    judged = (*quickest, "--precision", "fp32", "-k", "transcribe and fixed")
    assert run_here(*judged).returncode == 0
    kept = tmp_path / "baseline.json"
    kept.write_bytes(baseline.merge([tmp_path / "run.json"]))
    done = run_here(*judged, "--baseline", str(kept))
    assert done.returncode == 0
    assert "2 figures compared: 1 inconclusive, 1 ok" in done.stdout
    assert (
        "\nwall time of 1 figure is not decided: 1 process against 1 tells too little of how "
        "processes differ, so any growth may be hidden: record a base of at least 3 processes; "
        "whisperbench ab decides it\n"
    ) in done.stdout
    gate = GateKinds(require=tuple(KINDS), report=(), reason="a quiet machine")
    suite = msgspec.structs.replace(read_suite(), gate=gate)
    monkeypatch.setattr("whisperbench.plugin.session.read_suite", lambda: suite)
    done = run_here(*judged, "--baseline", str(kept))
    assert done.returncode == 3
    assert "is not decided, and suite.toml requires it: 1 process" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "path", "line"),
    [
        (("--baseline", "nowhere.json"), "benchmarks/", "nowhere.json: No such file or directory"),
        (("--baseline", "a", "--baseline", "b"), "benchmarks/", "--baseline: was given 2 times"),
        (("--baseline", "--collect-only"), "benchmarks/", "--collect-only judges nothing"),
        (("--baseline",), "tests/asked/test_plan.py", "--baseline judges benchmarks"),
    ],
)
def test_a_baseline_that_judges_nothing_is_refused(
    run_here: RunSuite, arguments: tuple[str, ...], path: str, line: str
) -> None:
    """A missing file, and benchmarks that were not asked for: one line and exit code 4."""
    done = run_here(*arguments, path=path)
    assert done.returncode == 4
    assert line in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
