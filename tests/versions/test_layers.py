"""Environments that share an interpreter's packages, with a difference over them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.versions.wheels import make_wheel
from whisperbench.errors import InputError, NotInstallableError
from whisperbench.versions import layers
from whisperbench.versions.layers import layered, versions_in
from whisperbench.versions.pip import Pip, pip_for

PYTHON = Path(sys.executable)


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep layers in a folder of the test's, and packages from wheels of the test's alone."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    return tmp_path / "wheels"


def ask(python: Path, program: str) -> Any:
    """Run a program that prints JSON."""
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def unpack(_: Pip, python: Path, arguments: list[str], name: str) -> None:  # noqa: ARG001
    """Install wheels without pip, which takes seconds for each."""
    (folder,) = python.parents[1].glob("lib/python*/site-packages")
    for wheel in (each for each in arguments if each.endswith(".whl")):
        zipfile.ZipFile(wheel).extractall(folder)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpack wheels where pip would install."""
    monkeypatch.setattr(Pip, "install", unpack)


SEEN = """
import importlib.metadata, json, iniconfig, msgspec
print(json.dumps([importlib.metadata.version("iniconfig"), iniconfig.__file__, msgspec.__file__]))
"""


def test_the_difference_lies_over_what_is_shared(own: Path) -> None:
    """A layer finds what was installed into it, and all else where its parent does."""
    wheel = make_wheel(own, "iniconfig", "99.0")
    said: list[str] = []
    found = layered(PYTHON, [str(wheel)], said.append)
    version, planted, shared = ask(found.python, SEEN)
    assert version == "99.0"
    assert Path(planted).is_relative_to(found.python.parents[1])
    assert shared == ask(PYTHON, "import json, msgspec; print(json.dumps(msgspec.__file__))")
    assert ask(PYTHON, SEEN)[0] != "99.0"
    assert found.name == wheel.name
    (line,) = said
    assert line.startswith(f"installed {wheel.name}: ")
    assert layered(PYTHON, [str(wheel)], said.append) == found
    assert len(said) == 1, "what is there is built once"


def test_what_it_needs_is_installed_where_the_parent_lacks_it(own: Path) -> None:
    """A requirement that the parent does not meet comes into the layer, one that it meets not."""
    make_wheel(own, "iniconfig", "98.0")
    make_wheel(own, "msgspec", "97.0")
    make_wheel(own, "planted", "1.0", needs=["iniconfig>=98", "msgspec"])
    found = layered(PYTHON, ["planted==1.0"], print)
    program = "import importlib.metadata as m, json; print(json.dumps([m.version(each) for each in "
    names = '("planted", "iniconfig", "msgspec")]))'
    planted, newer, shared = ask(found.python, program + names)
    assert (planted, newer) == ("1.0", "98.0")
    assert shared != "97.0"


def test_wheels_of_one_version_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edited wheel of the version that is installed is another layer, and is what runs."""
    first = make_wheel(tmp_path / "plain", "planted", "1.0", "what = 1")
    second = make_wheel(tmp_path / "edited", "planted", "1.0", "what = 2")
    with monkeypatch.context() as patch:
        patch.setattr(Pip, "install", unpack)
        lower = layered(PYTHON, [str(first)], print).python
    # A layer over a layer: what is named is installed, whatever the parent has of that version.
    upper = layered(lower, [str(second)], print).python
    program = "import json, planted; print(json.dumps(planted.what))"
    assert [ask(python, program) for python in (lower, upper)] == [1, 2]
    assert versions_in(upper)["planted"] == "1.0"


@pytest.mark.usefixtures("quick")
def test_a_wheel_that_was_built_again(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of wheels that changed, or other settings of pip, make another layer."""
    pip = pip_for(PYTHON)
    make_wheel(own, "planted", "1.0", "what = 1")
    before = [*pip.sources(PYTHON)]
    assert any("planted-1.0-py3-none-any.whl" in each for each in before)
    make_wheel(own, "planted", "1.0", "what = 'another'")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://somebody:secret@example.org/simple")
    after = [*pip.sources(PYTHON)]
    added = set(after) - set(before)
    assert len(added) == 2, added
    assert "secret" not in "".join(after)
    found = []
    for sources in (before, after, before):
        monkeypatch.setattr(Pip, "sources", lambda *_, known=sources: iter(known))
        found.append(layered(PYTHON, ["planted==1.0"], print))
    assert found[0] == found[2] != found[1]


