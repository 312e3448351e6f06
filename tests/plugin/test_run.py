"""`pytest benchmarks/` as a user runs it: in a process of its own, on the CPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import JFK, QUICK, TINY_EN, WORDS, RunSuite, Shared
from whisperbench.asked.checkout import ROOT
from whisperbench.results.passes import CostResult, LatencyResult
from whisperbench.results.run_file import read_run


def content_of(path: Path) -> Any:
    """Read a result as JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_whole_run(whole_run: Shared) -> None:
    """A cell through every benchmark: quiet output, a summary, a complete result."""
    done = whole_run.done
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 benchmarks asked for: 9 measured" in done.stdout
    assert done.stderr == ""
    assert "warning" not in done.stdout.lower()
    # The checkpoint is loaded once, after the 32-bit floats that it is held against.
    began = ("watching", "starting", "loading")
    loads = [line.split()[:2] for line in done.stdout.splitlines() if line.startswith(began)]
    assert [first for first, _ in loads] == [*began, "loading"]
    assert [second for _, second in loads[2:]] == ["dummy:tiny-fp32", "dummy:tiny-int8"]

    content = content_of(whole_run.result)
    run = read_run(whole_run.result)
    assert len(run.measurements) == len(content["benchmarks"]) == 9
    assert {entry.outcome for entry in run.info.manifest} == {"measured"}
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
    assert peaks["peak_process_mib"] > peaks["context_mib"] + peaks["weight_mib"] > 100
    assert [row.verdict for row in memory.verdicts] == ["ok"]
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


