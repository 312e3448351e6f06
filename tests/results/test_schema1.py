"""Files of schema 1 are read as those of today: a real run's, cut down, and two recordings."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from whisperbench.asked.checkout import ROOT
from whisperbench.errors import InputError
from whisperbench.judge.baselines import RecordedRun, merge_runs
from whisperbench.judge.compare import compare
from whisperbench.plugin.recording import body_digest
from whisperbench.report.summary import summarise
from whisperbench.results.passes import (
    CostResult,
    MemoryResult,
    NumericsResult,
    QualityResult,
    StartupResult,
)
from whisperbench.results.records import Measurement, Run
from whisperbench.results.run_file import read_run
from whisperbench.results.schema import SCHEMA, decode_run
from whisperbench.results.schema1 import BODIES

OLD = Path(__file__).with_name("schema1.json")
"""Of `pytest benchmarks/` at commit 759a8cc, on a CPU: one benchmark of each kind."""


@pytest.fixture(scope="module")
def old() -> Run:
    """The old run, read."""
    return read_run(OLD)


def row(run: Run, benchmark: str) -> Measurement:
    """Find a benchmark."""
    return next(each for each in run.measurements if each.benchmark == benchmark)


def test_what_each_pass_had_found_is_kept(old: Run) -> None:
    """Notes, parts, calls, clips and transcripts stand where a report looks for them."""
    cost = row(old, "cost").found
    assert isinstance(cost, CostResult)
    assert cost.encoder.wall_ms == 1143.7919109994255
    assert (cost.decode.floor_bound, cost.decode.gpu_busy_ms) == ("arithmetic", None)
    assert cost.encoded_s == 30.0
    assert cost.parts[0].count > 0
    assert cost.calls.keys() == {"encoder", "decode"}
    memory = row(old, "memory").found
    assert isinstance(memory, MemoryResult)
    assert (memory.judged, memory.polls) == ("process (RSS)", 18910)
    assert memory.conditions.others == "visible"
    load = row(old, "load").found
    assert isinstance(load, StartupResult)
    assert load.dropped_page_cache
    assert load.import_s == 7.621922663000078
    quality = row(old, "quality").found
    assert isinstance(quality, QualityResult)
    assert (len(quality.clips), quality.score.words) == (5, 269)
    assert quality.over_reference == (0.0, 0.0)
    assert len(quality.transcripts) == 5
    assert row(old, "numerics").found == NumericsResult(worst_layer="decoder 1")


def test_an_old_run_is_shown_and_compared(old: Run) -> None:
    """The summary has its tables, and held against itself all of its figures are judged."""
    text = summarise(old)
    for told in ("quality: model nano", "memory, MiB: model dummy:tiny", "cost: model dummy:tiny"):
        assert told in text
    figures = sum(not metric.derived for each in old.measurements for metric in each.metrics)
    found = compare(old, old)
    assert len(found) == figures
    assert {each.verdict.verdict for each in found} <= {"ok", "inconclusive"}  # wall, of one run


def test_an_old_run_becomes_a_baseline_of_today(old: Run) -> None:
    """A baseline of it is of today's schema, with the figures and findings of each cell."""
    made = decode_run(merge_runs([RecordedRun("old", old, OLD.read_bytes())]), "made")
    assert made.info.schema == SCHEMA
    assert [each.found for each in made.measurements] == [each.found for each in old.measurements]
    assert all(metric.processes for each in made.measurements for metric in each.metrics)


@pytest.mark.parametrize("name", ["h100-cost.json", "h200-cost.json"])
def test_recordings_of_a_gpu_keep_its_times_and_conditions(name: str) -> None:
    """How long the GPU worked, and what it ran at."""
    run = read_run(ROOT / "docs" / "recordings" / name)
    assert run.measurements
    for each in run.measurements:
        assert isinstance(each.found, CostResult)
        assert 0 < (each.found.decode.gpu_busy_ms or 0) < each.found.decode.wall_ms
        assert (each.found.conditions.sm_clock_mhz or 0) > 300


def test_rewritten_benchmarks_are_still_those_of_today() -> None:
    """Each digest that schema 1's are read as is a benchmark's; one that has changed goes."""
    today = set()
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        module = import_module(f"benchmarks.{path.stem}")
        functions = [each for name, each in vars(module).items() if name.startswith("test_")]
        today |= {body_digest(function) for function in functions}
    gone = set(BODIES.values()) - today
    assert not gone, f"take {gone} out of BODIES: that benchmark measures another thing now"


def test_an_old_row_without_what_its_pass_needs_is_refused(tmp_path: Path) -> None:
    """One plain line names the field."""
    content: Any = json.loads(OLD.read_text(encoding="utf-8"))
    for each in content["benchmarks"]:
        each["extra_info"]["whisperbench"]["notes"].pop("encoder_floor_ms", None)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=r"notes of cost \(schema 1\): .*`floor_ms`"):
        read_run(path)
