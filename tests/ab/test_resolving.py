"""From what the command was given to the two sides; what says too little is one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.versions.repositories import begin, commit
from whisperbench.ab import resolving
from whisperbench.ab.resolving import Wish, resolved
from whisperbench.cli import app
from whisperbench.errors import ExitCode, InputError
from whisperbench.versions.environment import Environment

PYTHON = sys.executable
BOTH = ("--base-python", PYTHON, "--head-python", PYTHON)


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep copies and results in a folder of the test's."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("whisperbench.asked.checkout.RESULTS", tmp_path / "results")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name what to compare: a git revision as BASE, or --base-python and --head-python, "),
        (["--", "main"], "name what to compare: "),
        (["--base-python", PYTHON], "name what to compare: "),
        (["--head-python", PYTHON], "name what to compare: "),
        (["main", *BOTH], "BASE is a revision, which brings its own environment: drop "),
        (["main", "--base-python", PYTHON], "BASE is a revision, which brings its own"),
        (
            ["--base-python", "/nowhere/python", "--head-python", PYTHON],
            "--base-python /nowhere/python: is no interpreter that can be run",
        ),
        (
            ["--base-python", PYTHON, "--head-python", __file__],
            f"--head-python {__file__}: is no interpreter that can be run",
        ),
        ([*BOTH, "--pairs", "2"], "--pairs 2: must be auto, or a number from 3 to 16"),
        ([*BOTH, "--pairs", "17"], "--pairs 17: must be auto, or a number from 3 to 16"),
        ([*BOTH, "--pairs", "x"], "--pairs x: must be auto, or a number from 3 to 16"),
        ([*BOTH, "--pairs", "-3"], "--pairs -3: must be auto, or a number from 3 to 16"),
        ([*BOTH, "--pairs", "3.0"], "--pairs 3.0: must be auto, or a number from 3 to 16"),
        ([*BOTH, "--budget", "0"], "--budget 0: must be more than 0 minutes"),
        ([*BOTH, "--budget", "-1"], "--budget -1: must be more than 0 minutes"),
        ([*BOTH, "--budget", "nan"], "--budget nan: must be more than 0 minutes"),
        ([*BOTH, "--pairs", "3", "--pairs", "4"], "--pairs was given 2 times; give it once"),
        ([*BOTH, "--", "-q", "--result=x.json"], "--result behind --: drop it, for all files go"),
        ([*BOTH, "--", "--baseline", "x"], "--baseline behind --: drop it, for the head is held"),
        ([*BOTH, "--own-suites"], "--own-suites is for two revisions: name one as BASE"),
        (["--base-with", "-r x", *BOTH], "'-r x' is no requirement: give one such as "),
        (["--base-with", "", *BOTH], "no requirement is named: give one such as "),
    ],
)
def test_what_cannot_be_compared(arguments: list[str], said: str, tmp_path: Path) -> None:
    """It is one line that says what to give, with exit code 2, and leaves nothing behind."""
    done = CliRunner().invoke(app, ["ab", *arguments])
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith(said)
    assert len(str(done.exception).splitlines()) == 1
    assert done.exception.exit_code == ExitCode.USAGE
    results = tmp_path / "results"
    assert not results.exists() or not list(results.iterdir())


def test_a_wrong_number_is_refused() -> None:
    """What is no number of minutes is bad usage."""
    assert CliRunner().invoke(app, ["ab", *BOTH, "--budget", "soon"]).exit_code == ExitCode.USAGE


def test_interpreters_have_one_suite(tmp_path: Path) -> None:
    """Both sides run one copy of the suite, which is gone afterwards; each its own interpreter."""
    other = tmp_path / "python"
    other.symlink_to(PYTHON)
    with resolved(Wish(base_python=other, head_python=Path(PYTHON)), print) as sides:
        suite = sides.head.suite
        assert sides.base.suite == suite
        assert (suite / "benchmarks" / "suite.toml").is_file()
        assert (sides.base.python, sides.head.python) == (other, Path(PYTHON))
        assert sides.trees is None
        assert sides.base.what == str(other)
    assert not suite.exists()


def test_a_difference_lies_over_one_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--base-with alone compares this interpreter with itself, but for what the base has."""
    asked = []

    def layered(python: Path, requirements: tuple[str, ...], _say: object) -> Environment:
        asked.append((python, requirements))
        return Environment(python=tmp_path / "layer", name="layer")

    monkeypatch.setattr(resolving, "layered", layered)
    with resolved(Wish(base_with=("transformers==5.17.0",)), print) as sides:
        assert sides.base.python == tmp_path / "layer"
        assert sides.head.python == Path(PYTHON)
        assert sides.base.what == f"{PYTHON} with transformers==5.17.0"
    assert asked == [(Path(PYTHON), ("transformers==5.17.0",))]


def test_revisions_have_their_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side has the files of its own revision, and the work tree is the head."""
    repository = begin(tmp_path / "repository")
    first = commit(repository, {"own.py": "what = 1"})
    commit(repository, {"own.py": "what = 2"})
    (repository / "own.py").write_text("what = 3")
    monkeypatch.setattr(
        resolving,
        "environment_of",
        lambda *_: Environment(python=Path(PYTHON), name="an environment"),
    )
    with resolved(Wish(base=first, repository=repository), print) as sides:
        said = [(side.own[-1] / "own.py").read_text() for side in (sides.base, sides.head)]
        assert said == ["what = 1", "what = 3"]
        assert sides.trees is not None
        assert [tree.dirty for tree in sides.trees] == [False, True]
        worktree = sides.base.own[-1]
    assert not worktree.exists()


SUITE = {
    "benchmarks/suite.toml": "",
    "fixtures/__init__.py": "",
    "conftest.py": "",
    "pyproject.toml": "",
}


def test_each_revision_can_have_its_own_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --own-suites a side runs the suite of its own revision; otherwise the head's runs both.

    A base that holds none is refused.
    """
    repository = begin(tmp_path / "repository")
    empty = commit(repository)
    first = commit(repository, SUITE | {"whisperbench/__init__.py": "what = 1"})
    second = commit(repository, {"whisperbench/__init__.py": "what = 2"})
    environment = Environment(python=Path(PYTHON), name="an environment")
    monkeypatch.setattr(resolving, "environment_of", lambda *_: environment)

    def suites(own_suites: bool = False) -> list[str]:
        asked = Wish(base=first, head=second, repository=repository, own_suites=own_suites)
        with resolved(asked, print) as sides:
            both = (sides.base.suite, sides.head.suite)
            return [(suite / "whisperbench" / "__init__.py").read_text() for suite in both]

    assert suites(own_suites=True) == ["what = 1", "what = 2"]
    assert suites() == ["what = 2", "what = 2"]
    wish = Wish(base=empty, head=second, repository=repository, own_suites=True)
    with pytest.raises(InputError, match="holds no suite of its own: drop --own-suites"):
        resolved(wish, print).__enter__()
