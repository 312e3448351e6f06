"""Revisions as folders: what is in them, what is left of them, and what is refused."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.versions.repositories import begin, commit, git
from whisperbench.errors import InputError
from whisperbench.versions.revisions import checked_out, state_of
from whisperbench.versions.scratch import scratch


def refusal(repository: Path, revision: str | None) -> str:
    """Return the one line with which a revision is refused; nothing is left of the attempt."""
    with pytest.raises(InputError) as caught, checked_out(repository, revision):
        pass
    said = str(caught.value)
    assert "\n" not in said
    cache = Path(os.environ["WHISPERBENCH_CACHE"])
    assert [path for path in cache.glob("scratch/*") if path.is_dir()] == []
    return said


def test_a_revision_is_a_folder_for_a_while(repository: Path) -> None:
    """A revision's files are there under its name, and gone afterwards."""
    with checked_out(repository, "main~1") as tree:
        assert (tree.folder / "ours.py").read_text() == "VALUE = 'old'\n"
        assert tree.commit == git(repository, "rev-parse", "main~1")
        assert tree.name == f"main~1 ({tree.commit[:10]})"
        assert not tree.dirty
        assert state_of(tree) == tree.commit
    assert not tree.folder.exists()
    with checked_out(repository, tree.commit) as again:
        assert again.name == tree.commit[:10]


def test_two_revisions_at_once(repository: Path) -> None:
    """A second revision takes nothing of the first one's."""
    with checked_out(repository, "main~1") as base, checked_out(repository, "main") as head:
        assert [(tree.folder / "ours.py").read_text() for tree in (base, head)] == [
            "VALUE = 'old'\n",
            "VALUE = 'new'\n",
        ]


def test_the_repository_is_only_read(repository: Path, tmp_path: Path) -> None:
    """No hook runs and no file of the repository changes, nor does what is staged."""
    ran = tmp_path / "ran"
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        hook = repository / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch '{ran}'\n")
        hook.chmod(0o755)
    (repository / "staged.py").write_text("")
    git(repository, "add", "staged.py")
    assert ran.exists()
    ran.unlink()

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}

    before = files()
    with checked_out(repository, "main~1"), checked_out(repository, None) as here:
        assert here.dirty
    assert files() == before
    assert not ran.exists()


def test_nothing_is_left_of_an_interruption(repository: Path) -> None:
    """Ctrl-C, while a revision is used, takes its files away."""
    with pytest.raises(KeyboardInterrupt), checked_out(repository, "main") as tree:
        raise KeyboardInterrupt
    assert not tree.folder.parent.exists()


def test_the_work_tree_is_taken_as_it_is(repository: Path) -> None:
    """Without a revision the work tree is meant, from any folder in it, with its changes."""
    (repository / "inner").mkdir()
    with checked_out(repository / "inner", None) as tree:
        assert tree.folder == repository
        assert (tree.name, tree.dirty, tree.remarks) == ("the work tree", False, ())
        assert tree.commit == git(repository, "rev-parse", "main")
    (repository / "new.py").write_text("")
    with checked_out(repository, None) as tree:
        assert (tree.commit, tree.dirty) == (None, True)
        assert tree.remarks == (
            "The work tree has changes that are not committed; they are measured.",
        )
    assert (repository / "new.py").exists()


def test_edits_meanwhile_are_noticed(repository: Path) -> None:
    """Edited, new and removed files change the state of the work tree; ignored ones do not."""
    (repository / ".gitignore").write_text("*.log\n")
    with checked_out(repository, None) as tree:
        states = [state_of(tree)]
        (repository / "some.log").write_text("")
        assert state_of(tree) == states[0]
        for change in (
            lambda: (repository / "ours.py").write_text("VALUE = 'edited'\n"),
            lambda: (repository / "new.py").write_text(""),
            lambda: (repository / "ours.py").unlink(),
        ):
            change()
            states.append(state_of(tree))
    assert len(set(states)) == len(states)


