"""What is refused before anything is measured: exit code 4, one line, and no result."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import QUICK, RunSuite
from whisperbench.asked.checkout import ROOT


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
    run_here: RunSuite, tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    """Exit code 4, one line with the remedy, and no result file."""
    require_refused(run_here(*arguments), line)
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


class Again:
    """A plugin that gives each test two steps, after all other parameters."""

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Add a parameter that the test does not have."""
        metafunc.fixturenames.append("step")
        metafunc.parametrize("step", [1, 2])

    @pytest.fixture
    def step(self, request: pytest.FixtureRequest) -> object:
        """Give the parameter."""
        return request.param


def test_a_cell_is_measured_once(
    run_here: RunSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pytest-repeat does to tests, in the order that they were given: one line, no result."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k front_end --precision=fp32")
    done = run_here(*QUICK, plugins=[Again()])
    assert done.returncode == 4
    cell = "test_stages.py::test_front_end[dummy:tiny:1-fp32-yes-1]"
    assert done.stderr.startswith(f"ERROR: {cell} would be measured 2 times")
    assert not (tmp_path / "run.json").exists()


def test_an_option_of_addopts_is_not_forgotten(
    run_here: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value from PYTEST_ADDOPTS and another of the command line are one too many."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "--tokens=4")
    done = run_here(*QUICK)
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


def test_broken_audio_fails_the_run(run_here: RunSuite, tmp_path: Path) -> None:
    """Audio that cannot be decoded ends the run before anything is measured."""
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    done = run_here("--clip", str(tmp_path / "broken.wav"))
    assert done.returncode == 4
    assert "not a readable wav, flac or mp3" in done.stderr


def test_inherited_xdist_worker_is_refused(
    run_here: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inherited PYTEST_XDIST_WORKER would switch pytest-benchmark off in silence."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    done = run_here()
    assert done.returncode == 4
    assert "unset PYTEST_XDIST_WORKER" in done.stderr
