"""The runner's job-started hook: what it lets through, and that nothing runs after a refusal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.github.policy import SAFE_EVENTS
from whisperbench.asked.checkout import ROOT

HOOK = ROOT / "scripts" / "runner" / "job-started.sh"
TIMEOUT_S = 60

WORKER = '"$@"; echo "a step ran after code $?"'
"""Does what GitHub's worker does: a hook that fails does not keep it from `if: always()`."""

JOB = {
    "WHISPERBENCH_REPOSITORY": "owner/project",
    "GITHUB_EVENT_NAME": "workflow_dispatch",
    "GITHUB_REPOSITORY": "owner/project",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_WORKFLOW_REF": "owner/project/.github/workflows/gpu.yml@refs/heads/main",
}
QUEUE = "refs/heads/gh-readonly-queue/main/pr-7-0123456789abcdef0123456789abcdef01234567"
WORKFLOW = "owner/project/.github/workflows/gpu.yml"


def begin_job(
    folder: Path, *between: str, name: str = "Runner.Worker", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the hook as a worker of this name does, with these variables alone.

    Args:
        folder: of the worker.
        *between: what starts the hook for the worker, such as another shell.
        name: of the worker.
        **variables: of the job.
    """
    worker = folder / name
    shutil.copy("/bin/bash", worker)
    return subprocess.run(
        [str(worker), "-c", WORKER, "-", *(between or ("bash", "-e", str(HOOK)))],
        env={"PATH": os.environ["PATH"]} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


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
        {"WHISPERBENCH_WORKFLOW": ".github/workflows/fleet.yml .github/workflows/gpu.yml"},
    ],
    ids=str,
)
def test_safe_events_come_through(changed: dict[str, str], tmp_path: Path) -> None:
    """A dispatch, a push or a schedule on main, and the merge queue of main, reach the GPU.

    So does each of several workflows that are named.
    """
    done = begin_job(tmp_path, **(JOB | changed))
    assert (done.returncode, done.stdout) == (0, "a step ran after code 0\n")


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
            "it serves these workflows alone: .github/workflows/gpu.yml",
        ),
        (
            {"WHISPERBENCH_WORKFLOW": ".github/workflows/a.yml .github/workflows/b.yml"},
            "it serves these workflows alone: .github/workflows/a.yml .github/workflows/b.yml",
        ),
        ({"WHISPERBENCH_WORKFLOW": " "}, "it serves these workflows alone: "),
        ({"GITHUB_WORKFLOW_REF": f"{WORKFLOW}@refs/heads/topic"}, "it serves these workflows"),
        ({"GITHUB_WORKFLOW_REF": f"stranger/{WORKFLOW}@refs/heads/main"}, "it serves these work"),
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
def test_a_job_that_is_refused_ends(changed: dict[str, str], said: str, tmp_path: Path) -> None:
    """Other events, branches, repositories and workflows end the worker, and so every later step.

    The reason is in the job's log, and in what the worker leaves to the listener when it crashes.
    """
    done = begin_job(tmp_path, **(JOB | changed))
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.startswith("::error title=This runner refuses the job::")
    assert said in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr.startswith("This runner refuses the job: ")
    assert said in done.stderr


def test_the_worker_is_found_behind_another_process(tmp_path: Path) -> None:
    """Where the worker starts the hook through a shell, the worker is what ends."""
    shell = ("bash", "-c", f"bash -e '{HOOK}'; exit 0")
    done = begin_job(tmp_path, *shell, **(JOB | {"GITHUB_EVENT_NAME": "pull_request"}))
    assert done.returncode == -signal.SIGKILL
    assert "a step ran" not in done.stdout


def test_a_worker_of_another_name_ends(tmp_path: Path) -> None:
    """If GitHub gives its worker another name, the hook's parent ends."""
    refused = JOB | {"GITHUB_EVENT_NAME": "pull_request"}
    done = begin_job(tmp_path, name="Runner.Renamed", **refused)
    assert done.returncode == -signal.SIGKILL
    assert "a step ran" not in done.stdout


def test_a_hook_that_breaks_ends_the_job(tmp_path: Path) -> None:
    """A hook that fails otherwise, as where a program that it calls is absent, lets nothing by."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tr").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "tr").chmod(0o755)
    changed = {
        "GITHUB_EVENT_NAME": "pull_request",
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    done = begin_job(tmp_path, **(JOB | changed))
    assert done.returncode == -signal.SIGKILL
    assert "a step ran" not in done.stdout


def test_the_hook_and_the_policy_agree() -> None:
    """What the workflows may be started by is what the hook lets through, but for a call."""
    text = HOOK.read_text(encoding="utf-8")
    assert all(event in text for event in SAFE_EVENTS - {"workflow_call"})
