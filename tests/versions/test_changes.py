"""What differs between the code of two sides."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import venv
from pathlib import Path

import msgspec
import pytest

from whisperbench.errors import InputError
from whisperbench.judge.reach import reach
from whisperbench.measure.reach import Recording
from whisperbench.results.reach import MODULE, Entered
from whisperbench.versions import changes
from whisperbench.versions.changes import changes_of_interpreters, changes_of_trees
from whisperbench.versions.files import folder_files
from whisperbench.versions.installed import installed_in

CODE = "def used():\n    return 1\n\ndef unused():\n    return 2\n"


def write(folder: Path, **files: str) -> Path:
    """Write files; a name's double underscores are slashes, and a single one its dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def git(folder: Path, *arguments: str) -> None:
    """Run git."""
    named = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *named, "-C", str(folder), *arguments], check=True, capture_output=True)


def test_equal_trees_differ_in_nothing(tmp_path: Path) -> None:
    """An A/A comparison finds no change."""
    base = write(tmp_path / "base", pack__a_py=CODE, data_json="{}")
    head = write(tmp_path / "head", pack__a_py=CODE, data_json="{}")
    assert changes_of_trees(base, head).nothing


def test_functions_and_closed_files_are_told_apart(tmp_path: Path) -> None:
    """Of Python files the functions are found; other files differ as a whole; notes do not."""
    base = write(tmp_path / "base", a_py=CODE, data_json="{}", notes_md="a", template_py="x = 1")
    head = write(
        tmp_path / "head",
        a_py=CODE.replace("2", "3"),
        data_json="[]",
        notes_md="b",
        template_py="{{ x }} = = 1",
        constraints_txt="torch==2",
    )
    found = changes_of_trees(base, head)
    assert [(each.file, each.name, each.kind) for each in found.functions] == [
        ("a.py", "unused", "changed")
    ]
    assert found.functions[0].path == str((head / "a.py").resolve())
    assert [each.file for each in found.closed] == ["data.json", "template.py"]
    assert found.closed[0].path == str((head / "data.json").resolve())


def test_a_new_file_and_one_that_is_gone_are_named(tmp_path: Path) -> None:
    """A module that one side lacks is a change of that module, and of all in it; empty ones too."""
    base = write(tmp_path / "base", old_py="")
    head = write(tmp_path / "head", new_py=CODE)
    found = [(each.file, each.name, each.kind) for each in changes_of_trees(base, head).functions]
    assert ("old.py", MODULE, "removed") in found
    assert {name for file, name, _ in found if file == "new.py"} == {MODULE, "used", "unused"}


def test_of_a_work_tree_what_git_ignores_is_left_out(tmp_path: Path) -> None:
    """Untracked files count, ignored and deleted ones do not, and submodules are gone into."""
    tree = write(tmp_path / "tree", a_py=CODE, gone_py=CODE, ignored_py=CODE)
    (tree / ".gitignore").write_text("ignored.py\n", encoding="utf-8")
    sub = write(tmp_path / "sub", inner_py=CODE)
    for folder in (sub, tree):
        git(folder, "init", "-q")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "one")
    git(tree, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(sub), "sub")
    write(tree, fresh_py=CODE)
    (tree / "gone.py").unlink()
    assert set(folder_files(tree)) == {"a.py", "fresh.py", "sub/inner.py"}
    assert set(folder_files(tree, ("sub",))) == {"a.py", "fresh.py"}


