"""Folders of the cache that are built once, however many processes ask for them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def built_once(
    final: Path, build: Callable[[Path], object], on_build: Callable[[], object]
) -> Path:
    """Return a folder, building it first where it is not there yet.

    Processes that ask at the same time build it once: the others wait for the lock. The folder
    gets its name only when it is complete, so one killed half-way leaves nothing that loads.

    Args:
        final: the folder.
        build: makes it under the name that it is given, which is not there yet.
        on_build: called when it has to be built.

    Raises:
        OSError: it cannot be written.
    """
    from filelock import FileLock

    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(final.with_name(f"{final.name}.lock")):
        if final.is_dir():
            return final
        # Under the lock nobody else builds this one: what is left over belongs to the dead.
        for leftover in final.parent.glob(f".{final.name}.*"):
            shutil.rmtree(leftover)
        on_build()
        part = final.with_name(f".{final.name}.{os.getpid()}")
        try:
            build(part)
            part.rename(final)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return final
