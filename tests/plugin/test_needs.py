"""What benchmarks declare by @pytest.mark.needs, in a benchmark file that a user adds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

from whisperbench.asked.checkout import ROOT
from whisperbench.plugin.needs import NEEDS

ELSEWHERE = """
from pathlib import Path
import whisperbench.plugin.session

whisperbench.plugin.session.BENCHMARKS = Path(__file__).resolve().parent / "mine"
"""

MINE = """
import pytest

@pytest.mark.needs("words")
def test_heard(loaded_model): ...

@pytest.mark.needs("a precision other than fp32")
def test_exact(loaded_model, audio): ...

@pytest.mark.needs("both lengths")
def test_long(loaded_model, decoding): ...

@pytest.mark.needs("a fresh process")
def test_fresh(fresh_checkpoint, batch_size): ...

@pytest.mark.needs("a fresh process", "an idle device")
def test_idle(fresh_checkpoint): ...

def test_timed(loaded_model): ...
"""

COLLECTED = """\
test_idle[dummy:tiny-fp32]
test_idle[dummy:tiny-int8]
test_fresh[dummy:tiny-fp32-b1]
test_fresh[dummy:tiny-int8-b1]
test_long[dummy:tiny-fp32-fixed32]
test_timed[dummy:tiny-fp32]
test_exact[dummy:tiny-int8-harbour]
test_long[dummy:tiny-int8-fixed32]
test_timed[dummy:tiny-int8]
test_heard[nano-fp32]
test_exact[nano-bf16-harbour]
test_heard[nano-bf16]
test_exact[nano-int8-harbour]
test_heard[nano-int8]
test_exact[nano-nf4-harbour]
test_heard[nano-nf4]"""


def collect(tmp_path: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Collect a file as if it lay in benchmarks/, and nothing else."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "test_mine.py").write_text(source, encoding="utf-8")
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")
    inherited = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", str(folder), "-c", "pyproject.toml"),
            *("--rootdir", str(ROOT), "-p", "conftest", "-p", "elsewhere"),
            *("--collect-only", "-q", "-p", "no:cacheprovider", "--device", "cpu", "--all"),
        ],
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_new_benchmark_needs_no_other_file(tmp_path: Path) -> None:
    """By its marker it is asked of the cells that it can say something of, in their order."""
    done = collect(tmp_path, MINE)
    assert done.returncode == 0, done.stdout + done.stderr
    ids = [line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line]
    expected = COLLECTED.splitlines()
    assert sorted(ids) == sorted(expected)
    assert ids[:2] == expected[:2]  # an idle device first
    assert ids[-2:] == expected[2:4]  # fresh processes last
    loaded = [re.search(r"(dummy:tiny|nano)-\w+", name)[0] for name in ids[2:-2]]  # type: ignore[index]
    assert len([key for key, _ in groupby(loaded)]) == len(set(loaded))


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (
            'import pytest\n\n@pytest.mark.needs("wrods")\ndef test_it(loaded_model): ...\n',
            "test_it: @pytest.mark.needs('wrods'): unknown; choose from \"words\", ",
        ),
        (
            "def test_it(fresh_checkpoint): ...\n",
            'test_it: @pytest.mark.needs("a fresh process") is for benchmarks that take fresh_ch',
        ),
        (
            'import pytest\n\n@pytest.mark.needs("a fresh process")\ndef test_it(): ...\n',
            'test_it: @pytest.mark.needs("a fresh process") is for benchmarks that take fresh_ch',
        ),
        (
            "def test_it(loaded_model, decoding): ...\n",
            'test_it: @pytest.mark.needs("both lengths") is for benchmarks that take decoding',
        ),
        (
            'import pytest\n\n@pytest.mark.needs("an idle device")\ndef test_it(loaded_model): 1\n',
            'test_it: "an idle device" is what "a fresh process" can need alone',
        ),
    ],
)
def test_what_a_marker_cannot_mean_is_one_line(tmp_path: Path, source: str, line: str) -> None:
    """An unknown value, or one that does not fit the arguments, ends the run with what is known."""
    done = collect(tmp_path, source)
    assert done.returncode != 0
    assert line in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_every_need_is_documented() -> None:
    """`pytest --markers` says of each value what it means."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--markers", "benchmarks/", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("@pytest.mark.needs")]
    for name, meaning in NEEDS.items():
        assert f'"{name}": {meaning}' in line