def test_what_timed_nothing_is_not_a_pass(run_here: RunSuite) -> None:
    """A benchmark that pytest passes without a timing fails the run, and so do those not run."""
    first_call = (*QUICK, "--precision", "fp32", "-k", "first_call")
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
            *(sys.executable, "-m", "pytest", "benchmarks/", "-p", "no:cacheprovider"),
            *("--device", "cpu", "--result", str(path), *QUICK, "-k", "not memory"),
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
def test_a_real_run_hears_the_sentence(run_suite: RunSuite, tmp_path: Path) -> None:
    """The command of the issue: real tiny.en, JFK's sentence, fp32 and int8, text in the result."""
    done = run_suite(
        *("--model", str(TINY_EN), "--clip", str(JFK), "--rounds", "1"),
        *("--precision", "fp32,int8", "-k", "test_transcribe"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = read_run(tmp_path / "run.json")
    heard = {row.cell.precision: row for row in run.measurements if row.cell.tokens is None}
    assert sorted(heard) == ["fp32", "int8"]
    for row in heard.values():
        assert isinstance(row.found, LatencyResult)
        assert row.found.transcripts[0].endswith(WORDS)
        wer, rtfx = row.metric("wer"), row.metric("rtfx")
        assert wer is not None
        assert wer.value == 0.0
        assert rtfx is not None


WITNESS = """
import atexit, gc, json, os
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.whisper.transformers_transcriber import TransformersTranscriber

events = []
frozen_before = gc.get_freeze_count()
plain_call, plain_synchronize = TransformersTranscriber.front_end, CpuAccelerator.synchronize

def front_end(self, window=0):
    events.append(["call", gc.isenabled(), gc.get_freeze_count() > frozen_before])
    return plain_call(self, window)

def synchronize(self):
    events.append(["synchronize", gc.isenabled(), gc.get_freeze_count() > frozen_before])
    return plain_synchronize(self)

TransformersTranscriber.front_end, CpuAccelerator.synchronize = front_end, synchronize
atexit.register(lambda: open(os.environ["EVENTS"], "w").write(json.dumps(events)))
"""


def test_a_round_is_timed_by_the_rules(
    run_suite: RunSuite, whole_run: Shared, tmp_path: Path
) -> None:
    """The output is checked first; then each round is synchronised at both ends, without GC.

    Benchmarks named through a link are the benchmarks, and pytest-benchmark, which compares this
    run with another, sees one machine.
    """
    (tmp_path / "witness.py").write_text(WITNESS, encoding="utf-8")
    (tmp_path / "link").symlink_to(ROOT)
    saved = tmp_path / "saved.json"
    done = run_suite(
        *(*QUICK, "--precision", "int8", "-k", "front_end", "-p", "witness"),
        *("--benchmark-json", str(saved), "--benchmark-compare", str(whole_run.result)),
        path=str(tmp_path / "link" / "benchmarks"),
        EVENTS=str(tmp_path / "events.json"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    events = json.loads((tmp_path / "events.json").read_text(encoding="utf-8"))
    warmup_and_timed = 2 + 1
    quiet_round = [
        ["synchronize", False, True],
        ["call", False, True],
        ["synchronize", False, True],
    ]
    assert events == [["call", True, False], *quiet_round * warmup_and_timed]
    for path in (tmp_path / "run.json", saved):
        assert len(content_of(path)["benchmarks"][0]["stats"]["data"]) == 1
    assert "machine_info is different" not in done.stdout + done.stderr
    assert "(NOW)" in done.stdout


def test_an_unwritable_result_fails_at_once(run_here: RunSuite, tmp_path: Path) -> None:
    """A result that could not be written in the end is refused in the beginning."""
    done = run_here(*QUICK, "--result", str(tmp_path))
    assert done.returncode == 4
    assert f"ERROR: {tmp_path}: is a folder; name a file" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--precision", "int9"), "--precision int9: unknown; choose from fp32"),
        (("--rounds", "0"), "--rounds 0: must be a whole number of at least 1"),
        (("--model", "./none"), "--model ./none: no such folder"),
        (("--device", "cuda"), "--device cpu"),
        (("--clip", "none.wav"), "--clip none.wav: no such file"),
        (("--benchmark-disable",), "--benchmark-disable is set"),
        (("--benchmark-skip",), "--benchmark-skip is set"),
        (("--attention", "flash_attention_2"), "needs an NVIDIA GPU from Ampere on; use sdpa"),
        (("--rounds", "1", "--rounds=2"), "--rounds: was given 2 times (look at addopts"),
        (("--clip", "new\nline.wav"), r"--clip: the name new\nline.wav cannot be printed"),
        (
            (*QUICK, "--keep-duplicates", "benchmarks/"),
            "would be measured 2 times in one run: drop",
        ),
    ],
)
def test_bad_options_end_the_run_in_one_line(
    run_suite: RunSuite, tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    """Exit code 4, one line with the remedy, and no result file."""
    require_refused(run_suite(*arguments), line)
    assert not (tmp_path / "run.json").exists()


def test_a_name_for_what_was_heard_is_no_results(run_here: RunSuite) -> None:
    """A result cannot have the name of the file beside it: one line, and no result file."""
    done = run_here(*QUICK, "--result", "a.clips.jsonl")
    require_refused(done, "a.clips.jsonl: is a name for what was heard")
    assert not (ROOT / "a.clips.jsonl").exists()


def require_refused(done: subprocess.CompletedProcess[str], line: str) -> None:
    """Require one line of error, and the exit code of bad usage."""
    assert done.returncode == 4
    errors = [text for text in done.stderr.splitlines() if text]
    assert len(errors) == 1
    assert errors[0].startswith("ERROR: ")
    assert line in errors[0]
    assert "Traceback" not in done.stdout


AGAIN = """
import pytest
@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc):
    metafunc.fixturenames.append("step")
    metafunc.parametrize("step", [1, 2])
@pytest.fixture
def step(request):
    return request.param
"""


def test_a_cell_is_measured_once(run_suite: RunSuite, tmp_path: Path) -> None:
    """What pytest-repeat does to tests, in the order that they were given: one line, no result."""
    (tmp_path / "again.py").write_text(AGAIN, encoding="utf-8")
    done = run_suite(*QUICK, "-p", "again", PYTEST_ADDOPTS="-k front_end --precision=fp32")
    assert done.returncode == 4
    line = "ERROR: test_stages.py::test_front_end[dummy:tiny-fp32-yes-1] would be measured 2 times"
    assert done.stderr.startswith(line)
    assert not (tmp_path / "run.json").exists()


def test_an_option_of_addopts_is_not_forgotten(run_suite: RunSuite) -> None:
    """A value from PYTEST_ADDOPTS and another of the command line are one too many."""
    done = run_suite(*QUICK, PYTEST_ADDOPTS="--tokens=4")
    assert done.returncode == 4
    assert "--tokens: was given 2 times" in done.stderr


def test_unreachable_model_fails_the_run(run_suite: RunSuite, tmp_path: Path) -> None:
    """A hub that cannot be reached ends the run before anything is measured; nothing is skipped."""
    done = run_suite(
        *("--model", "openai/whisper-tiny"), HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path)
    )
    assert done.returncode == 4
    assert "the hub cannot be reached" in done.stderr
    assert "skipped" not in done.stdout


def test_broken_audio_fails_the_run(run_suite: RunSuite, tmp_path: Path) -> None:
    """Audio that cannot be decoded ends the run before anything is measured."""
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    done = run_suite("--clip", str(tmp_path / "broken.wav"))
    assert done.returncode == 4
    assert "not a readable wav, flac or mp3" in done.stderr


def test_inherited_xdist_worker_is_refused(run_suite: RunSuite) -> None:
    """An inherited PYTEST_XDIST_WORKER would switch pytest-benchmark off in silence."""
    done = run_suite(PYTEST_XDIST_WORKER="gw0")
    assert done.returncode == 4
    assert "unset PYTEST_XDIST_WORKER" in done.stderr


COLLECT = """
import sys, pytest
code = pytest.main(["benchmarks/", "--collect-only", "-q", *sys.argv[1:]])
heavy = {"torch", "transformers", "bitsandbytes", "accelerate"} & set(sys.modules)
print("heavy:", sorted(heavy))
sys.exit(int(code))
"""


def _collect(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COLLECT, *arguments],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if "PYTEST" not in name},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_collection_loads_no_torch() -> None:
    """`--collect-only` lists the matrix of a GPU run without importing torch or transformers."""
    done = _collect("--device", "cuda")
    assert done.returncode == 0, done.stdout
    assert "heavy: []" in done.stdout
    name = "openai/whisper-large-v3@06f233fe"
    for decoding in ("natural", "fixed64"):
        for precision in ("fp16", "int8"):
            test = f"test_transcribe[{name}-{precision}-{decoding}-harbour-b1]"
            assert f"benchmarks/test_transcribe.py::{test}" in done.stdout


def test_fresh_processes_come_first_and_checkpoints_one_by_one() -> None:
    """No model is loaded before the fresh processes are through, and none twice."""
    done = _collect("--device", "cpu")
    tests = [line for line in done.stdout.splitlines() if "::" in line]
    fresh = ["test_memory.py" in line or "test_startup.py" in line for line in tests]
    assert fresh == sorted(fresh, reverse=True)
    loaded = [line for line, is_fresh in zip(tests, fresh, strict=True) if not is_fresh]
    checkpoints = [key for key, _ in groupby("-".join(_id(line)[:2]) for line in loaded)]
    assert checkpoints == [
        *("dummy:tiny-fp32", "dummy:tiny-int8"),
        *("nano-fp32", "nano-bf16", "nano-int8", "nano-nf4"),
    ]


def _id(test: str) -> list[str]:
    return test.partition("[")[2].removesuffix("]").split("-")


def test_what_is_heard_is_not_timed() -> None:
    """By default nano is held against words alone, and the dummy against everything else."""
    lines = [line for line in _collect("--device", "cpu").stdout.splitlines() if "::" in line]
    asked = {(_id(line)[0], line.partition("::")[2].partition("[")[0]) for line in lines}
    assert {test for model, test in asked if model == "nano"} == {"test_quality", "test_numerics"}
    timed = {test for model, test in asked if model == "dummy:tiny"}
    assert len(timed) == 9
    assert "test_quality" not in timed


def test_a_dummy_has_no_natural_length() -> None:
    """Of random weights only the fixed count is collected: no skip, no empty set."""
    done = _collect("--device", "cpu")
    assert "natural" not in done.stdout
    assert "fixed32" in done.stdout


def test_the_commands_load_no_torch(tmp_path: Path) -> None:
    """`whisperbench --help`, `list` and `show` import neither torch nor transformers."""
    script = (
        "import sys\nfrom whisperbench.cli import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit:\n    pass\nexcept Exception as error:\n"
        "    print(error)\n"
        "print('heavy:', sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))\n"
    )
    for arguments in (["--help"], ["list"], ["show", str(tmp_path / "none.json")]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert "heavy: []" in done.stdout
