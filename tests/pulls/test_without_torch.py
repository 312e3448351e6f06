"""The commands of a hosted job run where whisperbench is installed without torch and pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.packages import with_all_they_need
from tests.pulls.artifacts import BASE, HEAD, MERGE_BASE, Left
from tests.pulls.server import Hub
from whisperbench.asked.checkout import ROOT, SUITE_FILE

INSTALLED = ("msgspec", "psutil", "scipy", "typer")
"""What a hosted job installs beside whisperbench itself, which needs these without more."""

COMMAND = """
import importlib.metadata, json, sys
from importlib.abc import MetaPathFinder

owners = importlib.metadata.packages_distributions()
allowed = set(json.loads(sys.argv.pop(1)))

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        names = owners.get(name.partition(".")[0], [])
        installed = {each.lower().replace("_", "-") for each in names}
        if installed and not installed & allowed:
            raise ModuleNotFoundError(f"No module named {name!r}, for it is not installed here")

sys.meta_path.insert(0, Blocker())
for blocked in ("torch", "transformers", "pytest", "bitsandbytes", "huggingface_hub"):
    try:
        __import__(blocked)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{blocked} can be imported")
from whisperbench.cli import main
main()
"""
"""The command where only the packages are installed that its first argument names."""


def run(
    folder: Path, variables: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of `whisperbench pull` in a folder."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            COMMAND,
            json.dumps(sorted({"whisperbench"} | with_all_they_need(INSTALLED))),
            "pull",
            *arguments,
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_all_three_commands(hub: Hub, tmp_path: Path) -> None:
    """msgspec, psutil, scipy and typer with what these need are enough for a whole gate."""
    hub.open_pull(7, HEAD, BASE, MERGE_BASE)
    job = hub.variables() | {
        "GITHUB_EVENT_NAME": "workflow_dispatch",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "NEEDS": json.dumps({"measure": {"result": "success"}}),
        "WHISPERBENCH_PULL": "7",
        "WHISPERBENCH_HEAD": HEAD,
        "WHISPERBENCH_BASE": MERGE_BASE,
    }
    resolved = run(tmp_path, job, "resolve")
    assert (resolved.returncode, resolved.stderr) == (0, "")
    assert (tmp_path / "output").read_text() == f"pull=7\nhead={HEAD}\nbase={MERGE_BASE}\n"
    Left().write(tmp_path / "measured")
    judged = run(tmp_path, job, "judge", "measured", "--suite", str(SUITE_FILE))
    assert (judged.returncode, judged.stderr) == (0, "")
    assert judged.stdout.startswith("success: 6 figures no worse than the base's")
    published = run(tmp_path, job, "publish")
    assert (published.returncode, published.stderr) == (0, "")
    assert hub.state_of(HEAD) == "success"
    assert len(hub.comments) == 1


def test_a_job_that_lacks_its_environment(tmp_path: Path) -> None:
    """Outside of GitHub Actions each command is one line, and no success."""
    gone = dict.fromkeys(("GITHUB_REPOSITORY", "GITHUB_API_URL", "GITHUB_TOKEN", "NEEDS"), "")
    for command in ("resolve", "publish"):
        done = run(tmp_path, gone, command)
        assert done.returncode == 2
        assert done.stderr.startswith("whisperbench: GITHUB_")
        assert len(done.stderr.splitlines()) == 1
    done = run(tmp_path, gone, "judge", "measured", "--suite", "suite.toml")
    assert done.returncode == 4
    assert done.stdout.startswith("error: NEEDS is not set")
