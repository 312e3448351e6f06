"""Output that cannot be encoded or written: nothing is lost unsaid, and no code is a verdict's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from tests.judge.compared import a_cost
from tests.runs import make_measurement, make_run, make_run_file
from whisperbench.cli import main
from whisperbench.errors import ExitCode, InputError
from whisperbench.output import Output, legible

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")


@pytest.fixture
def run_file(tmp_path: Path) -> str:
    """A run whose clip's name no 8-bit encoding has."""
    path = tmp_path / "run.json"
    named = make_measurement(clip="名 é 🎧")
    path.write_text(json.dumps(make_run_file(make_run(named))), encoding="utf-8")
    return str(path)


@pytest.fixture
def full() -> Iterator[TextIO]:
    """A disk without room."""
    stream = FULL.open("w", encoding="utf-8")
    yield stream
    stream.close()


def command(monkeypatch: pytest.MonkeyPatch, stdout: TextIO | None, *arguments: str) -> int:
    """Run the command in this process, with an output of its own; return its exit code."""
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stdout)
        patched.setattr(sys, "argv", ["whisperbench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("encoding", "text", "written"),
    [
        ("utf-8", "─ × ± … é 名 🎧", "─ × ± … é 名 🎧"),
        ("utf-8", "\udcff", r"\udcff"),
        ("cp1252", "─ × ± … é 名", r"- × ± … é \u540d"),
        ("latin-1", "─── × ± … é", "--- × ± ... é"),
        ("cp437", "── × ± é", "── x ± é"),
        ("ascii", "─ × ± … é 🎧", r"- x +- ... \u00e9 \ud83c\udfa7"),
        ("shift_jis", "名 é", r"名 \u00e9"),
    ],
)
def test_what_an_encoding_lacks(encoding: str, text: str, written: str) -> None:
    """Tables stay tables, what is known stays, and the rest is escaped as JSON has it."""
    assert legible(text, encoding) == written


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp437", "ascii", "utf-8"])
def test_a_summary_in_any_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_file: str, encoding: str
) -> None:
    """`show` prints the whole table, and ends with 0."""
    path = tmp_path / "out.txt"
    with path.open("w", encoding=encoding) as stream:
        assert command(monkeypatch, stream, "show", run_file) == 0
    # Typer writes UTF-8 where the encoding is plain ASCII.
    text = path.read_text(encoding="utf-8" if encoding == "ascii" else encoding)
    assert "1 benchmark asked for: 1 measured" in text
    assert "clip 名" in text or r"clip \u540d" in text


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp437", "utf-8"])
def test_json_stays_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_file: str, encoding: str
) -> None:
    """What an encoding lacks is written so that who reads the verdicts reads the same names."""
    path = tmp_path / "out.json"
    with path.open("w", encoding=encoding) as stream:
        command(monkeypatch, stream, "compare", run_file, run_file, "--format", "json")
    assert "名 é 🎧" in str(json.loads(path.read_text(encoding=encoding)))


@needs_full
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["show", "RUN"],
        ["show", "RUN", "--format", "csv"],
        ["advise", "RUN"],
        ["compare", "RUN", "RUN"],
        ["compare", "RUN", "RUN", "--format", "json"],
        ["list"],
        ["limits", "--device", "cpu"],
        ["baseline", "list"],
        ["baseline", "show", "RUN"],
        ["baseline", "--help"],
    ],
)
def test_a_full_disk(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    full: TextIO,
    run_file: str,
    arguments: list[str],
) -> None:
    """Every command ends with one line on standard error, and exit code 2."""
    given = [run_file if argument == "RUN" else argument for argument in arguments]
    assert command(monkeypatch, full, *given) == ExitCode.USAGE
    assert capsys.readouterr().err == (
        "whisperbench: the output cannot be written: No space left on device\n"
    )


@needs_full
def test_a_verdict_that_nobody_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: TextIO
) -> None:
    """A regression whose lines are lost is told as lost output: 1 comes with its reasons."""
    paths = [tmp_path / "base.json", tmp_path / "head.json"]
    for path, row in zip(paths, (a_cost(), a_cost(101)), strict=True):
        path.write_text(json.dumps(make_run_file(make_run(row))), encoding="utf-8")
    arguments = ["compare", *map(str, paths)]
    with (tmp_path / "out.txt").open("w", encoding="utf-8") as stream:
        assert command(monkeypatch, stream, *arguments) == ExitCode.REGRESSED
    assert command(monkeypatch, full, *arguments) == ExitCode.USAGE


