"""The parts of the suite that `whisperbench ab` runs one by one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import RunSuite, Shared
from whisperbench.measure.turns.messages import PART_VARIABLE, TURNS_VARIABLE
from whisperbench.record.runs import RECORDER
from whisperbench.results.metrics import METRICS

ASKED = (
    *("--collect-only", "-q", "--model", "nano", "--precision", "fp32", "--clip", "yes"),
    "--all",
)


def collected(run_here: RunSuite, *more: str) -> set[str]:
    """Return the names of the benchmarks that a run is left with."""
    done = run_here(*ASKED, *more)
    lines = [line for line in done.stdout.splitlines() if "::test_" in line]
    return {line.partition("::")[2].partition("[")[0] for line in lines}


def ask_for(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what `whisperbench ab` sets, as if it were this process's parent."""
    monkeypatch.setenv(PART_VARIABLE, part)
    monkeypatch.setenv(RECORDER, str(os.getppid()))


def test_each_benchmark_is_in_one_part(run_here: RunSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts and wall time together are the suite, but for what starts processes for its rounds.

    The part of costs is what is counted exactly; a run that keeps no figure has that and wall time.
    """
    everything = collected(run_here)
    parts = {}
    for part in ("counts", "cost", "wall", "reach"):
        ask_for(part, monkeypatch)
        parts[part] = collected(run_here)
    assert not parts["counts"] & parts["wall"]
    assert everything - parts["counts"] - parts["wall"] == {"test_load", "test_first_call"}
    assert parts["wall"] == {"test_front_end", "test_encoder", "test_token", *parts["wall"]}
    assert "test_transcribe" in {name.removesuffix("_natural") for name in parts["wall"]}
    assert parts["cost"] == {"test_cost"}
    assert parts["reach"] == parts["cost"] | parts["wall"]
    assert {"test_cost", "test_memory"} <= parts["counts"]


def test_unknown_parts_and_channels_are_refused(
    run_here: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that somebody else has set are one line, and nothing runs."""
    for left_over in ("everything", "wall"):
        monkeypatch.setenv(PART_VARIABLE, left_over)
        done = run_here(*ASKED)
        assert done.returncode == 4
        assert f"{PART_VARIABLE} is whisperbench ab's own: unset it" in done.stdout + done.stderr
    monkeypatch.delenv(PART_VARIABLE)
    monkeypatch.setenv(TURNS_VARIABLE, "none")
    done = run_here("-k", "front_end", *ASKED[2:])
    assert done.returncode == 4
    assert f"{TURNS_VARIABLE} is whisperbench ab's own: unset it" in done.stdout + done.stderr


def test_a_channel_that_is_gone_is_refused(
    run_here: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptors that nobody listens at are refused before anything is measured."""
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    monkeypatch.setenv(TURNS_VARIABLE, f"{write_fd},{write_fd}")
    done = run_here("-k", "front_end", *ASKED[2:])
    os.close(write_fd)
    assert done.returncode == 4
    assert f"{TURNS_VARIABLE} is whisperbench ab's own: unset it" in done.stdout + done.stderr


def test_every_benchmark_of_wall_time_has_the_marker(
    whole_run: Shared, run_here: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One without it would be run once for its counts, and its wall time never compared.

    So each benchmark whose own figures are of kind wall is left out of the part of counts.
    """
    rows = json.loads(whole_run.result.read_text(encoding="utf-8"))["benchmarks"]
    figures = {
        row["fullname"].partition("::")[2].partition("[")[0]: {
            metric["name"] for metric in row["extra_info"]["whisperbench"]["metrics"]
        }
        for row in rows
    }
    wall = {
        name
        for name, metrics in figures.items()
        if any(METRICS[each].kind == "wall" and not METRICS[each].derived for each in metrics)
    }
    assert {"test_token", "test_load"} <= wall
    ask_for("counts", monkeypatch)
    assert not collected(run_here) & wall


def test_results_of_parts_are_whole(
    run_here: RunSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What belongs to another part is deselected, not missing: the run passes without it."""
    ask_for("wall", monkeypatch)
    done = run_here(*ASKED[2:], "-k", "front_end", "--rounds", "1")
    assert done.returncode == 0, done.stdout
    manifest = json.loads((tmp_path / "run.json").read_text())["whisperbench"]["manifest"]
    assert [each["outcome"] for each in manifest].count("measured") == 1
    assert {each.get("reason", "") for each in manifest if each["outcome"] == "skipped"} == {
        "deselected"
    }
