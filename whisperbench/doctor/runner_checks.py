"""The doctor's check of the runner of GitHub Actions, where one is installed."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from packaging.version import InvalidVersion, Version

from whisperbench.doctor.checks import Answer, Patient
from whisperbench.errors import one_line
from whisperbench.paths import expanded

FOLDER = "WHISPERBENCH_ACTIONS_RUNNER"
"""Variable that names the folder of the runner, where it lies at none of the usual places."""

USUAL = ("~/actions-runner", "/opt/actions-runner", "/actions-runner")

LEAST = Version("2.329.0")
"""GitHub registers none that is older (announced in 2026: github.com/orgs/community, 194762)."""

DAYS = 30
"""In which a runner must take a release. One that has not gets no jobs, and its log says "Listening
for Jobs" all the same."""

LISTENER = Path("bin") / "Runner.Listener"
HOOK = "ACTIONS_RUNNER_HOOK_JOB_STARTED"
CONFIGURED = ".runner"
"""File of a runner that takes jobs. A folder that is copied for each job has none."""
_TIMEOUT_S = 20.0


def actions_runner(_patient: Patient) -> Answer:
    """Whether GitHub still gives jobs to the runner on this machine, and whether it refuses any."""
    folder = find_runner()
    if folder is None:
        return "fine", "none is installed at the usual places"
    said = _version(folder)
    try:
        version = Version(said)
    except InvalidVersion:
        return "unfit", f"{folder}: does not tell its version ({one_line(said)}): install it anew"
    text = f"{version} in {folder}"
    if version < LEAST:
        return "unfit", f"{text}: GitHub takes none before {LEAST}: update it"
    days = (time.time() - (folder / LISTENER).stat().st_mtime) / 86400
    if days > DAYS:
        return "advice", (
            f"{text} is {days:.0f} days old: GitHub gives no jobs to one that has not taken a "
            f"release within {DAYS} days, and it says nothing: update it where there is a newer one"
        )
    if not (folder / CONFIGURED).is_file():
        return "fine", f"{text}, {days:.0f} days old; it is copied for each job, and serves none"
    if not _has_hook(folder):
        return "advice", (
            f"{text} has no {HOOK} in its .env, so that it refuses no job: set it to "
            "scripts/runner/job-started.sh"
        )
    return "fine", f"{text}, {days:.0f} days old, with a hook that may refuse jobs"


def find_runner() -> Path | None:
    """Return the runner's folder: the one that a variable names, this job's, or a usual one."""
    named = os.environ.get(FOLDER)
    if named:
        return expanded(named)
    temp = os.environ.get("RUNNER_TEMP")  # _work/_temp in the runner's folder
    places = [Path(temp).parent.parent] if temp else []
    places += [expanded(usual) for usual in USUAL]
    return next((place for place in places if (place / LISTENER).is_file()), None)


def _version(folder: Path) -> str:
    """Return what the runner says of its version, or why it says nothing."""
    try:
        done = subprocess.run(
            [str(folder / LISTENER), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        return str(error.strerror)
    except subprocess.TimeoutExpired:
        return f"no answer within {_TIMEOUT_S:.0f} s"
    return (done.stdout or done.stderr).strip() or f"it exits with {done.returncode}"


def _has_hook(folder: Path) -> bool:
    try:
        lines = (folder / ".env").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return bool(os.environ.get(HOOK)) or any(line.startswith(f"{HOOK}=/") for line in lines)
