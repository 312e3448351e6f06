"""Runs of the suite in another interpreter."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from whisperbench.asked.checkout import BENCHMARKS, ROOT
from whisperbench.errors import InputError, InvalidMeasurementError
from whisperbench.record import runs as recording
from whisperbench.record.elsewhere import last_words, rebased, run_suite

FRONT_END = (
    *("benchmarks/test_stages.py", "-k", "front_end", "--device", "cpu", "--rounds", "1"),
    *("--model", "dummy:tiny:1", "--precision", "fp32", "-p", "no:cacheprovider"),
)


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the lock out of everybody's way."""
    (tmp_path / "cache").mkdir()
    (cache / "dummies").mkdir(exist_ok=True)
    (tmp_path / "cache" / "dummies").symlink_to(cache / "dummies")
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))


def program(tmp_path: Path, *lines: str) -> Path:
    """Make a program that stands where an interpreter is asked for."""
    path = tmp_path / "python"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def test_a_suite_measures_a_sides_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite's copy measures, with the side's code behind it and nothing of who started it."""
    suite, side, here = (tmp_path / name for name in ("suite", "side", "here"))
    suite.mkdir()
    for name in ("benchmarks", "fixtures", "whisperbench", "conftest.py", "pyproject.toml"):
        (suite / name).symlink_to(ROOT / name)
    for folder, text in ((side, "the side's"), (here, "who starts it's")):
        (folder / "whisperbench").mkdir(parents=True)
        (folder / "whisperbench" / "__init__.py").write_text("raise SystemExit('the wrong one')")
        (folder / "sidecode.py").write_text(
            "import os, pathlib, whisperbench\n"
            f"told = ({text!r}, whisperbench.__file__, os.getcwd())\n"
            f"pathlib.Path({str(tmp_path / 'told')!r}).write_text(repr(told))\n"
        )
    monkeypatch.setenv("PYTHONPATH", str(here))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    with recording.alone():  # as a comparison of several runs does
        run = run_suite(
            Path(sys.executable),
            suite,
            [*FRONT_END, "-p", "sidecode"],
            tmp_path / "run.json",
            own=[side],
            name="head",
        )
        with pytest.raises(InputError, match="being recorded"), recording.measuring():
            pass
    assert [row.benchmark for row in run.measurements] == ["front end"]
    what, package, folder = eval((tmp_path / "told").read_text())  # noqa: S307 - our own words
    assert what == "the side's"
    assert Path(package).parents[1] == suite
    assert Path(folder) == suite


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["kill -SEGV $$"], "base: the run was ended by SIGSEGV: it said nothing"),
        (
            ["echo 'ERROR: no cells'", "echo later", "exit 4"],
            "base: the run exited with 4 and measured nothing: ERROR: no cells",
        ),
        (
            [
                "echo 'ERROR: usage: python -m pytest [options]'",
                "echo 'python -m pytest: error: unrecognized arguments: --x'",
                "echo '  rootdir: /x'",
                "exit 4",
            ],
            "base: the run exited with 4 and measured nothing: python -m pytest: error: "
            "unrecognized arguments: --x",
        ),
        (
            ["echo 'ImportError: libx.so'", "exit 1"],
            "base: the run exited with 1 and measured nothing: ImportError: libx.so",
        ),
    ],
)
def test_a_side_that_crashes_is_named(tmp_path: Path, lines: Sequence[str], sentence: str) -> None:
    """A run that dies, is refused or cannot import is one line that says which side it was."""
    result = tmp_path / "run.json"
    result.write_text("of an earlier run")
    with pytest.raises(InvalidMeasurementError) as raised:
        run_suite(program(tmp_path, *lines), ROOT, [], result, name="base")
    assert str(raised.value) == sentence
    with pytest.raises(InvalidMeasurementError, match=r"base: .*absent cannot be started: No such"):
        run_suite(tmp_path / "absent", ROOT, [], result, name="base")


STARTER = """
import sys
from pathlib import Path
from whisperbench.record.elsewhere import run_suite
try:
    run_suite(Path(sys.argv[1]), Path(sys.argv[2]), [], Path("run.json"), name="base")
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_ends_the_run_as_well(tmp_path: Path) -> None:
    """A job that is cancelled leaves no run behind, and whoever started it goes on to its end."""
    python = program(tmp_path, "echo $$ > started", "exec sleep 60")
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(python), str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        # pytest may itself run where Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    started = tmp_path / "started"
    while not (started.exists() and started.read_text()):
        assert starter.poll() is None
        time.sleep(0.02)
    starter.send_signal(signal.SIGTERM)
    said, _ = starter.communicate(timeout=60)
    assert said == "interrupted\n"
    assert not psutil.pid_exists(int(started.read_text()))


def test_paths_mean_the_same_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths of the checkout become the suite's, others absolute; names and options stay."""
    suite = tmp_path / "suite"
    shutil.copytree(BENCHMARKS, suite / "benchmarks")
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "a.wav").touch()
    (tmp_path / "nano").mkdir()
    monkeypatch.chdir(tmp_path)
    cost = f"{BENCHMARKS}/test_cost.py::test_cost"
    assert rebased([cost], suite) == ["benchmarks/test_cost.py::test_cost"]
    given = ["--clip", "words/a.wav,yes", "--data=words/a.wav", "--model=nano", "-k", "a or b"]
    absolute = str(tmp_path / "words" / "a.wav")
    assert rebased(given, suite) == [
        *("benchmarks", "--clip", f"{absolute},yes", f"--data={absolute}"),
        *("--model=nano", "-k", "a or b"),
    ]
    monkeypatch.chdir(BENCHMARKS)
    assert rebased(["test_cost.py"], suite) == ["benchmarks/test_cost.py"]
    assert rebased(["x" * 5000 + ".wav", "\0.wav"], suite)[1:] == ["x" * 5000 + ".wav", "\0.wav"]


def test_the_line_that_says_most() -> None:
    """An error is told before the advice under a crash of pytest's, and that before nothing."""
    crash = "INTERNALERROR> ValueError: no such cell\nINTERNALERROR> Try with --tb=native"
    assert last_words(crash) == "INTERNALERROR> ValueError: no such cell"
    assert last_words("INTERNALERROR> it broke\n1 error") == "INTERNALERROR> it broke"
