"""The suite for both sides: what is copied, and whose code a run in the copy imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.versions.repositories import commit
from whisperbench.asked.checkout import ROOT
from whisperbench.errors import InputError
from whisperbench.versions.revisions import Tree, checked_out
from whisperbench.versions.suites import own_paths, running_suite, suite_for

ASKED = """
import ours, fixtures.thing, whisperbench

def test_whose_code_runs():
    print("own:", ours.VALUE, "suite:", fixtures.thing.VALUE, whisperbench.VALUE)
"""


def hold_suite(folder: Path, value: str, own: Mapping[str, str] | None = None) -> None:
    """Commit a small suite whose parts all say the same, and code of the repository's own."""
    said = f"VALUE = {value!r}\n"
    files = {
        "benchmarks/suite.toml": "",
        "benchmarks/test_one.py": ASKED,
        "fixtures/__init__.py": "",
        "fixtures/thing.py": said,
        "whisperbench/__init__.py": said,
        "conftest.py": "",
        "pyproject.toml": "[tool.pytest.ini_options]\n",
        "results/run.json": "{}",
    }
    commit(folder, files | dict(own or {}))


def run_in(suite: Path, tree: Tree) -> str:
    """Run the suite as a side does, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider", "benchmarks"],
        cwd=suite,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(map(str, own_paths(tree)))}
        | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they take seconds to import
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[0]


@pytest.mark.parametrize("place", ["ours.py", "src/ours.py"])
def test_one_suite_and_each_sides_own_code(tmp_path: Path, repository: Path, place: str) -> None:
    """Both sides run the head's suite, and each its own code, beside the suite or in src."""
    (repository / "ours.py").unlink()
    hold_suite(repository, "older", {place: "VALUE = 'base'\n"})
    hold_suite(repository, "newer", {place: "VALUE = 'head'\n"})
    with checked_out(repository, "main~1") as base, checked_out(repository, None) as head:
        suite = suite_for(head, tmp_path / "suite")
        assert run_in(suite, base) == "own: base suite: newer newer"
        # Whose work tree is edited while it is measured is measured with the suite of before.
        (repository / "fixtures" / "thing.py").write_text("VALUE = 'edited'\n")
        assert run_in(suite, head) == "own: head suite: newer newer"


def test_what_is_copied(tmp_path: Path, repository: Path) -> None:
    """The suite's items are copied; caches, results and the rest of the repository are not."""
    hold_suite(repository, "any")
    (repository / "fixtures" / "__pycache__").mkdir()
    (repository / "fixtures" / "__pycache__" / "thing.cpython-311.pyc").write_text("")
    (repository / "tox.ini").write_text("")
    with checked_out(repository, None) as head:
        suite = suite_for(head, tmp_path / "suite")
    assert {path.name for path in suite.iterdir()} == {
        *("benchmarks", "fixtures", "whisperbench", "conftest.py", "pyproject.toml", "tox.ini")
    }
    assert {path.name for path in suite.glob("fixtures/*")} == {"__init__.py", "thing.py"}


def test_a_head_that_uses_the_suite(tmp_path: Path, repository: Path) -> None:
    """A head without a suite is measured by the one that runs, which collects from its copy."""
    with checked_out(repository, "main") as head:
        suite = suite_for(head, tmp_path / "suite")
    for name in ("benchmarks/suite.toml", "fixtures/checkpoints/nano/config.json"):
        assert (suite / name).read_bytes() == (ROOT / name).read_bytes()
    assert not (suite / "tests").exists()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"),
            *("benchmarks/test_cost.py", "--model", "nano", "--precision", "fp32"),
        ],
        cwd=suite,
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "benchmarks/test_cost.py::" in done.stdout
    found = subprocess.run(
        [sys.executable, "-c", "from whisperbench.asked.checkout import ROOT; print(ROOT)"],
        cwd=suite,
        env={name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(suite)


def test_a_suite_that_lacks_a_part(tmp_path: Path, repository: Path) -> None:
    """A suite that could not run is refused before anything is installed for it."""
    hold_suite(repository, "any")
    (repository / "conftest.py").unlink()
    with (
        checked_out(repository, None) as head,
        pytest.raises(InputError, match=r"^the work tree: the suite lacks conftest\.py,"),
    ):
        suite_for(head, tmp_path / "suite")


def test_a_copy_that_cannot_be_made(tmp_path: Path, repository: Path) -> None:
    """A link to nothing and a place that is no folder are told in one line each."""
    hold_suite(repository, "any")
    (tmp_path / "taken").write_text("")
    with checked_out(repository, None) as head:
        for place in ("taken", "free"):
            (repository / "fixtures" / "broken").unlink(missing_ok=True)
            (repository / "fixtures" / "broken").symlink_to("nothing")
            with pytest.raises(InputError, match="the suite cannot be copied: ") as caught:
                suite_for(head, tmp_path / place)
            assert "\n" not in str(caught.value)


def test_a_path_that_pythonpath_cannot_name(tmp_path: Path) -> None:
    """A folder whose path would read as two is refused, and not looked for in vain."""
    odd = Tree(name="odd", folder=tmp_path / f"a{os.pathsep}b", commit=None, dirty=False)
    with pytest.raises(InputError, match="PYTHONPATH parts two folders"):
        own_paths(odd)


def test_the_running_suite_is_copied_for_as_long_as_it_is_needed() -> None:
    """What measures for hours is a copy, so that editing the checkout meanwhile changes nothing."""
    with running_suite() as suite:
        assert suite != ROOT
        assert (suite / "benchmarks" / "suite.toml").read_bytes() == (
            ROOT / "benchmarks" / "suite.toml"
        ).read_bytes()
    assert not suite.exists()
