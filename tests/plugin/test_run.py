"""`pytest benchmarks/` as a user runs it: in a process of its own, on the CPU."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import JFK, QUICK, TINY_EN, WORDS, RunSuite, Shared
from whisperbench.asked.checkout import ROOT
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.results.passes import CostResult, LatencyResult
from whisperbench.results.run_file import read_run
from whisperbench.whisper.transformers_transcriber import TransformersTranscriber


def content_of(path: Path) -> Any:
    """Read a result as JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_whole_run(whole_run: Shared) -> None:
    """A cell through every benchmark: quiet output, a summary, a complete result."""
    done = whole_run.done
    assert done.returncode == 0, done.stdout + done.stderr
    assert "14 benchmarks asked for: 9 measured, 5 deselected" in done.stdout
    assert "This run does not say what int8 costs against fp32" in done.stdout
    assert "(time in" not in done.stdout  # pytest-benchmark's own tables
    assert done.stderr == ""
    assert "warning" not in done.stdout.lower()
    # The checkpoint is loaded once, after the 32-bit floats that it is held against.
    began = ("watching", "loading", "starting")
    loads = [line.split()[:2] for line in done.stdout.splitlines() if line.startswith(began)]
    assert [first for first, _ in loads] == ["watching", "loading", "loading", "starting"]
    assert [second for _, second in loads[1:3]] == ["dummy:tiny:1-fp32", "dummy:tiny:1-int8"]

    content = content_of(whole_run.result)
    run = read_run(whole_run.result)
    assert len(run.measurements) == len(content["benchmarks"]) == 9
    asked = [entry for entry in run.info.manifest if not entry.deselected]
    assert {entry.outcome for entry in asked} == {"measured"}
    assert run.machine.device_key.startswith("cpu-")
    by_stage = {(row.benchmark, row.cell.precision): row for row in run.measurements}
    transcribed = by_stage["transcribe", "int8"]
    assert {metric.name for metric in transcribed.metrics} == {
        "latency_s",
        "tokens_per_s",
        "weight_mib",
        "rtfx_fixed_tokens",
    }
    assert isinstance(transcribed.found, LatencyResult)
    assert transcribed.found.transcripts[0].split()
    memory = by_stage["memory", "int8"]
    peaks = {metric.name: metric.value or 0.0 for metric in memory.metrics}
    assert peaks["peak_process_mib"] > peaks["context_mib"] + peaks["weight_mib"] > 70
    numerics = by_stage["numerics", "int8"]
    assert {metric.name for metric in numerics.metrics} >= {"logit_error", "weight_mib"}
    assert [row.verdict for row in numerics.verdicts] == ["ok"]
    cost = by_stage["cost", "int8"].found
    assert isinstance(cost, CostResult)
    ops = sum(part.count for part in cost.parts if (part.stage, part.kind) == ("decode", "op"))
    assert ops > 1000
    assert cost.calls["decode"]["modules.Linear8bitLt.forward"] > 10
    assert {part.module for part in cost.parts} >= {"Linear8bitLt", "WhisperAttention"}
    assert len(json.dumps(content["benchmarks"][-1])) < 50_000
    for row, written in zip(run.measurements, content["benchmarks"], strict=True):
        latency = row.metric("latency_s")
        assert (latency is None) == (row.benchmark in ("memory", "cost", "numerics"))
        if latency is None:
            continue
        # pytest-benchmark's own figures are the same samples: other readers see what we see.
        assert list(latency.samples or ()) == written["stats"]["data"]
    # No host name, no user's paths.
    assert content["machine_info"]["node"] == ""
    text = json.dumps(content)
    for private in (str(ROOT), str(Path.home()), str(whole_run.folder)):
        assert private not in text


class SkipBodies:
    """A plugin that passes a benchmark without running it."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Be done with the first call before it began."""
        return True if "first_call" in pyfuncitem.name else None


def test_what_timed_nothing_is_not_a_pass(run_here: RunSuite, quickest: tuple[str, ...]) -> None:
    """A benchmark that pytest passes without a timing fails the run, and so do those not run."""
    first_call = (*quickest, "--precision", "fp32", "-k", "first_call")
    done = run_here(*first_call, plugins=[SkipBodies()])
    assert "1 passed" in done.stdout
    assert "timed nothing" in done.stdout
    assert done.returncode == 1
    done = run_here(*first_call, "--setup-only")
    assert done.returncode == 1


