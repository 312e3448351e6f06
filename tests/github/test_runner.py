"""A runner that serves one job, in a copy that is removed."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.github.scripts import CARD, SCRIPTS, run
from whisperbench.asked.checkout import ROOT

RUNNER = """#!/usr/bin/env bash
here=$(cd "$(dirname "$0")" && pwd)
{ env; echo; cat "$here/.env"; echo "$@"; } >"$TOLD"
echo left >"$here/_work"
exit 3
"""
ONCE = {
    "CUDA_VISIBLE_DEVICES": CARD,
    "HF_HOME": "/srv/models",
    "PIP_NO_INDEX": "1",
    "WHISPERBENCH_LOCKS": "/run/lock/whisperbench",
    "WHISPERBENCH_REPOSITORY": "owner/project",
    "AWS_SECRET_ACCESS_KEY": "a secret",
}


DEFAULTS = {"WHISPERBENCH_API", "WHISPERBENCH_TOKEN_FILE"}
"""Variables that no runner needs to set."""


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A folder that looks like an unpacked Actions runner, which tells what it finds."""
    folder = tmp_path / "runner"
    folder.mkdir()
    text = RUNNER.replace("$TOLD", str(tmp_path / "told"))
    (folder / "run.sh").write_text(text)
    (folder / "run.sh").chmod(0o755)
    return folder


def test_a_runner_serves_one_job_and_is_gone(runner: Path, tmp_path: Path) -> None:
    """It works in a copy that is removed, finds the hook in .env, and no variable of others.

    The configuration is no argument, which every user of the machine could read.
    """
    work = tmp_path / "work"
    done = run("once.sh", str(runner), str(work), given="a-configuration", **ONCE)
    assert done.returncode == 3
    assert not work.exists()
    assert [path.name for path in runner.iterdir()] == ["run.sh"]
    told = (tmp_path / "told").read_text()
    own, _, configured = told.partition("\n\n")
    assert "ACTIONS_RUNNER_INPUT_JITCONFIG=a-configuration" in own.splitlines()
    assert "a secret" not in told
    assert f"ACTIONS_RUNNER_HOOK_JOB_STARTED={SCRIPTS}/job-started.sh" in configured.splitlines()
    for name in set(ONCE) - {"AWS_SECRET_ACCESS_KEY"}:
        assert f"{name}={ONCE[name]}" in configured.splitlines()
    assert "a-configuration" not in configured


def test_the_copy_is_as_old_as_the_runner(runner: Path, tmp_path: Path) -> None:
    """The doctor tells by the times of its files whether a runner has lapsed."""
    own = f'#!/bin/sh\nstat -c %Y "$0" >"{tmp_path}/told"\n'
    (runner / "run.sh").write_text(own)
    os.utime(runner / "run.sh", (1_700_000_000, 1_700_000_000))
    assert run("once.sh", str(runner), str(tmp_path / "work"), given="a", **ONCE).returncode == 0
    assert (tmp_path / "told").read_text() == "1700000000\n"


def test_without_its_hook_no_job_is_served(runner: Path, tmp_path: Path) -> None:
    """GitHub's runner would go on to steps with `if: always()` where the hook is not there."""
    shutil.copy(SCRIPTS / "once.sh", tmp_path)
    script = str(tmp_path / "once.sh")
    done = run(script, str(runner), str(tmp_path / "work"), given="a", **ONCE)
    assert done.returncode == 2
    assert "job-started.sh: cannot be read" in done.stderr
    assert not (tmp_path / "told").exists()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("runner", "holds no Actions runner"),
        ("work", "is not empty"),
        ("configuration", "standard input has no just-in-time configuration"),
        ("WHISPERBENCH_REPOSITORY", "WHISPERBENCH_REPOSITORY is not set"),
        ("WHISPERBENCH_LOCKS", "WHISPERBENCH_LOCKS is not set"),
    ],
)
def test_a_runner_that_cannot_be_served(
    broken: str, said: str, runner: Path, tmp_path: Path
) -> None:
    """It is one line, before the runner is started or anything is removed."""
    work = tmp_path / "work"
    if broken == "runner":
        (runner / "run.sh").unlink()
    if broken == "work":
        work.mkdir()
        (work / "somebody's").write_text("")
    given = "" if broken == "configuration" else "a-configuration"
    variables = {name: text for name, text in ONCE.items() if name != broken}
    done = run("once.sh", str(runner), str(work), given=given, **variables)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "told").exists()
    assert (broken == "work") == work.exists()


def test_the_documentation_names_every_variable() -> None:
    """Whoever sets a runner up finds each variable that the scripts read."""
    shown = (ROOT / "docs" / "runners.md").read_text(encoding="utf-8")
    read = {
        name
        for path in SCRIPTS.iterdir()
        for name in re.findall(r"WHISPERBENCH_[A-Z_]+[A-Z]", path.read_text(encoding="utf-8"))
    }
    assert len(read) > 8
    assert {name for name in read if name not in shown} <= DEFAULTS
