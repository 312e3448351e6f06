"""A run that records which functions it enters. scripts/check_reach.py has the suite do so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import RunSuite
from whisperbench.asked.checkout import ROOT
from whisperbench.measure.reach import VARIABLE, read_entered

PLAYED = """
def in_child(connection):
    connection.send("done")

def here():
    pass

def never():
    pass
"""

TESTS = """
import played
from whisperbench.measure.fresh import start_process
from whisperbench.plugin.reach import result_beside

def test_it():
    played.here()
    process, connection = start_process(played.in_child)
    assert connection.recv() == "done"
    process.join()
    result_beside().write_text("a result")
"""


def test_figures_of_such_a_run_are_not_judged(run_suite: RunSuite, tmp_path: Path) -> None:
    """A baseline is refused in one line."""
    done = run_suite("--model", "dummy:tiny", "--baseline", **{VARIABLE: str(tmp_path / "reach")})
    assert done.returncode == 4
    assert "no figure of it is kept or judged; drop one of the two" in done.stderr


def test_a_run_tells_what_it_and_its_fresh_processes_enter(tmp_path: Path) -> None:
    """A function that runs in a fresh process alone is told of all the same; no result is left."""
    (tmp_path / "played.py").write_text(PLAYED, encoding="utf-8")
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    path = tmp_path / "told" / "reach.json"
    path.parent.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "whisperbench.plugin.reach"),
            *("-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "test_it.py"),
        ],
        cwd=tmp_path,
        env=os.environ | {VARIABLE: str(path), "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "no result is kept" in done.stdout
    assert [each.name for each in path.parent.iterdir()] == ["reach.json"]
    entered = read_entered(path)
    assert not entered.unseen
    functions = set(entered.functions[os.path.realpath(tmp_path / "played.py")])
    assert functions == {"<module>", "here", "in_child"}
    assert "played" in entered.tried