def test_a_repository_without_commits(tmp_path: Path) -> None:
    """The work tree of a repository that has no commit yet is of no commit."""
    with checked_out(begin(tmp_path / "empty"), None) as tree:
        assert (tree.commit, tree.dirty) == (None, True)


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("main~7", "main~7: is no revision of "),
        ("main..HEAD", "main..HEAD: is a range; name one revision a side"),
        ("main...HEAD", "is a range"),
        ("--all", "'--all': is no revision"),
        ("-x", "'-x': is no revision"),
        ("^main", "'^main': is no revision"),
        ("", "'': is no revision"),
        ("ma\nin", r"'ma\\nin': is no revision"),
        ("main:ours.py", "main:ours.py: is no revision of "),
        ("HEAD^@", "HEAD^@: is no revision of "),
        ("1" * 40, "is no revision of "),
    ],
)
def test_what_is_no_revision(repository: Path, revision: str, said: str) -> None:
    """What names no commit, or more than one, is refused in a line that names it."""
    assert said in refusal(repository, revision)


def test_a_branch_that_only_the_remote_has(repository: Path, tmp_path: Path) -> None:
    """A branch that was fetched and never checked out is named as git knows it."""
    git(repository, "branch", "feature")
    git(tmp_path, "clone", "--quiet", str(repository), "clone")
    assert refusal(tmp_path / "clone", "feature").endswith("; name origin/feature, which is there")
    with checked_out(tmp_path / "clone", "origin/feature") as tree:
        assert (tree.folder / "ours.py").exists()


def test_a_name_of_a_branch_and_a_tag(repository: Path) -> None:
    """A name that a branch and a tag have is refused; with its kind before it, it is none."""
    git(repository, "branch", "v1", "main~1")
    git(repository, "tag", "v1", "main")
    assert "v1: is ambiguous in " in refusal(repository, "v1")
    with checked_out(repository, "refs/heads/v1") as tree:
        assert "old" in (tree.folder / "ours.py").read_text()


def test_the_beginning_of_two_hashes(repository: Path) -> None:
    """Too few digits of a hash are ambiguous: git asks for four at least, and two commits agree."""
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    commits = [f"tree {tree}\nauthor a <a> {at} +0\n\n".encode() for at in range(3000)]
    whole = [b"commit %d\0%s" % (len(one), one) for one in commits]
    made = [hashlib.sha1(one, usedforsecurity=False).hexdigest() for one in whole]
    ((begun, _),) = Counter(name[:4] for name in made).most_common(1)
    for one in (one for name, one in zip(made, commits, strict=True) if name.startswith(begun)):
        (repository / "one").write_bytes(one)
        git(repository, "hash-object", "-t", "commit", "--literally", "-w", "one")
    assert f"{begun}: is ambiguous in " in refusal(repository, begun)


def test_a_shallow_clone(repository: Path, tmp_path: Path) -> None:
    """A clone that lacks the commit is told apart from a repository that never had it."""
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", "shallow")
    assert "`git fetch --unshallow` brings the rest" in refusal(tmp_path / "shallow", "HEAD~1")


def test_a_partial_clone_fetches_nothing(repository: Path, tmp_path: Path) -> None:
    """Files that git would fetch at their first use are a refusal, and are not fetched."""
    git(repository, "config", "uploadpack.allowFilter", "true")
    source = f"file://{repository}"
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--no-checkout", source, "partial")
    said = refusal(tmp_path / "partial", "HEAD")
    assert "its files cannot be written" in said
    assert git(tmp_path / "partial", "rev-list", "--objects", "--all", "--missing=print").count("?")


def test_submodules_are_left_empty_and_named(repository: Path, tmp_path: Path) -> None:
    """A revision's submodule is empty, and a remark says so; the work tree has it as it is."""
    inner = begin(tmp_path / "inner")
    commit(inner, {"inner.py": ""})
    git(repository, "submodule", "--quiet", "add", str(inner), "libs/inner")
    commit(repository)
    with checked_out(repository, "main") as tree:
        assert [*(tree.folder / "libs" / "inner").iterdir()] == []
        (remark,) = tree.remarks
        assert remark.startswith("The submodules of main (")
        assert "(libs/inner) are left empty" in remark
    with checked_out(repository, None) as tree:
        assert (tree.folder / "libs" / "inner" / "inner.py").exists()
        assert not tree.dirty


