"""Shared by the suite's own tests, which need neither a GPU nor a network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if os.environ.pop("PYTEST_XDIST_WORKER", None):
    # What the tests start is no worker: benchmarks refuse to run in one. And one thread each:
    # those of two workers would wait for each other's most of the time.
    os.environ["OMP_NUM_THREADS"] = "1"

from whisperbench.asked.checkout import ROOT
from whisperbench.asked.models import ModelSpec
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.dummy import ensure_dummy

RunSuite = Callable[..., "subprocess.CompletedProcess[str]"]

TIMEOUT_S = 240.0

JFK = ROOT.parent / "shared" / "audio" / "jfk.flac"
WORDS = "ask not what your country can do for you, ask what you can do for your country."
TINY_EN = Path(os.environ.get("WHISPERBENCH_TINY_EN", "/nonexistent"))
"""OpenAI's tiny.en in transformers' format; what needs it skips without."""


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Let Ctrl-C reach what the tests start, also where they run in the background, ignoring it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of this test session's own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def dummy_tiny(cache: Path) -> Checkpoint:
    """The checkpoint of dummy:tiny."""
    return Checkpoint(
        spec=ModelSpec.parse("dummy:tiny"), folder=ensure_dummy("tiny", cache), fingerprint=""
    )


@pytest.fixture
def run_suite(cache: Path, tmp_path: Path) -> RunSuite:
    """Run `pytest benchmarks/` with options, as a user does, in a process of its own."""

    def run(
        *arguments: str, path: str = "benchmarks/", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        # Plugins that a test writes lie in its tmp_path.
        paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        usual = {"--device": "cpu", "--result": str(tmp_path / "run.json")}
        inherited = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", path, "-p", "no:cacheprovider"),
                # Who runs the suite has no hypothesis, whose plugin takes a second to import.
                *("-p", "no:hypothesispytest"),
                # Each may be given once.
                *(text for pair in usual.items() if pair[0] not in arguments for text in pair),
                *arguments,
            ],
            cwd=ROOT,
            env=inherited
            | {"WHISPERBENCH_CACHE": str(cache), "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""}
            | variables,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    return run
