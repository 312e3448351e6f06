"""Which Python functions a process enters."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure import reach
from whisperbench.measure.reach import Recording, read_entered
from whisperbench.results.reach import MODULE, Entered, merged

HERE = os.path.realpath(__file__)


class Ordered:
    """Is compared by C code."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __lt__(self, other: Ordered) -> bool:
        """Compare."""
        return self.value < other.value


def counting(function: Callable[[], int]) -> Callable[[], int]:
    """Wrap a function."""

    @functools.wraps(function)
    def inner() -> int:
        return function() + 1

    return inner


@counting
def wrapped() -> int:
    """Return one."""
    return 1


def generated() -> Iterator[int]:
    """Yield one."""
    yield 1


def lazy() -> Callable[[], int]:
    """Return a function that somebody else calls."""
    return lambda: sum(each for each in (1, 2))


def never() -> None:
    """Is not called."""


def entered_by(act: Callable[[], object]) -> set[str]:
    """Return the names in this file that an action enters."""
    recording = Recording()
    try:
        act()
    finally:
        entered = recording.stop()
    assert not entered.unseen
    return set(entered.functions.get(HERE, ()))


def test_functions_that_run_are_taken_down() -> None:
    """A call, a decorator's inner function, and a method that C code calls are entered."""
    assert "wrapped" in entered_by(wrapped)
    assert "counting.<locals>.inner" in entered_by(wrapped)
    assert "Ordered.__lt__" in entered_by(lambda: sorted([Ordered(2), Ordered(1)]))
    assert "never" not in entered_by(wrapped)


def test_a_generator_is_entered_when_it_begins() -> None:
    """Making one runs none of it; its first item does."""
    assert "generated" in entered_by(lambda: next(generated()))


def test_a_lambda_is_what_it_stands_in() -> None:
    """What runs of a lambda or of a comprehension in it belongs to the function around it."""
    function = lazy()
    assert "lazy" in entered_by(function)


def test_other_threads_count() -> None:
    """What a thread runs that was started meanwhile is entered."""

    def act() -> None:
        thread = threading.Thread(target=wrapped)
        thread.start()
        thread.join()

    assert "wrapped" in entered_by(act)


def test_importing_runs_bodies(tmp_path: Path) -> None:
    """The bodies of a module and of its classes are entered, and functions that these call."""
    file = tmp_path / "imported.py"
    file.write_text(
        "def early():\n    return 1\nclass Made:\n    size = early()\n    def later(self): ...\n",
        encoding="utf-8",
    )
    spec = importlib.util.spec_from_file_location("imported", file)
    assert spec is not None
    assert spec.loader is not None
    recording = Recording()
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    entered = recording.stop()
    assert set(entered.functions[os.path.realpath(file)]) == {MODULE, "Made", "early"}


def test_pytest_benchmark_does_not_switch_it_off() -> None:
    """It takes tracing away while it measures; what runs there is entered all the same."""

    def act() -> None:
        tracer = sys.gettrace()  # as its PauseInstrumentation does
        sys.settrace(None)
        wrapped()
        sys.settrace(tracer)

    assert "wrapped" in entered_by(act)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="sys.monitoring has a place for each tool")
def test_another_tracer_is_told_of() -> None:
    """Where a debugger takes tracing over, calls may have gone unseen."""
    recording = Recording()
    sys.settrace(lambda *_: None)
    try:
        entered = recording.stop()
    finally:
        sys.settrace(None)
    assert "a debugger or coverage has taken sys.settrace" in entered.unseen


def test_versions_and_modules_that_are_asked_for_are_taken_down() -> None:
    """Who asks for a version, or whether a package is there, may go on otherwise for it."""
    recording = Recording()
    importlib.metadata.version("msgspec")
    importlib.util.find_spec("nothing_of_that_name")
    entered = recording.stop()
    assert {"msgspec", "nothing_of_that_name"} <= set(entered.asked)


def recorded(act: Callable[[], object]) -> Entered:
    """Return all that an action does."""
    recording = Recording()
    try:
        act()
    finally:
        entered = recording.stop()
    return entered


def test_files_that_are_opened_or_looked_for_are_taken_down(tmp_path: Path) -> None:
    """Whether they are there or not; Python's own are not, for their functions are."""
    link = tmp_path / "link.json"
    there, missing, sought = (tmp_path / name for name in ("there", "missing", "sought"))
    there.touch()
    link.symlink_to(there)
    (tmp_path / "code.py").touch()

    def act() -> None:
        link.read_text(encoding="utf-8")
        with contextlib.suppress(OSError):
            missing.open(encoding="utf-8")
        assert not os.path.exists(sought)  # noqa: PTH110 - as others ask
        assert not (tmp_path / "stat").exists()
        (tmp_path / "code.py").read_bytes()

    here = {each for each in recorded(act).opened if each.startswith(os.path.realpath(tmp_path))}
    names = ("there", "missing", "sought", "stat")
    assert here - {os.path.realpath(tmp_path / "code.py")} == {
        os.path.realpath(tmp_path / name) for name in names
    }


