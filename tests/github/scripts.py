"""The runner's scripts, run with nothing in their environment but what a test gives."""

from __future__ import annotations

import os
import subprocess

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
