"""What pytest-benchmark alone lets pass, run for real, and what this suite says of the same.

Each is a fault or a slowdown to twice the time after which pytest-benchmark exits with 0. The table
is in docs/gate.md. What these tests do not run themselves, others do: they are named there.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests.runs import MACHINE, make_cell, make_cost, make_measurement, make_run, make_run_file
from whisperbench.cli import app
from whisperbench.results.figure import Metric
from whisperbench.results.records import Machine, ManifestEntry, Measurement, Run

BENCHMARK = """
import time
import pytest

def test_it(benchmark):
    benchmark.pedantic(time.sleep, args=({seconds},), rounds=3)
"""
# Asking the processor for its name takes a second of each run.
CONFTEST = """
def pytest_benchmark_generate_machine_info(config):
    return {"cpu": {}, "machine": "x"}
"""
FAIL = ("--benchmark-compare-fail=median:5%",)

Alone = Callable[..., int]


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    """Run pytest-benchmark without this suite, against a baseline; return its exit code."""

    def run(
        *arguments: str, source: str = BENCHMARK, seconds: float = 0.02, **variables: str
    ) -> int:
        path = tmp_path / "test_alone.py"
        path.write_text(source.replace("{seconds}", str(seconds)), encoding="utf-8")
        inherited = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
                *("-p", "no:hypothesispytest"),  # takes a second to import
                *(
                    "-p",
                    "pytest_benchmark.plugin",
                    "-c",
                    os.devnull,
                    "--rootdir",
                    str(tmp_path),
                    str(path),
                    *arguments,
                ),
            ],
            cwd=tmp_path,
            env=inherited | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | variables,
            capture_output=True,
            check=False,
        )
        return done.returncode

    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    assert run("--benchmark-json=base.json", seconds=0.01) == 0
    return run


@pytest.fixture
def ours(tmp_path: Path) -> Callable[[Run, Run], int]:
    """Run `whisperbench compare`; return its exit code."""

    def run(base: Run, head: Run) -> int:
        paths = [tmp_path / "ours-base.json", tmp_path / "ours-head.json"]
        for path, content in zip(paths, (base, head), strict=True):
            path.write_text(json.dumps(make_run_file(content)), encoding="utf-8")
        return CliRunner().invoke(app, ["compare", *map(str, paths)]).exit_code

    return run


def timed(factor: float = 1.0, clip: str = "harbour") -> Measurement:
    """Make up a transcription that five steady processes measured."""
    seconds = tuple(factor * second for second in (1.0, 1.01, 0.99, 1.005, 0.995))
    latency = Metric(name="latency_s", unit="s", kind="wall", better="lower", processes=seconds)
    return msgspec.structs.replace(make_measurement(clip=clip), metrics=(latency,))


def a_run(*rows: Measurement, machine: Machine = MACHINE) -> Run:
    """Put what five processes measured into a run."""
    made = make_run(*rows, machine=machine)
    return msgspec.structs.replace(made, info=msgspec.structs.replace(made.info, processes=5))


BASE = a_run(timed(), timed(clip="jfk"))
COMPARED = ("--benchmark-compare=base.json", *FAIL)


def test_a_slowdown_is_caught_where_nothing_hides_it(
    alone: Alone, ours: Callable[[Run, Run], int]
) -> None:
    """The bed of all others: both fail on it when nothing else is wrong."""
    assert alone(*COMPARED) != 0
    assert ours(BASE, a_run(timed(2.0), timed(2.0, clip="jfk"))) == 1
    assert ours(BASE, BASE) == 0


def test_a_threshold_that_is_given_twice(alone: Alone) -> None:
    """1: of two thresholds the last one wins. Ours has none on the command line."""
    assert alone(*COMPARED, "--benchmark-compare-fail=median:1000%") == 0


def test_a_renamed_benchmark(alone: Alone, ours: Callable[[Run, Run], int]) -> None:
    """2: what has no namesake in the baseline is not compared. Ours: new, and missing."""
    assert alone(*COMPARED, source=BENCHMARK.replace("test_it", "test_that")) == 0
    assert ours(BASE, a_run(timed(), timed(2.0, clip="other"))) == 4


def test_a_skipped_benchmark(alone: Alone, ours: Callable[[Run, Run], int]) -> None:
    """3 to 5: what is skipped, by a mark or in its body, is not compared. Ours: missing."""
    skipped = BENCHMARK.replace("def test_it", "@pytest.mark.skip\ndef test_it")
    assert alone(*COMPARED, source=skipped) == 0
    assert alone("--benchmark-compare=nowhere.json", *FAIL, source=skipped) == 0
    inside = BENCHMARK.replace("time.sleep, args=({seconds},)", "lambda: pytest.skip('no memory')")
    assert alone(*COMPARED, source=inside) == 0
    entries = (
        ManifestEntry(benchmark="test_a", cell="a", outcome="measured"),
        ManifestEntry(benchmark="test_b", cell="b", outcome="skipped", reason="no memory"),
    )
    head = a_run(timed())
    info = msgspec.structs.replace(head.info, manifest=entries)
    assert ours(BASE, msgspec.structs.replace(head, info=info)) == 4
    # And where the baseline does not have it either.
    assert ours(head, msgspec.structs.replace(head, info=info)) == 4


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("--benchmark-disable",), {}),
        (("--benchmark-skip",), {}),
        (("-p", "no:terminal"), {}),
        ((), {"PYTEST_XDIST_WORKER": "gw0"}),
    ],
)
def test_a_plugin_that_is_off(
    alone: Alone, arguments: tuple[str, ...], variables: dict[str, str]
) -> None:
    """6: switched off, nothing is compared. Ours refuses (in test_refusals.py), or needs it not."""
    assert alone(*COMPARED, *arguments, **variables) == 0


def test_an_empty_baseline(alone: Alone, ours: Callable[[Run, Run], int], tmp_path: Path) -> None:
    """7: nothing in the baseline, or no number, finds nothing slower. Ours: new, or refused."""
    content = json.loads((tmp_path / "base.json").read_text(encoding="utf-8"))
    for rows, nan in (([], False), (content["benchmarks"], True)):
        for row in rows:
            row["stats"]["median"] = math.nan if nan else row["stats"]["median"]
        base = tmp_path / "base.json"
        base.write_text(json.dumps(content | {"benchmarks": rows}), encoding="utf-8")
        assert alone(*COMPARED) == 0
    assert ours(a_run(), a_run(timed())) == 4
    file = make_run_file(BASE)
    file["benchmarks"][0]["extra_info"]["whisperbench"]["metrics"][0]["processes"] = [math.nan] * 5
    broken = tmp_path / "nan.json"
    broken.write_text(json.dumps(file), encoding="utf-8")
    refused = CliRunner().invoke(app, ["compare", str(broken), str(broken)])
    assert refused.exit_code != 0
    assert "not a whisperbench run" in str(refused.exception)


def test_another_gpu(ours: Callable[[Run, Run], int]) -> None:
    """8: another machine is a warning there. Ours: not comparable."""
    other = msgspec.structs.replace(MACHINE, device_key="nvidia-t4-sm75-16gib")
    assert ours(BASE, a_run(timed(), timed(clip="jfk"), machine=other)) == 4


def test_a_second_try(alone: Alone, ours: Callable[[Run, Run], int]) -> None:
    """9: with autosave a regressed run is the next one's baseline. Ours answers as before."""
    latest = ("--benchmark-autosave", "--benchmark-compare", *FAIL)
    assert alone("--benchmark-autosave", seconds=0.01) == 0
    assert alone(*latest) != 0
    assert alone(*latest) == 0
    slow = a_run(timed(2.0), timed(2.0, clip="jfk"))
    assert [ours(BASE, slow), ours(BASE, slow)] == [1, 1]


def test_the_compare_command(alone: Alone, ours: Callable[[Run, Run], int], tmp_path: Path) -> None:
    """10: its `compare` shows a slowdown, and exits with 0. Ours exits with 1."""
    assert alone("--benchmark-json=head.json") == 0
    shown = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", "base.json", "head.json"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert shown.returncode == 0
    cost = make_cost(make_cell(), {"aten_ops": 100})
    more = make_cost(make_cell(), {"aten_ops": 101})
    assert ours(make_run(cost), make_run(more)) == 1
