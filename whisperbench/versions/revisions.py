"""Git revisions as folders: the work tree as it is, or a revision's files in the cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from whisperbench.errors import InputError, printable
from whisperbench.versions.git import asked, complaint, git
from whisperbench.versions.scratch import if_full, scratch

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_UNDER_WAY = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}
"""Files of a git folder that say what has begun and not ended."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The files of a revision, or those of the work tree."""

    name: str
    """What sentences call it: "main (1a2b3c4d5e)", or "the work tree"."""
    folder: Path
    """Where the files lie: the top of the repository."""
    commit: str | None
    """In full; None where the files are those of no commit."""
    dirty: bool
    """Whether there are changes that no commit has."""
    remarks: tuple[str, ...] = ()
    """Whole sentences that who compares this tree should read, each about its name's tree."""


@contextmanager
def checked_out(repository: Path, revision: str | None) -> Iterator[Tree]:
    """Give a revision's files, for as long as they are needed.

    A revision's files are written into a folder of the cache by git itself, with an index of their
    own, and removed at the end. The repository is read and not written: it may be of another user,
    it need not be left in order after a kill, and no hook runs. It is not a worktree of
    `git worktree`, which registers itself in the repository, and whose `prune` would also drop
    those of the user that lie on a disk that is not there at the moment.

    Args:
        repository: a folder in a git repository, or a repository that has no work tree.
        revision: what names one commit. None for the work tree as it is, in its own place.

    Raises:
        InputError: git or the repository is not there, or the revision cannot be had from it
            without fetching; or the work tree has conflicts. Nothing is left of it then.
    """
    if revision is None:
        yield _work_tree(repository)
        return
    commit = _commit_of(repository, revision)
    short = commit[:10]
    name = short if commit.startswith(revision) else f"{revision} ({short})"
    with scratch("revision") as own:
        folder = own / short
        folder.mkdir()
        _write_files(repository, commit, folder, own / "index", name)
        yield Tree(
            name=name,
            folder=folder,
            commit=commit,
            dirty=False,
            remarks=_empty_submodules(repository, commit, name),
        )


