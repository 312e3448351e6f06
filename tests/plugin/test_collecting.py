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


def test_fresh_processes_come_first_and_checkpoints_one_by_one() -> None:
    """No model is loaded before the fresh processes are through, and none twice."""
    done = ask("--collect-only", "--device", "cpu")
    tests = [line for line in done.stdout.splitlines() if "::" in line]
    fresh = ["test_memory.py" in line or "test_startup.py" in line for line in tests]
    assert fresh == sorted(fresh, reverse=True)
    loaded = [line for line, is_fresh in zip(tests, fresh, strict=True) if not is_fresh]
    checkpoints = [key for key, _ in groupby("-".join(id_of(line)[:2]) for line in loaded)]
    assert checkpoints == [
        *("dummy:tiny-fp32", "dummy:tiny-int8"),
        *("nano-fp32", "nano-bf16", "nano-int8", "nano-nf4"),
    ]


def id_of(test: str) -> list[str]:
    """Return the parts of a test's id."""
    return test.partition("[")[2].removesuffix("]").split("-")


def test_what_is_heard_is_not_timed() -> None:
    """By default nano is held against words alone, and the dummy against everything else."""
    lines = [
        line
        for line in ask("--collect-only", "--device", "cpu").stdout.splitlines()
        if "::" in line
    ]
    asked = {(id_of(line)[0], line.partition("::")[2].partition("[")[0]) for line in lines}
    assert {test for model, test in asked if model == "nano"} == {"test_quality", "test_numerics"}
    timed = {test for model, test in asked if model == "dummy:tiny"}
    assert len(timed) == 9
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
