"""What a gate's cells have run of what was changed."""

from __future__ import annotations

from whisperbench.judge.reach import Reach, reach
from whisperbench.results.reach import MODULE, Change, Changes, Entered

RAN = Entered(
    functions={"/head/a.py": (MODULE, "Layer", "Layer.forward")},
    before=("/head/plugin.py",),
    asked=("Some_Package", "lazy.part"),
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
        "1 of 3 changed functions were run by these cells; not run: a.py: Layer.backward, "
        "b.py: other"
    )
    assert not it.unreached


def test_nothing_reached_is_no_pass() -> None:
    """Where none of what was changed ran, that is said, and that the figures say nothing."""
    it = found(change("Layer.backward"), change("other", "b.py"))
    assert it.unreached
    assert it.sentence.startswith(
        "none of 2 changed functions was run by these cells, so their figures say nothing of the "
        "change: a.py: Layer.backward"
    )
    assert found(change("Layer.backward")).unreached
    assert found(unopened=3).unreached


def test_few_are_named() -> None:
    """Of many functions that did not run five are named, and the number of the others."""
    it = found(*(change(f"f{number}", "b.py") for number in range(9)))
    assert it.sentence.endswith("b.py: f3, b.py: f4, and 4 more")


def test_the_same_code_is_no_failure() -> None:
    """An A/A comparison reached nothing, for there was nothing to reach."""
    it = found()
    assert not it.unreached
    assert it.sentence == "base and head have the same code"


def test_a_definition_that_differs_counts_where_it_was_executed() -> None:
    """A method added to a class whose body ran is reached: who asks the class may find it."""
    assert not found(change("Layer.extra", kind="added", within="Layer")).unreached
    assert not found(change("Layer.old", kind="removed", within="Layer")).unreached
    assert found(change("f.<locals>.g", kind="added", within="f")).unreached


def test_what_cannot_be_looked_into_counts_as_reached() -> None:
    """Compiled libraries, data, and versions that were asked for may have changed anything."""
    assert not found(change("other", "b.py"), closed=("lib.so",)).unreached
    it = found(versions=("some-package", "unused"))
    assert not it.unreached
    assert "the version of some-package" in it.sentence
    assert "unused" not in it.sentence


def test_a_module_that_was_looked_for_counts_as_reached() -> None:
    """What asks whether a package is there goes on otherwise without it, and runs none of it."""
    assert not found(change(MODULE, "lazy/__init__.py", kind="added")).unreached
    assert not found(change(MODULE, "gone/__init__.py", kind="removed")).unreached
    assert found(change(MODULE, "new/__init__.py", kind="added")).unreached


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
