"""What is collected, in which order, and that neither it nor the commands import torch."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from itertools import groupby
from pathlib import Path

from whisperbench.asked.checkout import ROOT

ASK = """
import sys, pytest
code = pytest.main(["benchmarks/", "-q", *sys.argv[1:]])
heavy = {"torch", "transformers", "bitsandbytes", "accelerate"} & set(sys.modules)
print("heavy:", sorted(heavy))
sys.exit(int(code))
"""


@cache
def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask for benchmarks in a process of its own, which tells what it has imported in the end."""
    return subprocess.run(
        [sys.executable, "-c", ASK, *arguments],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if "PYTEST" not in name},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_collection_loads_no_torch() -> None:
    """`--collect-only` lists the matrix of a GPU run without importing torch or transformers."""
    done = ask("--collect-only", "--device", "cuda")
    assert done.returncode == 0, done.stdout
    assert "heavy: []" in done.stdout
    name = "openai/whisper-large-v3@06f233fe"
    for decoding in ("natural", "fixed64"):
        for precision in ("fp16", "int8"):
            test = f"test_transcribe[{name}-{precision}-{decoding}-harbour-b1]"
            assert f"benchmarks/test_transcribe.py::{test}" in done.stdout


def test_a_refusal_loads_no_torch() -> None:
    """What a device cannot run is refused without importing torch or transformers."""
    done = ask("--device", "cpu", "--attention", "flash_attention_2")
    assert done.returncode == 4
    assert "--attention flash_attention_2: needs an NVIDIA GPU" in done.stderr
    assert "heavy: []" in done.stdout


def test_what_is_asked_first_is_answered_first() -> None:
    """Memory, before any model is loaded; transcription; the rest by checkpoint; start-up."""
    done = ask("--collect-only", "--device", "cpu", "--all")
    tests = [line for line in done.stdout.splitlines() if "::" in line]
    files = [line.partition("::")[0].removeprefix("benchmarks/") for line in tests]
    first = files[: files.index("test_cost.py")]
    assert first == [*["test_memory.py"] * 2, *["test_transcribe.py"] * 2]
    assert sorted(files[-6:]) == [*["test_soak.py"] * 2, *["test_startup.py"] * 4]
    rest = tests[len(first) : -6]
    checkpoints = [key for key, _ in groupby("-".join(id_of(line)[:2]) for line in rest)]
    assert checkpoints == [
        *("dummy:tiny-fp32", "dummy:tiny-int8"),
        *("nano-fp32", "nano-bf16", "nano-int8", "nano-nf4"),
    ]
    own = [line.partition("::")[0] for line in rest if "dummy:tiny-int8" in line]
    assert [name for name, _ in groupby(own)] == [
        *("benchmarks/test_cost.py", "benchmarks/test_stages.py"),
        *("benchmarks/test_durations.py", "benchmarks/test_quality.py"),
    ]


def collected(*arguments: str) -> set[str]:
    """Return the ids of the benchmarks that are collected."""
    done = ask(*arguments, "--collect-only", "--device", "cpu")
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_the_default_leaves_out_what_one_option_brings_back() -> None:
    """Start-up, durations, soak, stages, nano in two precisions: three options measure them."""
    default, everything = collected(), collected("--all")
    left_out = everything - default
    assert default < everything
    assert {line.partition("[")[0].partition("::")[2] for line in left_out} == {
        *("test_load", "test_first_call", "test_durations", "test_soak"),
        *("test_front_end", "test_encoder", "test_token", "test_quality", "test_numerics"),
    }
    files = ("test_startup", "test_durations", "test_soak", "test_stages")
    assert all(
        any(name in line for name in files) or id_of(line)[1] in ("bf16", "nf4")
        for line in left_out
    )
    assert collected("-k", "test_load") == {line for line in left_out if "test_load" in line}
    named = collected("--model", "nano", "--precision", "fp32,bf16")
    assert any("test_quality[nano-bf16" in line for line in named)


def test_what_is_asked_for_by_its_file_is_measured() -> None:
    """Naming the file of start-up is enough."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks/test_startup.py", "--collect-only", "-q"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.count("test_startup.py::") == 4


def id_of(test: str) -> list[str]:
    """Return the parts of a test's id."""
    return test.partition("[")[2].removesuffix("]").split("-")


def test_what_is_heard_is_not_timed() -> None:
    """By default nano is held against words alone, and the dummy against everything else."""
    lines = [
        line
        for line in ask("--collect-only", "--device", "cpu", "--all").stdout.splitlines()
        if "::" in line
    ]
    asked = {(id_of(line)[0], line.partition("::")[2].partition("[")[0]) for line in lines}
    assert {test for model, test in asked if model == "nano"} == {"test_quality", "test_numerics"}
    timed = {test for model, test in asked if model == "dummy:tiny"}
    assert len(timed) == 11
    assert "test_quality" not in timed


def test_a_dummy_has_no_natural_length() -> None:
    """Of random weights only the fixed count is collected: no skip, no empty set."""
    done = ask("--collect-only", "--device", "cpu")
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
