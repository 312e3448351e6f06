"""The files of baselines: one a device key and name, locked while it is replaced.

What CPUs of one instruction set share has a folder of that, beside those of devices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from whisperbench.asked.checkout import BASELINES
from whisperbench.asked.suite import Suite
from whisperbench.errors import InputError, one_line
from whisperbench.judge.baselines import RecordedRun, merge_runs, shared_key
from whisperbench.judge.comparison import Comparison, hold_against, refusal
from whisperbench.results.environment import CACHE_VARIABLE, cache_folder
from whisperbench.results.records import Run
from whisperbench.results.run_file import read_run, write_whole
from whisperbench.results.schema import decode_run
from whisperbench.versions.git import asked

FOLDER = BASELINES
DEFAULT = "default"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def path_of(device_key: str, name: str = DEFAULT) -> Path:
    """Return where the baseline of a device is kept.

    Raises:
        InputError: key or name is no plain file name.
    """
    for what, text in (("device key", device_key), ("name", name)):
        if not _NAME.fullmatch(text):
            raise InputError(
                f"the baseline's {what} {text!r} is no file name: use letters, digits, '.', '_' "
                "and '-'"
            )
    return FOLDER / device_key / f"{name}.json"


def known() -> list[Path]:
    """Return the baselines that there are."""
    return sorted(FOLDER.glob("*/*.json"))


def known_at(revision: str) -> dict[Path, bytes]:
    """Return the baselines that a commit of the checkout holds: their contents, by their places.

    Args:
        revision: as git knows it, such as `origin/main`.

    Raises:
        InputError: git does not know the revision, or the checkout is in no repository.
    """
    if revision.startswith("-"):
        raise InputError(f"{revision}: is no revision; name a branch, a tag or a commit")
    folder = FOLDER.name
    listed = asked(
        *(FOLDER.parent, "ls-tree", "-r", "-z", "--name-only"),
        *(f"{revision}^{{commit}}", f"{folder}/"),
        what=revision,
    )
    found = {}
    for name in listed.split("\0"):
        if Path(name).match("*/*/*.json"):
            said = asked(FOLDER.parent, "show", f"{revision}:./{name}", what=revision)
            found[FOLDER.parent / name] = said.encode(errors="surrogateescape")
    return found


def merge(paths: Sequence[Path]) -> bytes:
    """Make the content of a baseline of run files.

    Raises:
        InputError: a file is not a run, or the runs are not of the same cells on one machine.
        RegressedError: a run has regressed.
        InvalidMeasurementError: a run is incomplete or failed, or what must be equal is not.
    """
    return merge_runs([RecordedRun(str(path), read_run(path), path.read_bytes()) for path in paths])


def keep(
    paths: Sequence[Path],
    name: str,
    suite: Suite,
    *,
    force: bool,
    shared: bool = False,
    tell: Callable[[Comparison], None],
) -> tuple[Path, Run]:
    """Merge run files into a baseline, and write it unless it is worse than the one it replaces.

    Args:
        paths: of run files of one machine.
        name: what to call the baseline.
        suite: whose tolerances and gate hold.
        force: whether to replace one that is better, or that cannot be read or compared.
        shared: whether to keep it for all CPUs of its instruction set, not for its machine alone.
        tell: told how the new one compares with the old one, where there is one.

    Returns:
        The baseline's place and what it holds.

    Raises:
        InputError: a file cannot be read or written, the baseline that is there cannot be read,
            another process is replacing one, or CPUs cannot share its figures.
        RegressedError: it is worse than the one that is there.
        IncomparableError: it cannot be said whether it is.
        InvalidMeasurementError: as `merge`.
    """
    data = merge(paths)
    made = decode_run(data, "the new baseline")
    key = shared_key(made, "the new baseline") if shared else made.machine.device_key
    path = path_of(key, name)
    with replacing():
        found = None
        try:
            if path.exists():
                found = hold_against(read_run(path), made, suite)
        except InputError as error:
            if not force:
                raise InputError(f"{error}; --force replaces it") from error
        if found is not None:
            tell(found)
            if (refused := refusal(found, str(path))) is not None and not force:
                raise refused
        write_whole(path, data)
    return path, made


@contextmanager
def replacing() -> Iterator[None]:
    """Keep others of this user from replacing a baseline between its judgement and its end.

    Raises:
        InputError: somebody is at it, or the lock cannot be made.
    """
    path = cache_folder() / "baselines.lock"
    lock = FileLock(path, timeout=10)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError("another process is replacing a baseline: try again") from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be locked: {one_line(error.strerror)}; set {CACHE_VARIABLE} to a "
            "folder that can be written"
        ) from error
    try:
        yield
    finally:
        lock.release()
