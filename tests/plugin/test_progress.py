"""How far a run is, and how long it may still take."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import QUICK, Shared
from whisperbench.plugin.progress import Course, read_times

NAMES = [f"benchmarks/test_{name}.py::test_{name}[int8]" for name in ("memory", "cost", "token")]


def test_it_says_which_of_how_many() -> None:
    """Without times of another run nothing is foretold."""
    course = Course(names=NAMES, known_s={}, started_s=100.0)
    assert course.line(NAMES[0], 100.0) == "benchmark 1 of 3: test_memory[int8]"
    assert course.line(NAMES[2], 183.0) == "benchmark 3 of 3, after 1 min 23 s: test_token[int8]"


def test_it_foretells_the_rest_by_another_run() -> None:
    """What the others took is what is left, at the pace that this run has kept so far."""
    course = Course(names=NAMES, known_s=dict(zip(NAMES, (10.0, 20.0, 30.0), strict=True)))
    course.started_s = 0.0
    assert course.line(NAMES[0], 0.0).endswith("1 of 3, about 1 min 0 s left: test_memory[int8]")
    assert "after 20 s, about 1 min 40 s left" in course.line(NAMES[1], 20.0)


def test_a_cell_that_is_new_counts_as_its_like() -> None:
    """Of a new precision the others of its function are taken; of a new function nothing."""
    other = NAMES[2].replace("int8", "nf4")
    known_s = {NAMES[0]: 10.0, NAMES[1]: 20.0, other: 4.0}
    course = Course(names=NAMES, known_s=known_s, started_s=0.0)
    assert "about 34 s left" in course.line(NAMES[0], 0.0)
    del known_s[other]
    assert "left" not in course.line(NAMES[0], 0.0)


def test_times_that_cannot_be_read_foretell_nothing(tmp_path: Path) -> None:
    """A file that is missing, torn or of something else is no error: it only says nothing."""
    path = tmp_path / "times.json"
    assert read_times(path) == {}
    for content in ('{"a": ', '{"a": "b"}', "[]"):
        path.write_text(content, encoding="utf-8")
        assert read_times(path) == {}


def test_a_run_tells_its_course_and_keeps_its_times(whole_run: Shared) -> None:
    """Each benchmark begins with its line, whatever pytest captures, and none is lost."""
    out = whole_run.done.stdout
    assert f"{QUICK[1]}-int8" in out
    total = out.count("\nbenchmark ")
    assert total
    assert f"benchmark {total} of {total}, after " in out
