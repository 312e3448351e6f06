"""A whole comparison as its reader gets it: exit codes, text, Markdown and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests.judge.compared import (
    a_cost,
    compared,
    outcomes,
)
from tests.runs import make_cell, make_measurement, make_run, make_run_file
from whisperbench.cli import app
from whisperbench.judge.compare import compare
from whisperbench.judge.comparison import Comparison
from whisperbench.judge.reach import reach
from whisperbench.report.verdict_markdown import as_markdown
from whisperbench.report.verdicts import as_json, as_text
from whisperbench.results.figure import Metric
from whisperbench.results.reach import Change, Changes, Entered
from whisperbench.results.records import ManifestEntry, Measurement


def test_what_only_one_side_has_is_said() -> None:
    """A cell or a figure that one run lacks is new or missing, and said once a cell."""
    other = msgspec.structs.replace(a_cost(), cell=make_cell("nf4", tokens=4))
    changes = compare(make_run(a_cost()), make_run(other))
    assert {(row.cell.precision, row.verdict.verdict) for row in changes} == {
        ("nf4", "new"),
        ("int8", "missing"),
    }
    assert as_text(Comparison(judged=changes)).splitlines() == [
        "new: cost, owner/whisper nf4, harbour, 4 tokens: 4 figures: the base did not measure it",
        "missing: cost, owner/whisper int8, harbour, 4 tokens: 4 figures: the head did not measure "
        "it",
        "new: measure the base as well; where it is a recorded baseline, record it anew",
        "missing: measure it; or, where the base is a recorded baseline, record it anew",
        "8 figures compared: 4 new, 4 missing",
    ]
    extra = Metric(name="decode_kernels", unit="1", kind="exact", better="lower", value=0.0)
    more = msgspec.structs.replace(a_cost(), metrics=(*a_cost().metrics, extra))
    assert outcomes(a_cost(), more)["decode_kernels"] == "new"
    assert outcomes(more, a_cost())["decode_kernels"] == "missing"


@pytest.mark.parametrize(
    ("head", "exit_code"),
    [(a_cost(), 0), (a_cost(99), 0), (a_cost(101), 1), (make_measurement(), 4)],
)
def test_the_command_exits_with_its_verdict(
    tmp_path: Path, head: Measurement, exit_code: int
) -> None:
    """0 for ok and improved, 1 for a regression, 4 where something is missing."""
    done = compared(tmp_path, make_run(a_cost()), make_run(head))
    assert done.exit_code == exit_code
    assert " figures compared: " in done.stdout.splitlines()[-1]


def test_what_a_run_did_not_measure_is_no_pass(tmp_path: Path) -> None:
    """A benchmark that failed, and a count that could not be made, exit with 4 though all is ok."""
    done = ManifestEntry(benchmark="test_cost[a]", cell="a", outcome="measured")
    left = ManifestEntry(benchmark="test_cost[x]", cell="x", outcome="skipped", reason="deselected")
    failed = ManifestEntry(benchmark="test_cost[b]", cell="b", outcome="invalid", reason="differed")
    fine = make_run(a_cost(), manifest=(done, left))
    bad = make_run(a_cost(), manifest=(done, failed))
    assert compared(tmp_path, fine, fine).exit_code == 0
    for pair in ((fine, bad), (bad, fine)):
        found = compared(tmp_path, *pair)
        assert found.exit_code == 4
        assert "invalid: test_cost[b]: differed" in found.stdout
    uncounted = a_cost(not_counted="no CUPTI")
    found = compared(tmp_path, make_run(uncounted), make_run(uncounted))
    assert found.exit_code == 4
    assert "not counted: by the base: no CUPTI" in found.stdout


def test_nothing_to_compare_is_not_a_pass(tmp_path: Path) -> None:
    """Two runs without a measurement exit with 4; a file that is none with 2, in a line."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(make_run_file() | {"benchmarks": []}), encoding="utf-8")
    done = CliRunner().invoke(app, ["compare", str(path), str(path)])
    assert done.exit_code == 4
    assert done.stdout.endswith("\n0 figures compared: none\n")
    assert "base, 1 benchmark measured, and 0 in the file" in done.stdout


def test_other_formats_say_the_same() -> None:
    """Markdown has a row for each line of text, without markup of the file's; JSON has all."""
    base, head = make_run(a_cost()), make_run(a_cost(101))
    judged = compare(base, head)
    said = ["suspect: a|b of https://x.y"]
    found = Comparison(judged=judged, unmeasured=["head, failed: it"], circumstances=said)
    table = as_markdown(found)
    assert "| regressed | cost, owner/whisper int8, harbour, 4 tokens |" in table
    assert "- suspect: a\\|b of https&#58;&#8203;/&#8203;/x.y" in table
    assert "- head, failed: it" in table
    content = json.loads(as_json(found))
    assert content["exit_code"] == 1
    assert content["unmeasured"] == ["head, failed: it"]
    assert content["circumstances"] == said
    assert len(content["verdicts"]) == len(judged) == 4
    assert content["verdicts"][0]["cell"]["precision"] == "int8"
    assert content["reach"] is None


def test_json_names_every_changed_function() -> None:
    """Where the sentence names a few of those that were not run, JSON has all of them."""
    changes = [
        Change(file="a.py", name=f"f{number}", path="/a.py", base_path="/b/a.py", kind="changed")
        for number in range(9)
    ]
    found = reach(Changes(functions=tuple(changes)), Entered(functions={"/a.py": ("f0",)}))
    content = json.loads(as_json(Comparison(judged=[], reach=found)))["reach"]
    assert [each["name"] for each in content["run"]] == ["f0"]
    assert [each["name"] for each in content["missed"]] == [f"f{number}" for number in range(1, 9)]
    assert (content["changed"], content["unreached"]) == (9, False)
