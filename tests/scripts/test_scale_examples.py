"""The examples of docs/scale.md: their manifest and workflow, and the script that both lead to."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.judge.sharded import make_shard
from whisperbench.asked.checkout import ROOT
from whisperbench.results.run_file import read_run

yaml: Any = pytest.importorskip("yaml")

EXAMPLES = ROOT / "docs" / "examples"
VERSIONS = ("1.29", "1.33", "1.37")
"""Of Kubernetes: the first whose indexed jobs count failures by index, and later ones."""


def read(name: str) -> Any:
    """Read an example."""
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifest_is_one_of_kubernetes(version: str) -> None:
    """It has what the schema of a Job wants, and no field that this does not know."""
    validator: Any = pytest.importorskip("kubernetes_validate")
    validator.validate(read("kubernetes-shards.yaml"), version, strict=True)


def _drop_restart(job: Any) -> None:
    job["spec"]["template"]["spec"]["containers"][0]["ressources"] = {}


def _misplace(job: Any) -> None:
    job["completionMode"] = job["spec"].pop("completionMode")


def _retype(job: Any) -> None:
    job["spec"]["completions"] = "4"


@pytest.mark.parametrize("spoil", [_drop_restart, _misplace, _retype])
def test_a_spoilt_manifest_is_refused(spoil: Callable[[Any], None]) -> None:
    """A misspelt field, a misplaced one and a wrong type are found, so that the check can fail."""
    validator: Any = pytest.importorskip("kubernetes_validate")
    job = copy.deepcopy(read("kubernetes-shards.yaml"))
    spoil(job)
    with pytest.raises(validator.ValidationError):
        validator.validate(job, VERSIONS[-1], strict=True)


def test_each_pod_measures_its_shard(tmp_path: Path) -> None:
    """The pods' indexes from 0 on are the shards from 1 on, as many as there are completions."""
    spec = read("kubernetes-shards.yaml")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    given = {row["name"]: row["value"] for row in container["env"]}
    assert int(given["SHARDS"]) == spec["completions"] == spec["parallelism"]
    assert container["resources"]["limits"] == container["resources"]["requests"]
    told = tmp_path / "python"
    told.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    told.chmod(0o755)
    lines = []
    for index in range(spec["completions"]):
        done = subprocess.run(
            [*container["command"], *container["args"]],
            env=given
            | {"JOB_COMPLETION_INDEX": str(index), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        lines.append(done.stdout)
    for number, line in enumerate(lines, start=1):
        assert line.startswith("-m pytest benchmarks/ ")
        assert f"--shard {number}/4 --result /results/first/shard-{number}.json" in line


def test_the_matrix_has_every_shard_of_every_card() -> None:
    """The workflow's shards are 1 to N of N, and the table's cards are the matrix's."""
    jobs = read("fleet.yml")["jobs"]
    matrix = jobs["measure"]["strategy"]["matrix"]
    shards = matrix["shard"]
    assert shards == list(range(1, len(shards) + 1))
    (measuring,) = [step for step in jobs["measure"]["steps"] if "run" in step]
    assert measuring["env"]["SHARD"] == f"${{{{ matrix.shard }}}}/{len(shards)}"
    (table,) = [step for step in jobs["table"]["steps"] if "fleet_table" in step.get("run", "")]
    assert table["env"]["CARDS"].split() == matrix["card"]
    for job in jobs.values():
        assert not any("${{" in step.get("run", "") for step in job["steps"])


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (COMMIT, 0),
        ("main", 1),
        ("", 1),
        (COMMIT[:39], 1),
        (COMMIT.upper(), 1),
        (f"{COMMIT}\nhead={COMMIT[::-1]}", 1),
    ],
)
def test_the_fleet_measures_a_commit_alone(head: str, code: int, tmp_path: Path) -> None:
    """A branch could be another commit by the time that a runner takes it."""
    resolve = read("fleet.yml")["jobs"]["resolve"]
    (step,) = resolve["steps"]
    assert resolve["outputs"] == {"head": "${{ steps.resolve.outputs.head }}"}
    output = tmp_path / "output"
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        env={"PATH": os.environ["PATH"], "HEAD": head, "GITHUB_OUTPUT": str(output)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert (output.read_text() if output.exists() else "") == (f"head={COMMIT}\n" * (not code))


PYTHON = """#!/usr/bin/env bash
if [[ $1 == -c ]]; then exec {python} "$@"; fi
if [[ "$1 $2" == "-m venv" ]]; then mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; exit; fi
if [[ "$1 $2" == "-m pytest" ]]; then
    flock --nonblock "$WHISPERBENCH_LOCKS/cpu.lock" true
    held=$?
fi
echo "$HF_HUB_OFFLINE $TRANSFORMERS_OFFLINE $held $*" >>{told}
"""
"""A Python whose venv is itself; it tells what it is asked, and whether the card's lock is held."""


def test_a_shard_of_the_fleet(tmp_path: Path) -> None:
    """It is measured in an environment of the job, with tested versions, under the card's lock."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "locks").mkdir()
    python = tmp_path / "bin" / "python3"
    python.write_text(PYTHON.format(python=sys.executable, told=tmp_path / "told"))
    python.chmod(0o755)
    (step,) = [step for step in read("fleet.yml")["jobs"]["measure"]["steps"] if "run" in step]
    subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=ROOT,
        env={
            "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TEMP": str(tmp_path),
            "WHISPERBENCH_LOCKS": str(tmp_path / "locks"),
            "CUDA_VISIBLE_DEVICES": "",
            "CARD": "h100",
            "SHARD": "2/2",
            "WHISPERBENCH_ARGUMENTS": step["env"]["WHISPERBENCH_ARGUMENTS"],
        },
        check=True,
        capture_output=True,
        timeout=60,
    )
    installed, measured = (tmp_path / "told").read_text().splitlines()
    assert "-c constraints.txt -r " in installed
    assert "torch>=" in (tmp_path / "whisperbench" / "needs.txt").read_text()
    assert measured == (
        "1 1 1 -m pytest benchmarks/ --shard 2/2 --result h100-2.json --model dummy:large-v3-turbo"
    )


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the script that makes the table, with this checkout's command."""
    command = tmp_path / "whisperbench"
    program = "from whisperbench.cli import main; main()"
    command.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "{program}" "$@"\n', encoding="utf-8"
    )
    command.chmod(0o755)

    def run(cards: str, needs: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "scripts" / "fleet_table.sh"), str(tmp_path), str(command)],
            cwd=ROOT,
            env=os.environ
            | {
                "CARDS": cards,
                "NEEDS": needs,
                "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
                "PYTHONPATH": str(ROOT),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def _write_shards(folder: Path, card: str, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        data = make_shard(number).data.replace(b"nvidia-h200-sm90-140gib", f"key-{card}".encode())
        (folder / f"{card}-{number}.json").write_bytes(data)


def test_the_table_has_every_card(table: Any, tmp_path: Path) -> None:
    """Each card's shards are merged, and the step summary has all of them in one table."""
    _write_shards(tmp_path, "h100", (1, 2))
    _write_shards(tmp_path, "h100-nvl", (1, 2))
    done = table("h100 h100-nvl")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^\| owner/whisper \| key-h100 \|", page, re.MULTILINE)) == 4
    assert len(re.findall(r"^\| owner/whisper \| key-h100-nvl \|", page, re.MULTILINE)) == 4
    assert read_run(tmp_path / "h100.run.json").unmeasured() == []


@pytest.mark.parametrize(
    ("needs", "code", "said"),
    [
        ('{"measure": {"result": "success"}}', 0, ""),
        ('{"measure": {"result": "failure"}}', 4, "jobs that did not succeed: measure: failure"),
        ('{"measure": {"result": "skipped"}}', 4, "jobs that did not succeed: measure: skipped"),
        ("{}", 4, "NEEDS: names no job"),
        ("nonsense", 4, "NEEDS: is not toJSON(needs)"),
    ],
)
def test_a_job_that_failed_is_no_pass(
    table: Any, tmp_path: Path, needs: str, code: int, said: str
) -> None:
    """Shards that are whole pass only where the jobs that measured them have ended well."""
    _write_shards(tmp_path, "h100", (1, 2))
    done = table("h100", needs)
    assert done.returncode == code
    assert said in done.stderr


def test_a_card_without_a_shard_is_no_pass(table: Any, tmp_path: Path) -> None:
    """The shard that is absent is named, the other card is shown, and the exit code is no 0."""
    _write_shards(tmp_path, "h100", (1, 2))
    _write_shards(tmp_path, "h200", (1,))
    done = table("h100 h200 l4")
    assert done.returncode == 2
    assert "shard 2 of 2 is absent" in done.stderr
    page = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "key-h100" in page
    assert "key-h200" not in page