def state_of(tree: Tree) -> str:
    """Digest what the files of a tree are, by their sizes and times of change.

    A work tree lies where its owner works. Two states that differ say that somebody edited, added
    or removed a file that git does not ignore, so that what was measured was not one thing.

    Raises:
        InputError: the repository cannot be read any more.
    """
    if tree.commit is not None and not tree.dirty and not (tree.folder / ".git").exists():
        return tree.commit
    listed = asked(
        tree.folder, "ls-files", "--cached", "--others", "--exclude-standard", "-z", what=tree.name
    )
    digest = sha256()
    for name in sorted(set(listed.split("\0"))):
        try:
            facts = (tree.folder / name).lstat()
        except OSError:  # removed, and not committed so
            continue
        if not (tree.folder / name).is_dir():
            about = f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\0"
            digest.update(about.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _work_tree(repository: Path) -> Tree:
    _require_repository(repository)
    if asked(repository, "rev-parse", "--is-inside-work-tree", what=str(repository)) != "true\n":
        raise InputError(
            f"{repository}: this git repository has no work tree here: name a revision of it for "
            "both sides, or the folder of a work tree"
        )
    top = asked(repository, "rev-parse", "--show-toplevel", what=str(repository)).removesuffix("\n")
    folder = Path(top)
    unmerged = asked(folder, "ls-files", "--unmerged", "-z", what=top).split("\0")[:-1]
    files = sorted({entry.partition("\t")[2] for entry in unmerged})
    if files:
        raise InputError(
            f"{top}: the work tree is in the middle of {_under_way(folder) or 'a merge'}, and has "
            f"conflicts in {printable(', '.join(files[:3]))}{', ...' if len(files) > 3 else ''}: "
            "resolve them, or name a revision"
        )
    status = ("status", "--porcelain=v1", "-z", "--untracked-files=normal")
    dirty = bool(asked(folder, *status, "--ignore-submodules=none", what=top))
    head = git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").stdout.strip()
    remarks = []
    if dirty:
        remarks.append("The work tree has changes that are not committed; they are measured.")
    if under_way := _under_way(folder):
        remarks.append(f"The work tree is in the middle of {under_way}.")
    return Tree(
        name="the work tree",
        folder=folder,
        commit=None if dirty or not head else head,
        dirty=dirty or not head,
        remarks=tuple(remarks),
    )


def _under_way(folder: Path) -> str:
    """Return what has begun in a work tree and not ended; nothing where nothing has."""
    own = Path(asked(folder, "rev-parse", "--absolute-git-dir", what=str(folder)).rstrip("\n"))
    return next((what for name, what in _UNDER_WAY.items() if (own / name).exists()), "")


def _require_repository(repository: Path) -> None:
    done = git(repository, "rev-parse", "--git-dir")
    if done.returncode:
        said = complaint(done)
        if "not a git repository" in said:
            said = "is not in a git repository: name one, or run the command in one"
        elif "dubious ownership" in said:
            said = (
                "belongs to another user, and git reads it only where it was told to: "
                f"git config --global --add safe.directory {repository.resolve()}"
            )
        raise InputError(f"{repository}: {said}")


def _commit_of(repository: Path, revision: str) -> str:
    """Find the one commit that a revision names, in what is here.

    Raises:
        InputError: there is no repository, or not one such commit.
    """
    shown = printable(revision)
    if ".." in revision:
        raise InputError(
            f"{shown}: is a range; name one revision a side, as in: whisperbench ab BASE HEAD"
        )
    # Before they reach git, which would take them for options, exclusions or a search.
    if not revision.strip() or revision[0] in "-^:" or shown != revision:
        raise InputError(f"{shown!r}: is no revision; name a commit, a branch or a tag")
    _require_repository(repository)
    done = git(repository, "rev-parse", "--verify", f"{revision}^{{commit}}")
    if "ambiguous" in done.stderr:
        raise InputError(
            f"{shown}: is ambiguous in {repository}: write more of the commit's hash, or "
            f"refs/heads/{shown} or refs/tags/{shown} where a branch and a tag have the same name"
        )
    commit = done.stdout.strip()
    if done.returncode or not _HASH.fullmatch(commit):
        raise InputError(f"{shown}: is no revision of {repository}{_hint(repository, revision)}")
    return commit


def _hint(repository: Path, revision: str) -> str:
    """Say where a revision that is not here may be."""
    remote = git(repository, "for-each-ref", "--format=%(refname:short)", "refs/remotes").stdout
    for branch in remote.splitlines():
        if branch.partition("/")[2] == revision:
            return f"; name {branch}, which is there"
    if git(repository, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        return (
            ", which is a shallow clone and may lack it: `git fetch --unshallow` brings the rest "
            "(in GitHub's checkout action: fetch-depth: 0)"
        )
    return "; `git fetch` first where it is new, or see `git log` for those that are there"


def _write_files(repository: Path, commit: str, folder: Path, index: Path, name: str) -> None:
    """Write the files of a commit into an empty folder."""
    own = asked(repository, "rev-parse", "--absolute-git-dir", what=str(repository)).rstrip("\n")
    done = git(
        folder,
        f"--git-dir={own}",
        f"--work-tree={folder}",
        *("read-tree", "--reset", "-u", commit),
        index=index,
    )
    if done.returncode:
        raise InputError(
            f"{name}: its files cannot be written to {folder.parent.parent}: {complaint(done)}"
            f"{if_full(folder)}"
        )


def _empty_submodules(repository: Path, commit: str, name: str) -> tuple[str, ...]:
    listed = asked(repository, "ls-tree", "-r", "-z", "--full-tree", commit, what=name)
    found = [entry.partition("\t")[2] for entry in listed.split("\0") if entry[:6] == "160000"]
    if not found:
        return ()
    shown = printable(", ".join(found[:3])) + (", ..." if len(found) > 3 else "")
    return (
        f"The submodules of {name} ({shown}) are left empty, because nothing is fetched: code that "
        "imports from them fails.",
    )
