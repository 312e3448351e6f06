"""What a gate's cells have run of what was changed."""

from __future__ import annotations

import pytest

from whisperbench.judge.reach import NOTHING, Reach, beside_the_suite, reach
from whisperbench.results.reach import MODULE, Change, Changes, ClosedFile, Entered

RAN = Entered(
    functions={
        "/head/a.py": (MODULE, "Layer", "Layer.forward"),
        "/head/pack/__init__.py": (MODULE,),
    },
    before=("/head/plugin.py",),
    asked=("Some_Package", "lazy.part"),
    tried=("pack", "pack.gone", "wanted"),
    opened=("/head/read.json", "/head/models/config.json", "/head/maybe.json"),
    listed=("/head/pack/plugins",),
    libraries=True,
)


def change(name: str, file: str = "a.py", **fields: str) -> Change:
    """Make up a changed function."""
    given = {"kind": "changed", "within": None} | fields
    return Change(file=file, name=name, path=f"/head/{file}", base_path=f"/base/{file}", **given)  # type: ignore[arg-type]


def found(*functions: Change, **others: object) -> Reach:
    """Judge made-up changes."""
    return reach(Changes(functions=functions, **others), RAN)  # type: ignore[arg-type]


def test_what_ran_is_counted_and_the_others_are_named() -> None:
    """The sentence says how many of the changed functions ran, and which did not."""
    it = found(change("Layer.forward"), change("Layer.backward"), change("other", "b.py"))
    assert it.sentence == (
        "1 of 3 changed functions was run by these cells; not run: a.py: Layer.backward, "
        "b.py: other"
    )
    assert not it.unreached


def test_nothing_reached_is_no_pass() -> None:
    """Where none of what was changed ran, that is said, and that the figures say nothing."""
    it = found(change("Layer.backward"), change("other", "b.py"))
    assert it.unreached
    assert it.sentence == (
        "unreached: none of 2 changed functions were run by these cells: a.py: Layer.backward, "
        "b.py: other; so its counts say nothing of the change"
    )
    assert found(change("Layer.backward")).unreached
    assert found(unopened=3).unreached


def test_few_are_named() -> None:
    """Of many functions that did not run five are named, and the number of the others."""
    it = found(*(change(f"f{number}", "b.py") for number in range(9)))
    assert "b.py: f3, b.py: f4, and 4 more; so" in it.sentence


def test_the_same_code_is_no_failure() -> None:
    """An A/A comparison reached nothing, for there was nothing to reach."""
    it = found()
    assert not it.unreached
    assert it.sentence == "no code differs between base and head"


def test_a_definition_that_differs_counts_where_it_was_executed() -> None:
    """A method added to a class whose body ran is reached: who asks the class may find it."""
    assert not found(change("Layer.extra", kind="added", within="Layer")).unreached
    assert not found(change("Layer.old", kind="removed", within="Layer")).unreached
    assert found(change("f.<locals>.g", kind="added", within="f")).unreached


def closed(file: str, *, on_both: bool = True) -> ClosedFile:
    """Make up a file that cannot be looked into."""
    return ClosedFile(file=file, path=f"/head/{file}", on_both=on_both)


@pytest.mark.parametrize(
    "file",
    [
        closed("read.json"),
        closed("pack/deep/words.json"),
        closed("pack/lib.so"),
        closed("models/model.safetensors"),
        closed("maybe.json", on_both=False),
        closed("pack/plugins/new.json", on_both=False),
        ClosedFile(file="the library of Python itself"),
        ClosedFile(file="linked.json", path="/elsewhere/other.json"),
    ],
    ids=str,
)
def test_what_may_have_been_read_counts_as_reached(file: ClosedFile) -> None:
    """So do files that were opened, and those beside what was imported or opened."""
    it = found(change("other", "b.py"), closed=(file,))
    assert not it.unreached
    assert it.closed == (file.file,)


@pytest.mark.parametrize(
    "file", ["pyproject.toml", "docs/x.png", "Dockerfile", "tests/data/x.json", "scipy/lib.so"]
)
def test_a_file_that_nobody_read_hides_no_unreached_function(file: str) -> None:
    """What lies where the run has touched nothing is named, and decides nothing."""
    it = found(change("other", "b.py"), closed=(closed(file),))
    assert it.unreached
    assert f"not read by these cells: {file}" in it.sentence


