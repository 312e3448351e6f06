"""The commands `contenders`, `advise` and `badge`, and `show` as a table of figures."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.h200 import make_h200, make_timed
from tests.runs import CPU_MACHINE, make_measurement, make_run, make_run_file
from whisperbench.cli import main
from whisperbench.report import advice_text
from whisperbench.results.records import Run

Said = tuple[int, str, str]
"""Exit code, standard output and standard error."""


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """The whole command, in a folder with run.json of an H200, cpu.json and bad.json."""
    runs: dict[str, Run] = {
        "run.json": make_h200(),
        "times.json": make_run(make_timed("fp16", 1.0), machine=make_h200().machine),
        "cpu.json": make_run(make_measurement(), machine=CPU_MACHINE),
    }
    for name, run in runs.items():
        (tmp_path / name).write_text(json.dumps(make_run_file(run)), encoding="utf-8")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: str) -> Said:
        monkeypatch.setattr("sys.argv", ["whisperbench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run_it


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--card", "T4"), 0, "Take fp16 at batch size 1: it fits, so an NVIDIA T4 needs no fewer"),
        (("--vram", "2.2"), 0, "Take nf4 at batch size 1"),
        (("--vram", "1"), 1, "Nothing that was measured will do on 1.00 GiB"),
        (("--card", "t4", "--max-latency-ratio", "9"), 3, "It is not known whether"),
        (("--max-wer-increase", "0.5", "--vram", "3"), 3, "were not compared"),
        (("--max-latency-ratio", "1.4", "--vram", "2.2"), 3, "and processes differ by 10 %"),
    ],
)
def test_its_exit_code_says_whether_anything_will_do(
    command: Callable[..., Said], options: tuple[str, ...], code: int, said: str
) -> None:
    """0 where something will, 1 where nothing will, 3 where nobody knows."""
    done = command("advise", "run.json", *options)
    assert (done[0], done[2]) == (code, "")
    assert " ".join(said.split()) in " ".join(done[1].split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("advise", "run.json", "--card", "t5"), "--card t5: unknown; choose from t4, l4, "),
        (("advise", "run.json", "--card", "t4", "--vram", "3"), "advise: give --vram or --card"),
        (("advise", "run.json", "--vram", "0"), "--vram 0: must be a number, more than 0"),
        (("advise", "run.json", "--vram", "nan"), "--vram nan: must be a number, more than 0"),
        (("advise", "run.json", "--vram", "inf"), "--vram inf: must be a number, more than 0"),
        (("advise", "run.json", "--max-latency-ratio", "x"), "--max-latency-ratio x: must be"),
        (("advise", "run.json", "--max-wer-increase", "-1"), "--max-wer-increase -1: must be"),
        (("advise", "run.json", "--card", "a\nb"), r"--card a\nb: unknown"),
        (("badge", "run.json", "-o", "a\n.png"), r"-o a\n.png: a badge is an SVG"),
        (("advise", "none.json"), "none.json: No such file"),
        (("advise", "bad.json"), "bad.json: not a whisperbench run"),
        (("advise", "cpu.json", "--card", "t4"), "cpu.json: was measured on a CPU"),
        (("advise", "run.json", "times.json"), "times.json: has transcribe of dummy:large-v3 fp16"),
        (("contenders", "none.json"), "none.json: No such file"),
        (("contenders", "bad.json"), "bad.json: not a whisperbench run"),
        (("contenders", "run.json", "cpu.json"), "cpu.json: is of cpu-"),
        (("contenders", "run.json", "times.json"), "times.json: has transcribe of dummy:large-v3"),
        (("badge", "run.json", "-o", "b.png"), "-o b.png: a badge is an SVG"),
        (("badge", "cpu.json", "-o", "b.svg"), "cpu.json: has not both int8"),
        (("badge", "run.json", "-o", "bad.json/b.svg"), "bad.json/b.svg: cannot be written"),
        (("show", "bad.json", "--format", "csv"), "bad.json: not a whisperbench run"),
    ],
)
def test_bad_input_is_one_line(
    command: Callable[..., Said], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    """On standard error, with exit code 2; nothing is printed, and no file is written."""
    before = sorted(tmp_path.iterdir())
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"whisperbench: {said}")
    assert sorted(tmp_path.iterdir()) == before


def test_contenders_are_told_in_every_format(command: Callable[..., Said]) -> None:
    """The rows of an H200: nf4 beats int8 there, and a program reads who stands."""
    code, out, err = command("contenders", "run.json")
    assert (code, err) == (0, "")
    assert "nf4 beats int8" in " ".join(out.split())
    assert "| int8 | 6.19 s |" in command("contenders", "run.json", "--format", "markdown")[1]
    (found,) = json.loads(command("contenders", "run.json", "--format", "json")[1])
    assert {row["precision"] for row in found["rows"] if row["stands"]} == {"fp32", "fp16", "nf4"}
    assert command("contenders", "run.json", "--format", "new")[0] == 2


def test_contenders_are_drawn(command: Callable[..., Said], tmp_path: Path) -> None:
    """Their picture is a file for light pages and one for dark ones, and Markdown shows it."""
    code, out, err = command(
        "contenders", "run.json", "--format", "markdown", "--pictures", "drawn"
    )
    assert (code, "picture" in err) == (0, True)
    assert (tmp_path / "drawn" / "time-memory-light.svg").exists()
    assert 'src="drawn/time-memory-light.svg"' in out


def test_the_badge_is_written(command: Callable[..., Said], tmp_path: Path) -> None:
    """And what it says is printed."""
    code, out, _ = command("badge", "run.json", "-o", "badge.svg", "--precision", "nf4")
    assert (code, out) == (
        0,
        "badge.svg: nf4 against fp16, dummy:large-v3 on NVIDIA H200: 1.36 × time · 0.49 × memory\n",
    )
    assert "1.36 × time" in (tmp_path / "badge.svg").read_text(encoding="utf-8")


def test_figures_of_several_files_are_one_table(command: Callable[..., Said]) -> None:
    """`show --format csv` reads as many runs as are named, of one device or of several."""
    code, out, _ = command("show", "run.json", "times.json", "cpu.json", "--format", "csv")
    rows = [*csv.DictReader(out.splitlines())]
    assert code == 0
    assert {row["file"] for row in rows} == {"run.json", "times.json", "cpu.json"}


def test_a_format_is_a_row_of_its_registry(
    monkeypatch: pytest.MonkeyPatch, command: Callable[..., Said]
) -> None:
    """`advise --format` takes what the registry has, and a new row at once."""
    code, _, err = command("advise", "run.json", "--format", "new")
    assert code == 2
    assert "'new' is not one of 'text'" in " ".join(err.split())
    monkeypatch.setitem(advice_text.FORMATS, "new", lambda _: "in a new way")
    assert command("advise", "run.json", "--format", "new")[1] == "in a new way\n"
