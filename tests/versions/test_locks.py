"""Locks: what is read of a constraints.txt or requirements.txt, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.versions.repositories import write
from whisperbench.errors import InputError
from whisperbench.versions.locks import Lock, read_lock
from whisperbench.versions.revisions import Tree


def tree_of(folder: Path, files: Mapping[str, str]) -> Tree:
    """Write files as a revision's."""
    write(folder, files)
    return Tree(name="v1", folder=folder, commit=None, dirty=False)


def test_constraints_come_first(tmp_path: Path) -> None:
    """constraints.txt is the lock where both are there; comments and blank lines say nothing."""
    tree = tree_of(
        tmp_path,
        {
            "constraints.txt": "# made by hand\n\ntorch==2.13.0  # the tested one\nnumpy==2.4.6\n",
            "requirements.txt": "torch\n",
        },
    )
    assert read_lock(tree) == Lock(
        name="constraints.txt", constraints=("torch==2.13.0", "numpy==2.4.6")
    )


def test_what_a_lock_includes_is_part_of_it(tmp_path: Path) -> None:
    """Included files are read where they lie, once each; constraints stay constraints."""
    tree = tree_of(
        tmp_path,
        {
            "requirements.txt": "-r deep/a.txt\n-c pins.txt\n--requirement=deep/a.txt\nsoxr\n",
            "deep/a.txt": "-rb.txt\ntorch==2.13.0\n",
            "deep/b.txt": "-r a.txt\nnumpy\n",
            "pins.txt": "-r more.txt\nnumpy==2.4.6\n",
            "more.txt": "tqdm==4.0\n",
        },
    )
    lock = read_lock(tree)
    assert lock.requirements == ("numpy", "torch==2.13.0", "soxr")
    assert lock.constraints == ("tqdm==4.0", "numpy==2.4.6")


def test_hashes_are_kept(tmp_path: Path) -> None:
    """A requirement with hashes over several lines is one requirement, with all of them."""
    text = "torch==2.13 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nnumpy==2 --hash=sha256:c"
    lock = read_lock(tree_of(tmp_path, {"requirements.txt": text}))
    assert [line.split() for line in lock.requirements] == [
        ["torch==2.13", "--hash=sha256:aa", "--hash=sha256:bb"],
        ["numpy==2", "--hash=sha256:c"],
    ]
    assert lock.hashed
    assert not read_lock(tree_of(tmp_path, {"requirements.txt": "torch"})).hashed


@pytest.mark.parametrize("line", ["-e .[audio,dev]", ".[audio, dev]", "--editable=./[audio,dev]"])
def test_the_project_itself_is_not_installed(tmp_path: Path, line: str) -> None:
    """A project that names itself gives its extras: its code comes from its revision."""
    lock = read_lock(tree_of(tmp_path, {"requirements.txt": f"{line}\n-e .\ntorch\n"}))
    assert lock == Lock(name="requirements.txt", requirements=("torch",), extras=("audio", "dev"))


@pytest.mark.parametrize(
    "line",
    [
        "torch==2.13.0",
        "torch @ https://example.org/torch-2.13.0-cp311-cp311-linux_x86_64.whl",
        "https://example.org/torch-2.13.0-cp311-cp311-linux_x86_64.whl",
        "git+https://example.org/thing@0123456789012345678901234567890123456789",
        "-e git+https://example.org/thing@01234567890123456789#egg=thing",
        "bitsandbytes[benchmark]>=0.48 ; sys_platform == 'linux'",
        "--extra-index-url https://example.org/simple",
        "-i https://example.org/simple",
        "--find-links=/opt/wheels",
        "--no-binary :all:",
        "--pre",
    ],
)
def test_lines_that_are_kept(tmp_path: Path, line: str) -> None:
    """Versions, addresses and options reach the installer as they are."""
    assert read_lock(tree_of(tmp_path, {"requirements.txt": line})).requirements == (line,)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("./vendored/thing", "./vendored/thing is a file and no version"),
        ("-e libs/thing", "is a file and no version"),
        ("../thing", "is a file and no version"),
        ("/opt/thing", "is a file and no version"),
        ("thing @ file:///opt/thing.whl", "is a file and no version"),
        ("wheels/thing-1.0-py3-none-any.whl", "is a file and no version"),
        ("thing-1.0.tar.gz", "is a file and no version"),
        ("--find-links wheels", "looks for packages in a folder of the repository"),
        ("-f ./wheels", "looks for packages in a folder of the repository"),
        ("-r https://example.org/pins.txt", "includes a file of the network"),
        ("-r absent.txt", "absent.txt cannot be read: No such file or directory"),
        ("-r ../outside.txt", "lies outside of the repository"),
        ("-r latin.txt", "latin.txt is not UTF-8"),
    ],
)
def test_what_may_change_while_the_lock_does_not(tmp_path: Path, line: str, why: str) -> None:
    """What the lock's text does not pin is refused, with the file and line that names it."""
    (tmp_path / "latin.txt").write_bytes(b"\xff")
    with pytest.raises(InputError) as caught:
        read_lock(tree_of(tmp_path, {"requirements.txt": f"torch\n{line}\n"}))
    said = str(caught.value)
    assert said.startswith("v1, requirements.txt, line 2: ")
    assert why in said
    assert "\n" not in said


def test_a_link_out_of_the_repository(tmp_path: Path) -> None:
    """A link leads out of the repository as a path does."""
    (tmp_path / "secret.txt").write_text("torch\n")
    tree = tree_of(tmp_path / "inner", {"requirements.txt": "-r link.txt"})
    (tree.folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(InputError, match="lies outside of the repository"):
        read_lock(tree)


def test_no_lock(tmp_path: Path) -> None:
    """A revision without a lock is refused, with the other way to name its packages."""
    with pytest.raises(InputError, match=r"^v1: has neither .* --base-python or --head-python$"):
        read_lock(tree_of(tmp_path, {}))