def test_a_library_that_was_not_loaded_is_code_that_was_not_run() -> None:
    """Machine code alone that nobody loaded is unreached, but data alone that nobody read is not.

    Where the system does not tell what it loaded, any library may have been.
    """
    library = Changes(closed=(closed("scipy/lib.so.1"),))
    assert reach(library, RAN).unreached
    assert not found(closed=(closed("Dockerfile"),)).unreached
    assert not reach(library, Entered(functions={})).unreached


def test_versions_count_where_they_are_asked_for() -> None:
    """A version may have changed anything where something asked for it, and nothing elsewhere."""
    it = found(versions=("some-package", "unused"))
    assert not it.unreached
    assert "the version of some-package" in it.sentence
    assert "unused" not in it.sentence
    assert found(versions=("unused",)).sentence.endswith(
        "these cells did not ask for the versions that do: unused"
    )


@pytest.mark.parametrize(
    "file",
    [
        "lazy/__init__.py",
        "lazy/part.py",
        "pack/gone.py",
        "src/wanted/__init__.py",
        "pack/plugins/x.py",
    ],
)
def test_a_module_that_was_looked_for_counts_as_reached(file: str) -> None:
    """What imports a module or asks whether it is there goes on otherwise without it."""
    assert not found(change(MODULE, file, kind="added")).unreached
    assert not found(change(MODULE, file, kind="removed")).unreached


@pytest.mark.parametrize(
    "file", ["new/__init__.py", "scripts/tool.py", "pack/unused.py", "pack/gone/inner.py"]
)
def test_a_file_that_is_gone_and_nobody_looked_for_is_unreached(file: str) -> None:
    """A module that no import wanted may go without a trace."""
    assert found(change(MODULE, file, kind="removed")).unreached
    assert found(change(MODULE, file, kind="added")).unreached


def test_a_test_that_is_gone_fails_nobody() -> None:
    """It is counted among the tests."""
    it = found(change(MODULE, "tests/test_old.py", kind="removed"))
    assert not it.unreached
    assert it.tests


def test_where_only_the_suite_differs_nothing_is_reached() -> None:
    """The head's suite measures both sides, so what was changed in it is not compared."""
    assert beside_the_suite(NOTHING, 0) is NOTHING
    it = beside_the_suite(NOTHING, 3)
    assert it.unreached
    assert it.sentence == (
        "unreached: 3 functions of the suite itself differ between base and head, and the head's "
        "suite measures both sides"
    )
    assert beside_the_suite(found(closed=(closed("Dockerfile"),)), 1).unreached
    missed = beside_the_suite(found(change("other", "b.py")), 1)
    assert missed.sentence.count("unreached") == 1
    assert "b.py: other" in missed.sentence
    assert not beside_the_suite(found(change("Layer.forward")), 1).unreached


def test_a_definition_that_ran_is_told_as_such() -> None:
    """Of a function that was not called it is said that its definition was executed."""
    it = found(change("Layer.extra", kind="added", within="Layer"))
    assert it.sentence == (
        "the changed function was not run by these cells, but its definition changed and was "
        "executed: a.py: Layer.extra"
    )


def test_the_base_decides_what_only_it_has() -> None:
    """With what the base entered, a removed file is reached if the base ran it, and only then."""
    gone = Changes(functions=(change(MODULE, "gone.py", kind="removed"),))
    ran = Entered(functions={"/base/gone.py": (MODULE,)})
    assert not reach(gone, RAN, ran).unreached
    assert reach(gone, RAN, Entered(functions={})).unreached


def test_what_was_imported_before_recording_counts_as_run() -> None:
    """Of modules that were imported too early to be seen, any function may have run."""
    assert not found(change("hook", "plugin.py")).unreached


def test_calls_that_may_have_gone_unseen_make_nothing_unreached() -> None:
    """Where recording was incomplete, all of an imported file counts as run, and that is said."""
    blind = Entered(functions=RAN.functions, unseen=("a debugger has taken sys.settrace",))
    it = reach(Changes(functions=(change("Layer.backward"),)), blind)
    assert not it.unreached
    assert "a debugger has taken sys.settrace, so all of an imported file" in it.sentence
    assert reach(Changes(functions=(change("other", "b.py"),)), blind).unreached


def test_tests_that_did_not_run_fail_nobody() -> None:
    """A change of tests alone is none of what cells are to run."""
    it = found(change("test_it", "tests/test_a.py"))
    assert not it.unreached
    assert it.sentence == "1 changed function of tests is not counted"