def test_folders_that_are_listed_are_taken_down(tmp_path: Path) -> None:
    """Who lists a folder may go on otherwise for a file more. The lists of imports do not count."""
    for name in ("listed", "scanned", "imported"):
        (tmp_path / name).mkdir()

    def act() -> None:
        os.listdir(tmp_path / "listed")  # noqa: PTH208 - as others list
        list(os.scandir(tmp_path / "scanned"))
        importlib.machinery.FileFinder(
            str(tmp_path / "imported"), (importlib.machinery.SourceFileLoader, [".py"])
        ).find_spec("nothing")

    listed = set(recorded(act).listed)
    assert {os.path.realpath(tmp_path / name) for name in ("listed", "scanned")} <= listed
    assert os.path.realpath(tmp_path / "imported") not in listed


def test_imports_that_fail_are_taken_down() -> None:
    """Who tries to import a module may go on otherwise without it."""

    def act() -> None:
        for name in ("no_such_module", "importlib.no_such_part"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)

    assert {"no_such_module", "importlib.no_such_part"} <= set(recorded(act).tried)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells what is loaded")
def test_libraries_that_are_loaded_are_taken_down() -> None:
    """The system tells them, however they were loaded."""
    library = sys.modules["msgspec._core"].__file__
    assert library is not None
    entered = recorded(lambda: None)
    assert entered.libraries
    assert os.path.realpath(library) in entered.opened


def test_what_was_imported_before_is_named() -> None:
    """Modules that are there already are told, for their functions may have run."""
    entered = Recording().stop()
    assert HERE in entered.before
    assert entered.runs(HERE, "never")


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_functions_that_torch_compiles_count_as_entered() -> None:
    """torch reads their source, and never enters them. scripts/check_reach.py has torch.compile."""
    import torch

    from tests.measure import compiled

    recording = Recording()
    torch.jit.script(compiled.scripted)
    entered = recording.stop()
    assert {"scripted", "helper"} <= set(entered.functions[os.path.realpath(compiled.__file__)])


@pytest.mark.parametrize(("file", "name"), reach.HANDED_OVER)
def test_compilers_take_what_they_compile_by_the_name_that_we_know(file: str, name: str) -> None:
    """The installed torch has each function at which compiled ones are taken down, or no such file.

    Another release may rename it, and then what it compiles would be called unreached.
    """
    torch_folder = Path(importlib.util.find_spec("torch").origin).parent  # type: ignore[union-attr,arg-type]
    path = torch_folder.parent / file
    if not path.exists():
        pytest.skip(f"{file} is not installed")
    nodes = [node for each in names_in(path.read_bytes(), name) for node in each]
    assert reach.HANDED_OVER[file, name] in nodes


def names_in(source: bytes, name: str) -> Iterator[list[str]]:
    """Yield the arguments of the functions of a name."""
    *outer, own = name.split(".")
    for node in ast.walk(ast.parse(source)):
        inside = node.body if outer and isinstance(node, ast.ClassDef) else [node]
        if outer and not (isinstance(node, ast.ClassDef) and node.name == outer[0]):
            continue
        for each in inside:
            if isinstance(each, ast.FunctionDef) and each.name == own:
                args = each.args
                yield [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]


def test_processes_add_up() -> None:
    """What either of two processes entered was entered, and what either did not see is unseen."""
    one = Entered(functions={"a": ("f",)}, unseen=("one",), tried=("m",), libraries=True)
    two = Entered(functions={"a": ("g",), "b": ("h",)}, asked=("torch",), opened=("o",))
    both = merged(one, two)
    assert both.functions == {"a": ("f", "g"), "b": ("h",)}
    assert both.unseen == ("one",)
    assert (both.asked, both.tried, both.opened) == (("torch",), ("m",), ("o",))
    assert not both.libraries


CHILD = """
import os, sys
from whisperbench.measure import reach
with reach.recorded_child():
    def played():
        pass
    if sys.argv[1:] == ["die"]:
        os._exit(9)
"""


@pytest.mark.parametrize("ending", ["live", "die"])
def test_fresh_processes_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """What a child entered is added; of one that was killed it is said that it was not told."""
    path = tmp_path / "reach.json"
    monkeypatch.setenv(reach.VARIABLE, str(path))
    assert reach.record_from_here()
    try:
        script = tmp_path / "child.py"
        script.write_text(CHILD, encoding="utf-8")
        subprocess.run([sys.executable, str(script), ending], check=False)
    finally:
        entered = reach.write_entered()
    assert entered is not None
    assert bool(entered.unseen) == (ending == "die")
    assert read_entered(path) == entered
    assert [each.name for each in tmp_path.glob("reach.json*")] == ["reach.json"]


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """A run that was killed has told nothing; a file of another version is not read."""
    path = tmp_path / "reach.json"
    with pytest.raises(InvalidMeasurementError, match="ended without telling"):
        read_entered(path)
    path.write_text('{"functions": {}, "schema": 99}', encoding="utf-8")
    with pytest.raises(InvalidMeasurementError, match="another whisperbench"):
        read_entered(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InvalidMeasurementError, match="cannot be read"):
        read_entered(path)
