"""The runner's side: the hook that refuses, the card's lock, a runner that serves one job."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.github.policy import SAFE_EVENTS
from whisperbench.asked.checkout import ROOT

SCRIPTS = ROOT / "scripts" / "runner"
CARD = "GPU-90c3aaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
TIMEOUT_S = 60


def run(
    script: str, *arguments: str, given: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script with these variables alone."""
    return subprocess.run(
        ["bash", str(SCRIPTS / script), *arguments],
        env={"PATH": os.environ["PATH"]} | variables,
        input=given,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


JOB = {
    "WHISPERBENCH_REPOSITORY": "owner/project",
    "GITHUB_EVENT_NAME": "workflow_dispatch",
    "GITHUB_REPOSITORY": "owner/project",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_WORKFLOW_REF": "owner/project/.github/workflows/gpu.yml@refs/heads/main",
}
QUEUE = "refs/heads/gh-readonly-queue/main/pr-7-0123456789abcdef0123456789abcdef01234567"
WORKFLOW = "owner/project/.github/workflows/gpu.yml"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"GITHUB_EVENT_NAME": "push"},
        {"GITHUB_EVENT_NAME": "schedule"},
        {
            "GITHUB_EVENT_NAME": "merge_group",
            "GITHUB_REF": QUEUE,
            "GITHUB_WORKFLOW_REF": f"{WORKFLOW}@{QUEUE}",
        },
    ],
    ids=lambda changed: changed.get("GITHUB_EVENT_NAME", "workflow_dispatch"),
)
def test_the_hook_lets_safe_events_through(changed: dict[str, str]) -> None:
    """A dispatch, a push or a schedule on main, and the merge queue of main, reach the GPU."""
    done = run("job-started.sh", **(JOB | changed))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        *(
            ({"GITHUB_EVENT_NAME": event}, f"it serves no job of the event {event}")
            for event in (
                "pull_request",
                "pull_request_target",
                "pull_request_review",
                "issue_comment",
                "workflow_run",
                "fork",
                "repository_dispatch",
            )
        ),
        ({"GITHUB_EVENT_NAME": "push\nx"}, "it serves no job of the event pushx"),
        ({"GITHUB_REPOSITORY": "stranger/project"}, "it serves another repository"),
        ({"GITHUB_REF": "refs/heads/topic"}, "it serves the branch main alone"),
        ({"GITHUB_REF": "refs/pull/7/merge"}, "it serves the branch main alone"),
        ({"GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/tags/main"}, "the branch main alone"),
        (
            {"GITHUB_WORKFLOW_REF": "owner/project/.github/workflows/ci.yml@refs/heads/main"},
            "it serves the workflow .github/workflows/gpu.yml alone",
        ),
        ({"GITHUB_WORKFLOW_REF": f"{WORKFLOW}@refs/heads/topic"}, "it serves the workflow"),
        ({"GITHUB_WORKFLOW_REF": f"stranger/{WORKFLOW}@refs/heads/main"}, "it serves the workflow"),
        ({"GITHUB_EVENT_NAME": "merge_group"}, "it serves the merge queue of main alone"),
        (
            {
                "GITHUB_EVENT_NAME": "merge_group",
                "GITHUB_REF": QUEUE.replace("/main/", "/other/"),
            },
            "it serves the merge queue of main alone",
        ),
        *(({name: ""}, f"{name} is not set") for name in JOB),
    ],
    ids=str,
)
def test_the_hook_refuses(changed: dict[str, str], said: str) -> None:
    """Events that a stranger can cause, other branches, repositories and workflows end here."""
    done = run("job-started.sh", **(JOB | changed))
    assert done.returncode == 1
    assert done.stdout.startswith("::error title=This runner refuses the job::")
    assert said in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_the_hook_and_the_policy_agree() -> None:
    """What the workflows may be started by is what the hook lets through, but for a call."""
    text = (SCRIPTS / "job-started.sh").read_text(encoding="utf-8")
    assert all(event in text for event in SAFE_EVENTS - {"workflow_call"})


def test_the_lock_keeps_a_second_job_out(tmp_path: Path) -> None:
    """Two jobs on one card follow each other; a third on another card does not wait."""
    given = {"WHISPERBENCH_LOCKS": str(tmp_path), "CUDA_VISIBLE_DEVICES": CARD}
    first = subprocess.Popen(
        ["bash", str(SCRIPTS / "with-card.sh"), "sleep", "30"],
        env={"PATH": os.environ["PATH"], "GITHUB_REPOSITORY": "owner/first"} | given,
    )
    try:
        lock = tmp_path / f"{CARD}.lock"
        while not (lock.exists() and lock.read_text()):
            time.sleep(0.02)
        second = run("with-card.sh", "echo", "ran", WHISPERBENCH_LOCK_WAIT_S="0", **given)
        assert second.returncode == 75
        assert second.stdout == ""
        assert f"{CARD} is taken by owner/first" in second.stderr
        other = given | {"CUDA_VISIBLE_DEVICES": CARD.replace("90c3", "90c4")}
        assert run("with-card.sh", "echo", "ran", **other).stdout == "ran\n"
    finally:
        first.send_signal(signal.SIGTERM)
        first.wait(TIMEOUT_S)
    assert run("with-card.sh", "echo", "ran", **given).stdout == "ran\n"


def test_the_lock_is_held_by_what_the_job_left(tmp_path: Path) -> None:
    """A process that outlives its job keeps the card, because it may still be on it."""
    given = {"WHISPERBENCH_LOCKS": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    left = run("with-card.sh", "bash", "-c", "sleep 30 >/dev/null 2>&1 & echo $!", **given)
    try:
        second = run("with-card.sh", "true", WHISPERBENCH_LOCK_WAIT_S="0", **given)
        assert second.returncode == 75
    finally:
        os.kill(int(left.stdout), signal.SIGKILL)


def test_the_commands_code_is_handed_on(tmp_path: Path) -> None:
    """What runs under the lock ends as it would without."""
    given = {"WHISPERBENCH_LOCKS": str(tmp_path), "CUDA_VISIBLE_DEVICES": CARD}
    assert run("with-card.sh", "bash", "-c", "exit 3", **given).returncode == 3


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CUDA_VISIBLE_DEVICES": CARD}, "WHISPERBENCH_LOCKS is not set"),
        (
            {"WHISPERBENCH_LOCKS": "/nowhere", "CUDA_VISIBLE_DEVICES": CARD},
            "/nowhere: is no folder",
        ),
        ({"WHISPERBENCH_LOCKS": "{}"}, "CUDA_VISIBLE_DEVICES is not set"),
        ({"WHISPERBENCH_LOCKS": "{}", "CUDA_VISIBLE_DEVICES": "0"}, "name the UUID of one card"),
        (
            {"WHISPERBENCH_LOCKS": "{}", "CUDA_VISIBLE_DEVICES": f"{CARD},{CARD}"},
            "name the UUID of one card",
        ),
        ({"WHISPERBENCH_LOCKS": "{}", "CUDA_VISIBLE_DEVICES": "../x"}, "name the UUID of one card"),
    ],
    ids=str,
)
def test_without_a_lock_nothing_runs(variables: dict[str, str], said: str, tmp_path: Path) -> None:
    """What cannot be locked is one line, and the command is not started."""
    given = {name: text.format(tmp_path) for name, text in variables.items()}
    done = run("with-card.sh", "echo", "ran", **given)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


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