@pytest.mark.usefixtures("quick")
def test_nobody_asked_for_it(own: Path, tmp_path: Path) -> None:
    """A layer is removed that was not asked for in a month, and one that was is kept."""
    wheel = make_wheel(tmp_path / "apart", "planted", "1.0")
    found = layered(PYTHON, [str(wheel)], print)
    mark = found.python.parents[1] / layers.COMPLETE
    for days, kept in ((29, True), (31, False)):
        os.utime(mark, times=(time.time() - days * 86400,) * 2)
        with pytest.raises(InputError):
            layered(PYTHON, [str(own / "absent.whl")], print)
        assert mark.exists() == kept
        if kept:
            layered(PYTHON, [str(wheel)], print)
            assert time.time() - mark.stat().st_mtime < 3600, "it was asked for now"


def test_what_cannot_be_installed_leaves_nothing(tmp_path: Path) -> None:
    """A release that is not there is one line with pip's own words, and no environment is left."""
    with pytest.raises(NotInstallableError) as raised:
        layered(PYTHON, ["planted==3.0"], print)
    line = "planted==3.0: pip cannot install it: No matching distribution found for planted==3.0"
    assert str(raised.value) == line
    assert [path.suffix for path in (tmp_path / "cache" / "layers").iterdir()] in ([], [".lock"])


def test_torch_stays_what_it_is(own: Path) -> None:
    """A package that needs another torch is refused: the big libraries are the parent's."""
    make_wheel(own, "torch", "999.0")
    make_wheel(own, "planted", "1.0", needs=["torch>=999"])
    with pytest.raises(NotInstallableError, match=r"planted 1: pip cannot install it: .*conflict"):
        layered(PYTHON, ["planted==1.0"], print, name="planted 1")


@pytest.mark.usefixtures("quick")
def test_torch_is_another_for_who_asks() -> None:
    """Who names torch gets that one: nothing holds it at the parent's version."""
    found = layered(PYTHON, ["torch==999.0"], print)
    assert (found.python.parents[1] / "shared.txt").read_text() == ""


@pytest.mark.usefixtures("quick")
def test_an_interrupted_one_is_never_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither Ctrl-C nor a kill between two installations leaves what a later one would use."""
    wheel = make_wheel(tmp_path / "apart", "planted", "1.0", "what = 1")
    plain, calls = Pip.install, []

    def interrupted(pip: Pip, *given: object) -> None:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        plain(pip, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Pip, "install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            layered(PYTHON, [str(wheel)], print)
    root = tmp_path / "cache" / "layers"
    assert not [path for path in root.iterdir() if path.is_dir()]
    found = layered(PYTHON, [str(wheel)], print)
    # As a kill leaves it: without its mark, and with half of its files.
    (found.python.parents[1] / layers.COMPLETE).unlink()
    (planted,) = found.python.parents[1].rglob("planted.py")
    planted.unlink()
    other = make_wheel(tmp_path / "apart", "other", "1.0")
    layered(PYTHON, [str(other)], print)
    assert not found.python.parents[1].exists(), "the next start clears it away"
    said: list[str] = []
    assert layered(PYTHON, [str(wheel)], said.append) == found
    assert said
    assert planted.exists()


def test_a_folder_of_source_is_built(own: Path, tmp_path: Path) -> None:
    """A folder without what makes it a package is one line, and no folder at all another."""
    (tmp_path / "nothing").mkdir()
    with pytest.raises(NotInstallableError, match="nothing: pip cannot install it: "):
        layered(PYTHON, [str(tmp_path / "nothing")], print)
    with pytest.raises(InputError, match=r"\./absent: there is no such wheel or folder"):
        layered(PYTHON, ["./absent"], print)
    (own / "broken.whl").write_text("nothing")
    with pytest.raises(InputError, match=r"broken\.whl: is no wheel: "):
        layered(PYTHON, [str(own / "broken.whl")], print)


@pytest.mark.parametrize("requirement", ["--index-url=http://x", "-r x.txt", "", "a\nb"])
def test_no_option_of_pips(requirement: str) -> None:
    """What pip would read as an option or as two lines is refused before pip sees it."""
    with pytest.raises(InputError, match="no requirement"):
        layered(PYTHON, [requirement], print)


def test_no_python(tmp_path: Path) -> None:
    """An interpreter that is not there, and one that is none, are one line."""
    with pytest.raises(InputError, match="absent: is no Python: No such file"):
        layered(tmp_path / "absent", ["planted"], print)
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho oh no >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(InputError, match="python: does not run -c: oh no"):
        layered(program, ["planted"], print)


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder that is a file is one line that says what to set."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"layers: cannot be written: .*set WHISPERBENCH_CACHE"):
        layered(PYTHON, ["planted"], print)