def test_a_bare_repository(repository: Path, tmp_path: Path) -> None:
    """A bare repository gives its revisions, and has no work tree to measure."""
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), "bare.git")
    with checked_out(tmp_path / "bare.git", "main~1") as tree:
        assert "old" in (tree.folder / "ours.py").read_text()
    assert "has no work tree" in refusal(tmp_path / "bare.git", None)
    assert "has no work tree" in refusal(repository / ".git", None)


def test_a_linked_worktree(repository: Path, tmp_path: Path) -> None:
    """A worktree of `git worktree` is a work tree like another."""
    git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), "main~1")
    with checked_out(tmp_path / "linked", None) as here, checked_out(here.folder, "main") as tree:
        assert here.folder == tmp_path / "linked"
        assert "new" in (tree.folder / "ours.py").read_text()


def test_what_is_no_repository(tmp_path: Path) -> None:
    """A folder without git, and none at all, are refused by name."""
    said = refusal(tmp_path, "main")
    assert said == f"{tmp_path}: is not in a git repository: name one, or run the command in one"
    assert refusal(tmp_path, None) == said
    assert "there is no such folder" in refusal(tmp_path / "absent", "main")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_another_user(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where git does not trust a repository, as in containers, the way to make it do so is told."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)
    assert refusal(repository, "main").endswith(f" --add safe.directory {repository}")


def test_git_is_not_installed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git the other way to name two sides is told."""
    monkeypatch.setenv("PATH", str(repository))
    assert refusal(repository, "main").startswith("git is not installed, or not on PATH")


def test_variables_of_a_hook(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What git sets for a hook that calls the command speaks of another repository."""
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent/index")
    with checked_out(repository, "main") as tree:
        assert (tree.folder / "ours.py").exists()


def test_the_middle_of_a_merge(repository: Path) -> None:
    """Conflicts are refused; a merge without them is measured, and a remark says so."""
    git(repository, "checkout", "--quiet", "-b", "other", "main~1")
    commit(repository, {"ours.py": "VALUE = 'other'\n"})
    git(repository, "merge", "main", check=False)
    said = refusal(repository, None)
    assert "is in the middle of a merge, and has conflicts in ours.py: resolve them" in said
    with checked_out(repository, "main"):
        pass
    (repository / "ours.py").write_text("VALUE = 'both'\n")
    git(repository, "add", "ours.py")
    with checked_out(repository, None) as tree:
        assert "The work tree is in the middle of a merge." in tree.remarks


def test_files_that_cannot_be_written(repository: Path, own_cache: Path) -> None:
    """A cache that is no folder is refused in a line that names the way out."""
    own_cache.write_text("")
    with pytest.raises(InputError, match=r"cannot be written: .*; set WHISPERBENCH_CACHE"):
        checked_out(repository, "main").__enter__()


HOLDER = """
import sys, time
from pathlib import Path
from whisperbench.versions.revisions import checked_out
with checked_out(Path(sys.argv[1]), "main") as tree:
    print(tree.folder, flush=True)
    time.sleep(60)
"""


def test_what_a_kill_left_is_cleared(repository: Path, own_cache: Path) -> None:
    """Files of a process that was killed go with the next one; those of a live one stay."""
    held = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(repository)], stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None
    with held:
        folder = Path(held.stdout.readline().strip())
        try:
            with scratch("other"):
                assert (folder / "ours.py").exists()
        finally:
            held.send_signal(signal.SIGKILL)
    assert (folder / "ours.py").exists()
    with scratch("other"):
        assert not folder.exists()
    assert {path.name for path in (own_cache / "scratch").iterdir()} == {".lock"}
