"""The `whisperbench` command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests.report.cases import gpu
from tests.runs import make_cell, make_measurement, make_memory, make_run, make_run_file
from whisperbench import __version__
from whisperbench.asked.checkout import SUITE_FILE
from whisperbench.asked.models import SIZES
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.asked.suite import Limit, read_suite
from whisperbench.cli import app
from whisperbench.devices.choosing import key_of
from whisperbench.devices.host import HostDevice
from whisperbench.judge.limits import as_toml, describe, on_device, propose
from whisperbench.report import summary, verdict_formats


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    # GNU readline, which pytest imports, sets COLUMNS behind Python's back.
    return subprocess.run(
        [sys.executable, "-c", "from whisperbench.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "COLUMNS"},
    )


def test_show_prints_the_summary(tmp_path: Path) -> None:
    """`show` prints what the run printed, from its file alone."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(make_run_file()), encoding="utf-8")
    done = _command("show", str(path))
    assert done.returncode == 0
    assert "nvidia-h200-sm90-140gib" in done.stdout
    assert "1 benchmark asked for: 1 measured" in done.stdout


def _on_a_terminal(path: Path, columns: int, **environment: str) -> str:
    """Show a run on a pseudo-terminal of so many columns."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    unset = ("NO_COLOR", "COLUMNS", "TERM")
    plain = {name: value for name, value in os.environ.items() if name not in unset}
    with subprocess.Popen(
        [sys.executable, "-c", "from whisperbench.cli import main; main()", "show", str(path)],
        stdout=theirs,
        stderr=theirs,
        env=plain | {"TERM": "xterm"} | environment,
    ):
        os.close(theirs)
        read = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux's way to say that nobody writes any more
                part = b""
            if not part:
                break
            read += part
    os.close(ours)
    return read.decode()


def test_show_fits_its_terminal(tmp_path: Path) -> None:
    """Colour is for terminals that want it; the width is the terminal's, and COLUMNS' if piped."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(make_run_file(gpu())), encoding="utf-8")
    wide, narrow = _on_a_terminal(path, 180), _on_a_terminal(path, 80, NO_COLOR="1")
    assert "\x1b[32mok" in wide
    assert "\x1b" not in narrow
    assert "█" * 13 in wide
    assert "The width leaves no room for the columns GPU busy, RTFx, bar" in narrow
    piped = _command("show", str(path)).stdout
    assert "\x1b" not in piped
    assert piped.splitlines()[0] == "What 8-bit costs here (NVIDIA H200)"
    assert max(len(line) for line in piped.partition("Details")[0].splitlines()) in range(90, 101)


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_show_refuses_what_is_not_a_run(tmp_path: Path, content: str | None) -> None:
    """An unreadable file is one line on standard error and exit code 2."""
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    done = _command("show", str(path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"whisperbench: {path}: ")
    assert len(done.stderr.splitlines()) == 1


def test_score_refuses_a_language_that_nobody_knows(tmp_path: Path) -> None:
    """It is one line on standard error and exit code 2, before the file is read."""
    done = _command("score", str(tmp_path / "none.jsonl"), "--language", "klingon")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("whisperbench: --language: 'klingon' is no language that ")
    assert len(done.stderr.splitlines()) == 1


def test_list_names_everything() -> None:
    """`list` shows every size, precision and clip."""
    listed = _command("list").stdout
    for name in ("nano", *(f"dummy:{size}" for size in SIZES), *PRECISIONS, "harbour", "mountain"):
        assert name in listed


def test_limits_prints_what_applies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`limits` names this machine's key, and the limits that are for it, with their reasons."""
    path = tmp_path / "suite.toml"
    elsewhere = msgspec.structs.replace(read_suite().limit[0], devices=("nvidia-*",))
    path.write_text(
        f"{SUITE_FILE.read_text(encoding='utf-8')}\n{as_toml(elsewhere)}\n", encoding="utf-8"
    )
    suite = read_suite(path)
    monkeypatch.setattr("whisperbench.asked.suite.read_suite", lambda: suite)
    key = key_of(HostDevice().facts())
    here = on_device(suite.limit, key)
    assert 0 < len(here) < len(suite.limit)
    done = CliRunner().invoke(app, ["limits", "--device", "cpu"])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        f"{len(here)} limits apply on {key}",
        *(line for row in here for line in (f"  {describe(row)}", f"    {row.reason}")),
    ]


def test_limits_reads_the_suite_that_ships() -> None:
    """The out-of-the-box cells have a limit on any CPU, and those of words are among them."""
    done = _command("limits", "--device", "cpu")
    assert (done.returncode, done.stderr) == (0, "")
    assert "limits apply on cpu-" in done.stdout
    assert "  dummy:tiny in fp32, int8: peak_process_mib at most " in done.stdout
    assert "  any model in any precision: wer at most 0.5\n" in done.stdout


def test_limits_proposes_rows_of_suite_toml(tmp_path: Path) -> None:
    """`limits --propose` prints TOML that can be appended to suite.toml, and nothing else."""
    run = make_run(
        make_measurement(),
        *(
            make_memory(make_cell(precision), {"weight_mib": 9.0, "peak_process_mib": 1000.5})
            for precision in ("fp16", "int8")
        ),
    )
    path = tmp_path / "run.json"
    path.write_text(json.dumps(make_run_file(run)), encoding="utf-8")
    done = _command("limits", "--propose", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    rows = tomllib.loads(done.stdout)
    assert msgspec.convert(rows, dict[str, list[Limit]]) == {"limit": propose(run)}
    assert [row["precisions"] for row in rows["limit"]] == [["fp16"], ["int8"]]
    assert rows["limit"][0]["max"] == 1029.0


@pytest.mark.parametrize("content", [None, "{}", json.dumps(make_run_file())])
def test_limits_refuses_a_run_without_memory(tmp_path: Path, content: str | None) -> None:
    """What cannot be read, or measured no memory, is one line and exit code 2, not no limits."""
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    done = _command("limits", "--propose", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"whisperbench: {path}: ")
    assert len(done.stderr.splitlines()) == 1
    if content and "benchmarks" in content:
        assert done.stderr.endswith("run pytest benchmarks/test_memory.py\n")


def test_version_and_bad_usage() -> None:
    """`--version` prints the version; an unknown command exits with 2."""
    assert _command("--version").stdout.strip() == f"whisperbench {__version__}"
    assert _command("frobnicate").returncode == 2


@pytest.mark.parametrize(
    ("command", "registry"), [("show", summary.FORMATS), ("compare", verdict_formats.FORMATS)]
)
def test_a_format_is_a_row_of_its_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, registry: dict[str, object]
) -> None:
    """`--format` takes what the registry has, and a new row at once; what it has not is refused."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(make_run_file()), encoding="utf-8")
    asked = [command, *[str(path)] * (1 if command == "show" else 2), "--format", "new"]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 2
    assert "'new' is not one of 'text'" in refused.output
    monkeypatch.setitem(registry, "new", lambda _: "in a new way")
    done = CliRunner().invoke(app, asked)
    assert done.output == "in a new way\n"
    assert "|new]" in CliRunner().invoke(app, [command, "--help"]).output


def test_promote_refuses_an_option_that_is_given_twice() -> None:
    """As every command does: of two names the first would be forgotten."""
    done = _command("baseline", "promote", "run.json", "--name", "a", "--name", "b")
    assert done.returncode == 2
    assert done.stderr == "whisperbench: --name was given 2 times; give it once\n"
