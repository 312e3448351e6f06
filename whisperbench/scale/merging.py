"""The files of shards, read and written as the file of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whisperbench.errors import InputError, one_line
from whisperbench.judge.baselines import RecordedRun
from whisperbench.judge.shards import join_shards
from whisperbench.results.records import Run
from whisperbench.results.run_file import (
    clips_beside,
    read_run,
    require_own_name,
    require_writable,
    write_whole,
)
from whisperbench.results.schema import decode_run


def merge_files(paths: Sequence[Path], result: Path) -> Run:
    """Put the files of all shards of a run together into the run's, and the clips beside them.

    Args:
        paths: of the shards, in any order.
        result: where the run goes.

    Returns:
        The run, also where benchmarks of it failed: its manifest says which.

    Raises:
        InputError: a file cannot be read or written, or the shards do not make one run.
    """
    require_own_name(result)
    for path in paths:
        if path.resolve() == result.resolve():
            raise InputError(f"{result}: is one of the shards; name another file for the run")
    files = [RecordedRun(str(path), read_run(path), _bytes(path)) for path in paths]
    data = join_shards(files)
    heard = b"".join(_bytes(clips_beside(path)) for path in paths if clips_beside(path).is_file())
    require_writable(result)
    write_whole(result, data)
    clips = clips_beside(result)
    if heard:
        write_whole(clips, heard)
    return decode_run(data, str(result))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {one_line(error.strerror)}") from error
