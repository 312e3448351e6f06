"""`whisperbench ab` as a process, with sides that stand in for pytest: for tests of the command."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.ab.stand_in import Plan, interpreter, told
from whisperbench.asked.checkout import ROOT

COMMAND = """
import sys
from pathlib import Path
from whisperbench.asked import checkout
from whisperbench.cli import main
checkout.RESULTS = Path(sys.argv.pop(1))
main()
"""
"""Keeps its results in its first argument."""

TIMEOUT_S = 120.0


@dataclass
class Ended:
    """How the command ended, and what it left."""

    code: int
    out: str
    err: str
    results: Path

    @property
    def folder(self) -> Path:
        """Of its result files."""
        (folder,) = self.results.iterdir()
        return folder

    def verdicts(self) -> dict[str, Any]:
        """Return what it has written of them."""
        found: dict[str, Any] = json.loads((self.folder / "verdicts.json").read_text())
        return found


class Bench:
    """Two sides, and the command that compares them."""

    def __init__(self, folder: Path) -> None:
        """Make them in a folder."""
        self.folder = folder
        self.results, self.cache = folder / "results", folder / "cache"
        self.base, self.head = Plan(), Plan()
        self.planted = ""
        """Text of a module that the head alone has, and that it does not import."""
        self.variables: dict[str, str] = {}
        self.largest_file = resource.RLIM_INFINITY
        self.process: subprocess.Popen[str] | None = None
        self.pythons: tuple[Path, Path] = (Path(), Path())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command, in a group of its own."""
        self.pythons = (
            interpreter(self.folder / "base", self.base),
            interpreter(self.folder / "head", self.head, self.planted),
        )
        base, head = map(str, self.pythons)
        largest = (self.largest_file, self.largest_file)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", COMMAND, str(self.results), "ab"),
                *("--base-python", base, "--head-python", head, *arguments),
            ],
            cwd=ROOT,
            env=os.environ
            | {"WHISPERBENCH_CACHE": str(self.cache), "PYTHONPATH": str(ROOT)}
            | self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, largest),
        )
        return self.process

    def end(self) -> Ended:
        """Wait for its end. No process of a side, and no folder of it in the cache, is left."""
        assert self.process is not None
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        for python in self.pythons:
            assert not [each for each in told(python) if psutil.pid_exists(each[1])]
        left = self.cache / "scratch"
        assert not left.exists() or not [each for each in left.iterdir() if each.is_dir()]
        assert "Traceback" not in err
        return Ended(self.process.returncode, out, err, self.results)

    def run(self, *arguments: str) -> Ended:
        """Run the command to its end."""
        self.start(*arguments)
        return self.end()

    def wait_for(self, side: int, place: str) -> int:
        """Wait until a process of a side is at a place; return its process id."""
        assert self.process is not None
        while True:
            for known, pid in told(self.pythons[side]):
                if known == place:
                    return pid
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)
