"""What the head's cost pass has run of what differs between the sides."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from whisperbench.ab.reaching import reach_of
from whisperbench.judge.reach import NOTHING, Reach
from whisperbench.results.reach import MODULE, Entered
from whisperbench.versions.revisions import Tree

SUITE = {"benchmarks/suite.toml": "", "whisperbench/__init__.py": "", "whisperbench/a.py": "A = 1"}
PACKAGE = {"pack/a.py": "def used(): return 1\ndef unused(): return 2\n", "pyproject.toml": ""}


def tree(folder: Path, **changed: str) -> Tree:
    """Make a tree of the suite and a package, with some files changed."""
    for name, text in ({**SUITE, **PACKAGE} | changed).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Tree(name=folder.name, folder=folder, commit=None, dirty=False)


def reached(tmp_path: Path, **changed: str) -> tuple[Reach, list[str]]:
    """Compare two trees, of which the head's run imports the package and calls one function."""
    trees = tree(tmp_path / "base"), tree(tmp_path / "head", **changed)
    file = str((tmp_path / "head" / "pack" / "a.py").resolve())
    entered = Entered(functions={file: (MODULE, "used")}, libraries=True)
    python = Path(sys.executable)
    return reach_of((python, python), trees, lambda: entered)


def test_where_nothing_differs_nothing_is_recorded(tmp_path: Path) -> None:
    """An A/A comparison needs no run of the head more, and reaches nothing, which is no fault."""
    trees = tree(tmp_path / "base"), tree(tmp_path / "head")

    def record() -> Entered:
        raise AssertionError

    python = Path(sys.executable)
    assert reach_of((python, python), trees, record) == (NOTHING, [])
    assert reach_of((python, python), None, record) == (NOTHING, [])


def test_a_change_of_the_suite_beside_another_is_told(tmp_path: Path) -> None:
    """Where something else was reached, that the suite's own changes are not compared is said."""
    code = PACKAGE["pack/a.py"].replace("1", "3")
    found, remarks = reached(tmp_path, **{"pack/a.py": code, "whisperbench/a.py": "A = 2"})
    assert not found.unreached
    assert "1 function of the suite itself differs between base and head" in remarks[0]


@pytest.mark.parametrize(
    "beside", [{}, {"pyproject.toml": "[a]"}, {"pack/a.py": PACKAGE["pack/a.py"].replace("2", "3")}]
)
def test_a_change_of_the_suite_that_nothing_compares_is_unreached(
    tmp_path: Path, beside: dict[str, str]
) -> None:
    """Also where beside it only files differ that the head's run has not reached."""
    found, remarks = reached(tmp_path, **{"whisperbench/a.py": "A = 2"}, **beside)
    assert found.unreached
    assert found.sentence.startswith("unreached: 1 function of the suite itself differs")
    assert not remarks


def test_a_project_file_hides_no_function_that_did_not_run(tmp_path: Path) -> None:
    """A file that nothing opened does not make up for it."""
    code = PACKAGE["pack/a.py"].replace("2", "3")
    found, _ = reached(tmp_path, **{"pack/a.py": code, "pyproject.toml": "[a]"})
    assert found.unreached
    assert [each.name for each in found.missed] == ["unused"]
    assert found.unread == ("pyproject.toml",)


def test_a_suite_of_each_sides_own_is_code_like_any_other(tmp_path: Path) -> None:
    """Where each side is measured by its own suite, a function of it that ran is reached."""
    trees = tree(tmp_path / "base"), tree(tmp_path / "head", **{"whisperbench/a.py": "A = 2"})
    file = str((tmp_path / "head" / "whisperbench" / "a.py").resolve())
    python = Path(sys.executable)

    def reached_by(functions: dict[str, tuple[str, ...]]) -> tuple[Reach, list[str]]:
        entered = Entered(functions=functions, libraries=True)
        return reach_of((python, python), trees, lambda: entered, own_suites=True)

    ran: dict[str, tuple[str, ...]] = {file: (MODULE,)}
    for functions, unreached in ((ran, False), ({}, True)):
        found, remarks = reached_by(functions)
        assert found.unreached == unreached
        assert remarks == []
