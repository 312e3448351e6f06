"""The import contracts of pyproject.toml: forbidden imports are planted in a copy and found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from typing import NamedTuple

import pytest

from whisperbench.asked.checkout import ROOT

pytest.importorskip("importlinter")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINTED: list[str] = PROJECT["tool"]["importlinter"]["root_packages"]

BENCHMARKS = "Benchmarks ask, fixtures provide, the library serves both"
LAYERS = "Packages stand on each other, and every one has its place"
TORCH = "torch and its kin are imported where things are measured alone"
JUDGING = "Judging never imports measuring"
MEASURING = "Measuring never imports judging"
PURE = "Judging and reporting are pure"
PYTEST = "Only the plugin imports pytest"
NVML = "NVML is reached through one module alone"
PASSES = "Passes do not know each other"
PRINTS = "Only the command prints"
REPORTS = "Fixtures and benchmarks neither report nor examine"
NANO = "What trains nano uses the library alone, and nothing needs it"
TRAINING = "What trains nano does without the suite"


class Planted(NamedTuple):
    """A forbidden import: in which file, what, and the contract that says so."""

    file: str
    line: str
    contract: str

    def __str__(self) -> str:
        """Name it in the list of tests."""
        return f"{self.file}: {self.line}"


PLANTED = (
    Planted("whisperbench/judge/compare.py", "import whisperbench.measure", JUDGING),
    Planted("whisperbench/judge/new.py", "import whisperbench.whisper", JUDGING),
    Planted("whisperbench/report/verdicts.py", "import whisperbench.devices", JUDGING),
    Planted("whisperbench/measure/quality/hearing.py", "import whisperbench.judge", MEASURING),
    Planted("whisperbench/whisper/new.py", "import whisperbench.report", MEASURING),
    Planted("whisperbench/devices/host.py", "import whisperbench.judge", MEASURING),
    Planted("whisperbench/judge/baselines.py", "from pathlib import Path", PURE),
    Planted("whisperbench/report/new.py", "def ask(): import typer", PURE),
    Planted("whisperbench/judge/limits.py", "import whisperbench.results.run_file", PURE),
    Planted("whisperbench/report/cost.py", "import logging", PURE),
    Planted(
        "whisperbench/measure/cost/trace.py", "import whisperbench.measure.quality.hearing", PASSES
    ),
    Planted("whisperbench/measure/turns/new.py", "import whisperbench.measure.latency", PASSES),
    Planted("whisperbench/plugin/terminal.py", "import typer", PRINTS),
    Planted("whisperbench/whisper/new.py", "def tell(): import click", PRINTS),
    Planted("fixtures/cost.py", "import whisperbench.report", REPORTS),
    Planted("benchmarks/new.py", "import whisperbench.cli", REPORTS),
    Planted("whisperbench/results/records.py", "import whisperbench.asked", LAYERS),
    Planted("whisperbench/asked/plan.py", "import whisperbench.devices", LAYERS),
    Planted("whisperbench/cli/results.py", "import whisperbench.plugin", LAYERS),
    Planted("whisperbench/ab/turns.py", "import whisperbench.bisect", LAYERS),
    Planted("whisperbench/pulls/judging.py", "import whisperbench.ab", LAYERS),
    Planted("whisperbench/bisect/search.py", "import whisperbench.cli", LAYERS),
    Planted("whisperbench/versions/git.py", "import whisperbench.report", LAYERS),
    Planted("whisperbench/new.py", "", LAYERS),
    Planted("whisperbench/new/__init__.py", "", LAYERS),
    Planted("whisperbench/asked/models.py", "import torch", TORCH),
    Planted("whisperbench/record/new.py", "def load(): import transformers", TORCH),
    Planted("whisperbench/ab/new.py", "import torch", TORCH),
    Planted("whisperbench/pulls/new.py", "def load(): import torch", TORCH),
    Planted("fixtures/new.py", "import torch", TORCH),
    Planted("whisperbench/results/new.py", "import pytest", PYTEST),
    Planted("whisperbench/measure/cost/new.py", "import pytest_benchmark", PYTEST),
    Planted("whisperbench/doctor/checks.py", "def read(): import pynvml", NVML),
    Planted("benchmarks/new.py", "import pynvml", NVML),
    Planted("whisperbench/asked/clips.py", "import fixtures", BENCHMARKS),
    Planted("fixtures/audio.py", "import benchmarks", BENCHMARKS),
    Planted("fixtures/models.py", "import training", NANO),
    Planted("training/new.py", "import fixtures", TRAINING),
)

LINTER = """
import json, sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from importlinter.cli import lint_imports

def lint():
    with redirect_stdout(StringIO()) as said:
        code = lint_imports(config_filename="pyproject.toml", no_cache=True, no_logo=True)
    return code, said.getvalue()

found = [lint()]
for file, line in json.load(sys.stdin):
    path = Path(file)
    before = path.read_text(encoding="utf-8") if path.exists() else None
    folder = None if path.parent.exists() else path.parent
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{before or ''}\\n{line}\\n", encoding="utf-8")
    found.append(lint())
    if before is None:
        path.unlink()
    else:
        path.write_text(before, encoding="utf-8")
    if folder is not None:
        folder.rmdir()
found.append(lint())
json.dump(found, sys.stdout)
"""
"""Lints as it is, with each import planted by itself, and as it is again. In a process of its own,
where the packages are those of the copy."""


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    """Exit code and output of lint-imports: unplanted, with each plant of `PLANTED`, unplanted."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in LINTED:
        for path in sorted((ROOT / package).rglob("*.py")):
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    done = subprocess.run(
        [sys.executable, "-c", LINTER],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "COLUMNS": "200"},
        input=json.dumps([(each.file, each.line) for each in PLANTED]),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    found: list[tuple[int, str]] = json.loads(done.stdout)
    return found


def test_every_contract_is_kept_and_broken_once(linted: list[tuple[int, str]]) -> None:
    """The code as it is passes, before and after the plants; and each contract has a plant."""
    for code, said in (linted[0], linted[-1]):
        assert code == 0
        assert " BROKEN" not in said
    names = {contract["name"] for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    assert names == {each.contract for each in PLANTED}


@pytest.mark.parametrize("place", range(len(PLANTED)), ids=map(str, PLANTED))
def test_a_forbidden_import_is_found(linted: list[tuple[int, str]], place: int) -> None:
    """lint-imports fails, and names the contract and the module in which the import was planted."""
    planted = PLANTED[place]
    code, said = linted[1 + place]
    assert code != 0
    assert f"{planted.contract} BROKEN" in said
    module = planted.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert module in said


def test_no_package_is_left_out() -> None:
    """Each folder with Python code falls under the contracts, but for tests and scripts."""
    code = {path.parent.name for path in ROOT.glob("*/*.py")}
    assert code == {*LINTED, "tests", "scripts"}