@needs_full
def test_no_room_for_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, full: TextIO) -> None:
    """Where standard error cannot be written, the exit code still says what it says."""
    monkeypatch.setattr(sys, "stderr", full)
    with (tmp_path / "out.txt").open("w", encoding="utf-8") as stream:
        assert command(monkeypatch, stream, "show", "nothing.json") == ExitCode.USAGE
        assert command(monkeypatch, stream, "list") == ExitCode.OK
    monkeypatch.setattr(sys, "stderr", None)
    with (tmp_path / "out.txt").open("w", encoding="utf-8") as stream:
        assert command(monkeypatch, stream, "show", "nothing.json") == ExitCode.USAGE


def test_a_reader_that_went_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run_file: str
) -> None:
    """A closed pipe ends the command without a word, and neither as a pass nor as a regression."""
    for arguments in (["compare", run_file, run_file], ["show", run_file], ["list"]):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w", encoding="utf-8") as stream:
            assert command(monkeypatch, stream, *arguments) == ExitCode.UNREAD
    assert capsys.readouterr().err == ""


def test_closed_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run_file: str
) -> None:
    """With standard output closed (`>&-`) nothing is begun: what is opened next would be it."""
    assert command(monkeypatch, None, "compare", run_file, run_file) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("whisperbench: standard output is closed; ")


@pytest.mark.parametrize(
    ("error", "code", "last"),
    [
        (InputError("a: b"), 2, "whisperbench: a: b"),
        (KeyboardInterrupt(), 130, "whisperbench: interrupted"),
        *(
            (error, 4, "whisperbench: this is a fault of whisperbench; please report it")
            for error in (
                ValueError("x"),
                EOFError(),
                BrokenPipeError(32, "a pipe of our own"),
                OSError(28, "x"),
                MemoryError(),
            )
        ),
    ],
)
def test_only_a_verdict_exits_with_1(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    last: str,
) -> None:
    """A fault of our own keeps its traceback, and no accident has the code of a regression."""

    def fails(_: Path) -> None:
        raise error

    monkeypatch.setattr("whisperbench.results.run_file.read_run", fails)
    with (tmp_path / "out.txt").open("w", encoding="utf-8") as stream:
        assert command(monkeypatch, stream, "show", "run.json") == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == last
    assert (lines[0] == "Traceback (most recent call last):") == (code == 4)
    assert code == 4 or len(lines) == 1


def test_a_pipe_that_is_full_for_the_moment() -> None:
    """A pipe that does not block is waited for: some runners hand out such."""
    text = "a line\n" * 50_000
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    read: list[bytes] = []

    def drain() -> None:
        while chunk := os.read(reader, 1000):
            read.append(chunk)

    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        output = Output(stream)
        reading = threading.Thread(target=drain)
        reading.start()
        output.write(text)
        output.flush()
        assert output.failure is None
    reading.join()
    os.close(reader)
    assert b"".join(read).decode() == text


def ended(
    *arguments: str, shell: str = '"$@"', program: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as a process, started by a line of a shell."""
    python = f"{program}\nfrom whisperbench.cli import main\nmain()"
    return subprocess.run(
        ["bash", "-c", shell, "bash", sys.executable, "-c", python, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


INTERRUPTED = """
import os, signal, time, whisperbench.results.run_file
def interrupted(path):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
whisperbench.results.run_file.read_run = interrupted
"""


@pytest.mark.parametrize(
    ("shell", "program", "environment", "code", "lines"),
    [
        pytest.param('"$@" >/dev/full', "", {}, 2, 1, marks=needs_full),
        pytest.param('"$@" >/dev/full', "", {"PYTHONUNBUFFERED": "1"}, 2, 1, marks=needs_full),
        pytest.param('"$@" >/dev/full', "", {"PYTHONIOENCODING": "ascii"}, 2, 1, marks=needs_full),
        pytest.param('"$@" >/dev/full 2>&1', "", {}, 2, 0, marks=needs_full),
        ('"$@" >&-', "", {}, 2, 1),
        ('"$@" 2>&- >&-', "", {}, 2, 0),
        ('set -o pipefail; "$@" | true', "", {}, 141, 0),
        ('"$@" >/dev/null', "", {"PYTHONIOENCODING": "latin-1:strict"}, 0, 0),
        ('"$@"', INTERRUPTED, {}, 130, 1),
    ],
)
def test_to_the_very_end(
    run_file: str,
    shell: str,
    program: str,
    environment: dict[str, str],
    code: int,
    lines: int,
) -> None:
    """The interpreter's own end adds no traceback and changes no exit code."""
    done = ended("show", run_file, shell=shell, program=program, **environment)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, lines)