def test_files_that_nobody_imported_are_looked_into_while_they_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a size they are counted; those that the run imported are always looked into."""
    base = write(tmp_path / "base", a_py=CODE, b_py=CODE, gone_py=CODE)
    head = write(tmp_path / "head", a_py=CODE.replace("1", "3"), b_py=CODE.replace("1", "3"))
    entered = Entered(functions={str((head / "a.py").resolve()): (MODULE,)})
    assert len(changes_of_trees(base, head, entered).functions) == 2 + 3
    monkeypatch.setattr(changes, "UNOPENED_BYTES", 10)
    found = changes_of_trees(base, head, entered)
    assert [(each.file, each.name) for each in found.functions] == [
        ("a.py", "used"),
        ("gone.py", MODULE),
    ]
    assert found.unopened == 1


@pytest.fixture
def environments(tmp_path: Path) -> list[Path]:
    """Two interpreters with a package each, in versions of its own."""
    found = []
    for number in (1, 2):
        folder = tmp_path / f"env{number}"
        venv.create(folder, with_pip=False, symlinks=True)
        site = next((folder / "lib").glob("python*/site-packages"))
        write(site, pack__a_py=CODE.replace("2", str(number)), pack__b_py=CODE)
        write(site, other__same_py=CODE)
        info = site / f"Some_Pack-{number}.0.dist-info"
        info.mkdir()
        (info / "RECORD").write_text("pack/a.py,sha256=x,40\n", encoding="utf-8")
        found.append(folder / "bin" / "python")
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="lays environments out as POSIX does")
def test_installed_packages_are_compared_by_what_they_hold(environments: list[Path]) -> None:
    """Files of two interpreters are compared, whatever RECORD says, and versions are told."""
    found = changes_of_interpreters(environments[0], environments[1])
    assert [(each.file, each.name) for each in found.functions] == [("pack/a.py", "unused")]
    assert found.versions == ("some-pack",)
    assert found.closed == ()
    assert changes_of_interpreters(environments[0], environments[0]).nothing


@pytest.mark.skipif(sys.platform == "win32", reason="lays environments out as POSIX does")
def test_a_layer_hides_what_lies_under_it(environments: list[Path], tmp_path: Path) -> None:
    """What an interpreter imports is what comes first on its path, and the rest is shared."""
    base, head = environments
    below = next((tmp_path / "env2" / "lib").glob("python*/site-packages"))
    above = next((tmp_path / "env1" / "lib").glob("python*/site-packages"))
    (above / "shared.pth").write_text(
        f"import site; site.addsitedir({str(below)!r})\n", encoding="utf-8"
    )
    (above / "pack" / "__init__.py").touch()
    (above / "pack" / "b.py").unlink()
    write(below, extra__c_py=CODE)
    files = installed_in(base).files
    assert files["pack/a.py"] == str(above / "pack" / "a.py")
    assert files["extra/c.py"] == str(below / "extra" / "c.py")
    assert installed_in(base).versions == {"some-pack": "1.0"}
    named = {each.file for each in changes_of_interpreters(base, head).functions}
    assert named == {"pack/__init__.py", "pack/a.py", "pack/b.py"}


@pytest.mark.skipif(sys.platform == "win32", reason="lays environments out as POSIX does")
def test_packages_under_development_are_compared_where_they_lie(
    environments: list[Path], tmp_path: Path
) -> None:
    """An editable package is looked for in its folder."""
    for number in (1, 2):
        folder = write(tmp_path / f"dev{number}", mine__a_py=CODE.replace("1", str(number)))
        site = next((tmp_path / f"env{number}" / "lib").glob("python*/site-packages"))
        info = site / "mine-1.0.dist-info"
        info.mkdir()
        (info / "direct_url.json").write_text(
            f'{{"url": "file://{folder}", "dir_info": {{"editable": true}}}}', encoding="utf-8"
        )
        (site / "mine.pth").write_text(f"{folder}\n", encoding="utf-8")
    found = changes_of_interpreters(environments[0], environments[1])
    assert ("mine/a.py", "used") in {(each.file, each.name) for each in found.functions}
    assert found.closed == ()


def test_an_interpreter_that_does_not_run_is_refused(tmp_path: Path) -> None:
    """It is one line, that names it."""
    with pytest.raises(InputError, match="cannot be started"):
        installed_in(tmp_path / "python")
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    with pytest.raises(InputError, match=r"did not tell what it imports from: no"):
        installed_in(broken)


MODULE_CODE = """LIMIT = 1

class Layer:
    scale = 2

    def forward(self, x):
        return [self.scale * each for each in x]

    def backward(self, x):
        return x

def helper(x=1):
    return x
"""

EDITS = (
    ("LIMIT = 1", "LIMIT = 2", True),
    ("scale = 2", "scale = 3", True),
    ("* each", "* each + 0", True),
    ("        return x\n", "        return x * 1\n", False),
    ("x=1", "x=2", True),
    ("    return x\n", "    return abs(x)\n", False),
    ("    def backward(self, x):\n        return x\n", "", True),
)


@pytest.mark.parametrize(("old", "new", "reached"), EDITS)
def test_a_change_is_reached_where_a_run_may_notice_it(
    tmp_path: Path, old: str, new: str, reached: bool
) -> None:
    """Bodies and definitions that an import runs are reached, and of functions those called."""
    assert old in MODULE_CODE
    cut = MODULE_CODE.rpartition(old)
    base = write(tmp_path / "base", a_py=MODULE_CODE)
    head = write(tmp_path / "head", a_py=cut[0] + new + cut[2])
    spec = importlib.util.spec_from_file_location("a", head / "a.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    recording = Recording()
    spec.loader.exec_module(module)
    module.Layer().forward([1])
    # Threads that other tests have left in this process might have run anything.
    entered = msgspec.structs.replace(recording.stop(), unseen=())
    found = reach(changes_of_trees(base, head, entered), entered)
    assert found.changed == 1
    assert found.unreached is not reached
