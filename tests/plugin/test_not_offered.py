"""What a transcriber does not offer: named and no failure, and no way around a gate."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunSuite
from whisperbench.record import baselines as baseline
from whisperbench.results.run_file import read_run

STEP = "benchmarks/test_stages.py::test_token"


@pytest.fixture
def cell(quickest: tuple[str, ...]) -> tuple[str, ...]:
    """Options of a quick cell in CTranslate2's int8."""
    return (*quickest, "--precision", "ct2-int8")


def with_token(merged: bytes) -> dict[str, Any]:
    """Give a baseline a figure of a token beside that of a transcription."""
    content: dict[str, Any] = json.loads(merged)
    (row,) = content["benchmarks"]
    more = copy.deepcopy(row)
    more["fullname"] = more["fullname"].replace("test_transcribe.py::test_transcribe", "x::test_x")
    more["extra_info"]["whisperbench"]["benchmark"] = "token"
    content["benchmarks"].append(more)
    (entry,) = content["whisperbench"]["manifest"]
    content["whisperbench"]["manifest"].append(entry | {"benchmark": more["fullname"]})
    return content


def test_it_is_named_and_a_gate_is_not_fooled(
    run_here: RunSuite, cell: tuple[str, ...], tmp_path: Path
) -> None:
    """A run passes without it, and becomes a baseline that accepts the next; others miss it."""
    junit = tmp_path / "junit.xml"
    chosen = ("--all", "-k", "fixed2 or test_token")
    done = run_here(*cell, *chosen, "--junit-xml", str(junit))
    assert done.returncode == 0, done.stdout
    told = " ".join(done.stdout.split())
    assert f"not offered: {STEP}[speck-ct2-int8-yes-b1]: speck-ct2-int8: its" in told
    assert "1 not offered" in told
    assert 'skipped="1"' in junit.read_text(encoding="utf-8")
    run = read_run(tmp_path / "run.json")
    (entry,) = (entry for entry in run.info.manifest if entry.not_offered)
    assert entry.benchmark.startswith(STEP)
    assert (entry.outcome, run.unmeasured()) == ("skipped", [])
    kept = tmp_path / "baseline.json"
    merged = baseline.merge([tmp_path / "run.json"])
    kept.write_bytes(merged)
    again = run_here(*cell, *chosen, "--baseline", str(kept))
    assert again.returncode == 0, again.stdout
    kept.write_text(json.dumps(with_token(merged)), encoding="utf-8")
    fooled = run_here(*cell, *chosen, "--baseline", str(kept))
    assert fooled.returncode == 4
    assert "missing: token, speck ct2-int8" in fooled.stdout


def test_a_run_that_saw_nothing_is_no_pass(run_here: RunSuite, cell: tuple[str, ...]) -> None:
    """All that was asked for is not offered: nothing was measured, and that is said."""
    done = run_here(*cell, "--all", "-k", "test_token or test_cost")
    assert done.returncode == 1
    assert "ERROR: nothing was measured: the transcribers of this run offer nothing" in done.stdout
    assert "2 not offered" in done.stdout


class Skipping:
    """A plugin that skips a benchmark, with the words of another reason."""

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Skip the front end."""
        if "front_end" in item.name:
            pytest.skip("not offered: its transcriber offers no front end")


def test_a_skip_of_another_kind_fails_whatever_it_says(
    run_here: RunSuite, cell: tuple[str, ...], tmp_path: Path
) -> None:
    """Only what a transcriber itself says carries the mark."""
    chosen = ("-k", "test_encoder or test_front_end")
    done = run_here(*cell, *chosen, plugins=[Skipping()])
    assert done.returncode == 1
    entries = read_run(tmp_path / "run.json").info.manifest
    (skipped,) = (entry for entry in entries if "test_front_end" in entry.benchmark)
    assert (skipped.outcome, skipped.not_offered) == ("skipped", False)
