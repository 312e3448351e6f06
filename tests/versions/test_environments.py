"""Environments made of locks: by the real pip, from small wheels."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from tests.versions.repositories import write
from tests.versions.wheels import make_wheel
from whisperbench.errors import InputError
from whisperbench.versions.environments import Environment, environment_of
from whisperbench.versions.revisions import Tree

SUITE = '[project]\nname = "whisperbench"\ndependencies = ["small>=1", "whisperbench"]\n'

MAKER = """
import sys
from pathlib import Path
from whisperbench.versions.environments import environment_of
from whisperbench.versions.revisions import Tree
tree = Tree(name="v1", folder=Path(sys.argv[1]), commit=None, dirty=False)
say = lambda text: print(text, flush=True)
print(environment_of(tree, Path(sys.argv[2]), say).python, flush=True)
"""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all the packages that there are."""
    folder = tmp_path / "wheels"
    for version in ("1.0", "2.0", "3.0"):
        make_wheel(folder, "small", version)
    make_wheel(folder, "other", "1.0", needs=["small<3"])
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    write(tmp_path, {"uv.toml": f'no-index = true\nfind-links = ["{folder}"]\n'})
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return folder


@pytest.fixture
def suite(tmp_path: Path, index: Path) -> Path:
    """A suite that needs the package small."""
    assert index.is_dir()
    write(tmp_path / "suite", {"pyproject.toml": SUITE})
    return tmp_path / "suite"


@pytest.fixture
def pip_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH on which no uv is."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def tree_of(folder: Path, files: Mapping[str, str], name: str = "v1") -> Tree:
    """Write files as a revision's."""
    write(folder, files)
    return Tree(name=name, folder=folder, commit=None, dirty=False)


def installed(environment: Environment) -> dict[str, str]:
    """Return what an environment's own interpreter finds, but for installers."""
    listed = (
        "import importlib.metadata as m\n"
        "for d in m.distributions(): print(d.metadata['Name'], d.version)"
    )
    done = subprocess.run(
        [environment.python, "-I", "-c", listed], capture_output=True, text=True, check=True
    )
    found = dict(line.split() for line in done.stdout.splitlines())
    return {name: found[name] for name in found if name not in ("pip", "setuptools")}


def folders(cache: Path) -> list[Path]:
    """Return the folders of environments, whole or not."""
    return [path for path in (cache / "environments").glob("*") if path.is_dir()]


@pytest.mark.usefixtures("pip_alone")
def test_an_environment_is_made_once(tmp_path: Path, suite: Path, own_cache: Path) -> None:
    """The lock's versions of what the suite and the project need; the same lock finds it again.

    One that was not finished, or whose interpreter is gone, is made anew.
    """
    said: list[str] = []
    files = {
        "constraints.txt": "small==1.0  # the tested one\nunused==7\n",
        "pyproject.toml": '[project]\nname = "mine"\ndependencies = ["other", "mine[x]"]\n',
    }
    made = environment_of(tree_of(tmp_path / "v1", files), suite, said.append)
    assert installed(made) == {"small": "1.0", "other": "1.0"}
    assert made.name == "v1"
    assert said[0] == (
        "making the environment of v1 from its constraints.txt with pip; it is kept in "
        f"{own_cache / 'environments'}"
    )
    assert re.fullmatch(r"the environment of v1 took \d+ s and \d+ MiB", said[1])
    files["constraints.txt"] = "small==1.0\nunused==7"
    again = environment_of(tree_of(tmp_path / "v2", files, "v2"), suite, said.append)
    assert again == Environment(python=made.python, name="v2")
    assert len(said) == 2
    made.python.unlink()
    made.python.symlink_to("/nonexistent/python")
    assert environment_of(tree_of(tmp_path / "v1", files), suite, said.append).python.exists()
    assert len(said) == 4
    assert len(folders(own_cache)) == 1


def test_what_nobody_asks_for_is_removed(tmp_path: Path, suite: Path, own_cache: Path) -> None:
    """An environment that was not asked for in a month goes, and its time begins with each use."""
    place = own_cache / "environments"
    digests = ["0" * 20, "1" * 20]
    for days, digest in zip((29, 31), digests, strict=True):
        write(place / f"{digest}-abcdefgh", {"bin/python": "", "lib/small.py": ""})
        write(place, {f"{digest}.whole": f"{digest}-abcdefgh"})
        then_s = time.time() - days * 86400
        os.utime(place / f"{digest}.whole", (then_s, then_s))
    with pytest.raises(InputError, match="cannot be installed"):
        environment_of(tree_of(tmp_path / "v1", {"constraints.txt": "small==9"}), suite, print)
    assert folders(own_cache) == [place / f"{digests[0]}-abcdefgh"]


