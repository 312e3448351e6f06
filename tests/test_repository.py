"""The repository keeps its promises about itself: README, CI and versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from whisperbench import __version__
from whisperbench.asked.checkout import ROOT
from whisperbench.pulls.surroundings import GATE, RUNNER

README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN_COMMAND = "pip install -c constraints.txt -e . && pytest benchmarks/"
TEST_COMMAND = 'pip install -c constraints.txt -e ".[test]" && pytest -n 2 --dist worksteal'


def test_both_commands_are_on_the_readmes_first_screen() -> None:
    """The first screen, 60 lines, has the two commands; CI runs the test command as it is there."""
    screen = README.splitlines()[:60]
    assert RUN_COMMAND in screen
    assert TEST_COMMAND in screen
    # In parentheses: with `set -e` alone, a failing install would let the script go on.
    assert f"({TEST_COMMAND})" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_readmes_links_lead_somewhere() -> None:
    """Every relative link of the README is a file of the repository."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


DOCUMENTS = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "training/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_documents_name_are_there(document: Path) -> None:
    """A file or folder of the repository that a document names exists: code moves, and is found."""
    text = document.read_text(encoding="utf-8")
    folders = "benchmarks|docs|fixtures|scripts|tests|training|whisperbench"
    named = set(re.findall(rf"(?<![\w./<-])(?:{folders})/[\w./-]*\w", text))
    named -= {GATE, RUNNER}  # statuses of commits, which are no files
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_constraints_pin_every_dependency() -> None:
    """Each direct dependency has a tested version, so that no newer one slips in."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.split(r"[<>=~! ]", line, maxsplit=1)[0] for line in wanted}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {pin.partition("==")[0] for pin in pins if "==" in pin}
    assert {name.lower().replace("_", "-") for name in names} <= {
        name.lower().replace("_", "-") for name in pinned
    }


def test_one_version() -> None:
    """The package and its metadata have the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