def test_an_interrupted_run_is_written_with_what_is_missing(cache: Path, tmp_path: Path) -> None:
    """Ctrl-C, even before a first round is through, gives a whole file, and no traceback."""
    path = tmp_path / "run.json"
    running = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "benchmarks/test_startup.py"),
            *("-p", "no:cacheprovider", "--device", "cpu", "--result", str(path), *QUICK),
        ],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if "PYTEST" not in name}
        | {"WHISPERBENCH_CACHE": str(cache), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if line.startswith("starting a fresh process"):
            os.killpg(running.pid, signal.SIGINT)
            break
    rest = running.communicate(timeout=60)[0]
    assert running.returncode == 2, rest
    assert "INTERNALERROR" not in rest
    assert "min() arg is an empty sequence" not in rest
    run = read_run(path)
    assert run.measurements == ()
    assert {entry.outcome for entry in run.info.manifest} <= {"skipped", "failed"}


@pytest.mark.skipif(not TINY_EN.is_dir(), reason="set WHISPERBENCH_TINY_EN to its checkpoint")
@pytest.mark.skipif(not JFK.is_file(), reason="the recording is not beside the checkout")
def test_a_real_run_hears_the_sentence(run_here: RunSuite, tmp_path: Path) -> None:
    """The command of the issue: real tiny.en, JFK's sentence, int8, text in the result.

    In fp32 it is heard as well as in int8: tests/measure/quality/test_hearing.py.
    """
    done = run_here(
        *("--model", str(TINY_EN), "--clip", str(JFK), "--rounds", "1"),
        *("--precision", "int8", "-k", "test_transcribe and natural"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = read_run(tmp_path / "run.json")
    heard = {row.cell.precision: row for row in run.measurements if row.cell.tokens is None}
    assert sorted(heard) == ["int8"]
    for row in heard.values():
        assert isinstance(row.found, LatencyResult)
        assert row.found.transcripts[0].endswith(WORDS)
        wer, rtfx = row.metric("wer"), row.metric("rtfx")
        assert wer is not None
        assert wer.value == 0.0
        assert rtfx is not None


class Witness:
    """A plugin that takes down what happens in a round, and what it says of garbage by then."""

    def __init__(self) -> None:
        self.events: list[tuple[str, bool, bool]] = []
        self.frozen_before = 0

    def pytest_collection_finish(self) -> None:
        """Look at what is frozen before anything is timed."""
        self.frozen_before = gc.get_freeze_count()

    def sees(self, event: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and is seen."""

        def seen(*arguments: Any) -> Any:
            frozen = gc.get_freeze_count() > self.frozen_before
            self.events.append((event, gc.isenabled(), frozen))
            return plain(*arguments)

        return seen


def test_a_round_is_timed_by_the_rules(
    run_here: RunSuite,
    quickest: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The output is checked first; then each round is synchronised at both ends, without GC.

    Benchmarks named through a link are the benchmarks, and pytest-benchmark, which compares this
    run with another, sees one machine.
    """
    (tmp_path / "link").symlink_to(ROOT)
    saved, other = tmp_path / "saved.json", tmp_path / "other.json"
    asked = (*quickest, "--precision", "int8", "-k", "front_end")
    assert run_here(*asked, "--result", str(other)).returncode == 0
    witness = Witness()
    plain = TransformersTranscriber.front_end
    monkeypatch.setattr(TransformersTranscriber, "front_end", witness.sees("call", plain))
    synchronize = witness.sees("synchronize", CpuAccelerator.synchronize)
    monkeypatch.setattr(CpuAccelerator, "synchronize", synchronize)
    done = run_here(
        *(*asked, "--benchmark-json", str(saved), "--benchmark-compare", str(other)),
        path=str(tmp_path / "link" / "benchmarks"),
        plugins=[witness],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    warmup_and_timed = 0 + 1
    quiet_round = [
        ("synchronize", False, True),
        ("call", False, True),
        ("synchronize", False, True),
    ]
    assert witness.events == [("call", True, False), *quiet_round * warmup_and_timed]
    for path in (tmp_path / "run.json", saved):
        assert len(content_of(path)["benchmarks"][0]["stats"]["data"]) == 1
    assert "machine_info is different" not in done.stdout + done.stderr
    assert "(NOW)" in done.stdout