@pytest.mark.usefixtures("pip_alone")
def test_a_build_that_was_killed(tmp_path: Path, suite: Path, own_cache: Path) -> None:
    """What a kill left is never taken for an environment; who waited for it makes it whole."""
    tree = tree_of(tmp_path / "v1", {"constraints.txt": "small==2.0"})
    command = [sys.executable, "-c", MAKER, str(tree.folder), str(suite)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline().startswith("making the environment of v1")
    second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert second.stdout is not None
    with first, second:
        assert second.stdout.readline() == (
            "another process is making the environment of v1: waiting for it\n"
        )
        (begun,) = folders(own_cache)
        first.send_signal(signal.SIGKILL)
        assert second.stdout.readline().startswith("making the environment of v1")
        output, _ = second.communicate()
    assert second.returncode == 0
    made = Environment(python=Path(output.splitlines()[-1]), name="v1")
    assert installed(made) == {"small": "2.0"}
    assert begun not in made.python.parents
    # What the installer of the killed one has still written goes when the next one looks.
    assert environment_of(tree, suite, print) == made
    assert folders(own_cache) == [made.python.parents[1]]


@pytest.mark.usefixtures("pip_alone")
def test_an_interrupted_build_leaves_nothing(tmp_path: Path, suite: Path, own_cache: Path) -> None:
    """Ctrl-C ends the installer as well, and takes away what it has made."""
    tree = tree_of(tmp_path / "v1", {"constraints.txt": "small==2.0"})
    with subprocess.Popen(
        [sys.executable, "-c", MAKER, str(tree.folder), str(suite)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as maker:
        installers: list[psutil.Process] = []
        while not any("pip" in child.cmdline() for child in installers):
            assert maker.poll() is None
            time.sleep(0.02)
            installers = psutil.Process(maker.pid).children(recursive=True)
        maker.send_signal(signal.SIGINT)
        _, errors = maker.communicate()
    assert not any(child.is_running() for child in installers)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert folders(own_cache) == []
    assert [*own_cache.glob("environments/*.whole")] == []


@pytest.mark.usefixtures("pip_alone")
@pytest.mark.parametrize(
    ("file", "lock", "why"),
    [
        ("constraints.txt", "small==9", "The user requested (constraint) small==9"),
        ("requirements.txt", "other\nsmall==3.0", "other 1.0 depends on small<3"),
        ("requirements.txt", f"small==1.0 --hash=sha256:{'0' * 64}", "DO NOT MATCH THE HASHES"),
    ],
)
def test_an_installation_that_fails(
    tmp_path: Path, suite: Path, own_cache: Path, file: str, lock: str, why: str
) -> None:
    """One line says whose lock it was, and what the installer says; nothing is left."""
    with pytest.raises(InputError) as caught:
        environment_of(tree_of(tmp_path / "v1", {file: lock}), suite, print)
    said = str(caught.value)
    assert said.startswith(
        f"v1: its {file} cannot be installed with what the suite needs: pip says: "
    )
    assert why in said
    assert "\n" not in said
    assert str(tmp_path) not in said
    assert folders(own_cache) == []


@pytest.mark.usefixtures("pip_alone")
def test_a_lock_with_hashes(tmp_path: Path, suite: Path, index: Path) -> None:
    """What the suite needs besides a lock with hashes is installed at the lock's versions."""
    wheel = (index / "small-2.0-py3-none-any.whl").read_bytes()
    digest = hashlib.sha256(wheel).hexdigest()
    write(suite, {"pyproject.toml": SUITE.replace('"small>=1"', '"small>=1", "other"')})
    files = {"requirements.txt": f"small==2.0 \\\n  --hash=sha256:{digest}\n"}
    made = environment_of(tree_of(tmp_path / "v1", files), suite, print)
    assert installed(made) == {"small": "2.0", "other": "1.0"}


@pytest.mark.skipif(shutil.which("uv") is None, reason="no uv on PATH")
def test_uv_makes_the_same(tmp_path: Path, suite: Path) -> None:
    """Where uv is on PATH it installs, the same packages, and its refusals are one line too."""
    said: list[str] = []
    tree = tree_of(tmp_path / "v1", {"requirements.txt": "other\nsmall>1.5"})
    made = environment_of(tree, suite, said.append)
    assert installed(made) == {"small": "2.0", "other": "1.0"}
    assert "with uv" in said[0]
    tree = tree_of(tmp_path / "v2", {"requirements.txt": "other\nsmall==3.0"})
    with pytest.raises(InputError, match=r"uv says: No solution found .* small<3") as caught:
        environment_of(tree, suite, print)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read(tmp_path: Path, suite: Path, own_cache: Path) -> None:
    """A pyproject.toml that is none, an unknown extra and a suite without needs: a line each."""
    files = {"requirements.txt": "-e .[gpu]", "pyproject.toml": "[project]\nname='mine'\n"}
    tree = tree_of(tmp_path / "v1", files)
    with pytest.raises(InputError, match=r"^v1: its lock asks for the extra gpu, which"):
        environment_of(tree, suite, print)
    write(tree.folder, {"pyproject.toml": "[project"})
    with pytest.raises(InputError, match=r"^v1: pyproject\.toml cannot be read: "):
        environment_of(tree, suite, print)
    write(tree.folder, {"requirements.txt": "small", "pyproject.toml": ""})
    write(suite, {"pyproject.toml": "[tool.pytest.ini_options]\n"})
    with pytest.raises(InputError, match="names no dependencies"):
        environment_of(tree, suite, print)
    write(suite, {"pyproject.toml": SUITE})
    own_cache.write_text("")
    with pytest.raises(InputError, match=r"cannot be written: .*; set WHISPERBENCH_CACHE"):
        environment_of(tree, suite, print)
