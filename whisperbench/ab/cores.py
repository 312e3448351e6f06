"""The cores on which a pair takes turns, and those that are left for the next ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from whisperbench.devices.cores import physical_cores


def choose_cpus(number: int, threads: int) -> tuple[int, ...]:
    """Choose the CPUs of a pair: as many as torch has threads, others for each pair.

    On a GPU's host one: the thread that gives the GPU its work.
    """
    allowed = sorted(os.sched_getaffinity(0))
    wanted = min(threads, len(allowed))
    # The first CPU has the machine's interrupts more often than others.
    first = (number * wanted) % len(allowed)
    return tuple(sorted((allowed * 2)[first : first + wanted]))


def choose_spare_cpus(taken: Sequence[int]) -> tuple[int, ...]:
    """Choose the CPUs on which the next pairs' processes start while these ones are measured.

    They are two at least, one for each process, or none; and none of them is a second thread of a
    core that measures.
    """
    cores = physical_cores(frozenset(os.sched_getaffinity(0)))
    spare = sorted(frozenset[int]().union(*(core for core in cores if core.isdisjoint(taken))))
    return tuple(spare) if len(spare) > 1 else ()


def can_pin() -> bool:
    """Whether this system lets the threads of processes be pinned."""
    if not hasattr(os, "sched_setaffinity") or not Path("/proc/self/task").is_dir():
        return False
    try:
        os.sched_setaffinity(0, os.sched_getaffinity(0))
    except OSError:  # a sandbox may refuse it
        return False
    return True


def pin(pids: Sequence[int], cpus: Sequence[int]) -> None:
    """Pin all threads of processes to CPUs; threads that they start later inherit it."""
    for pid in pids:
        with suppress(FileNotFoundError):  # it has ended, which the next message shows
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread.name), cpus)


@contextmanager
def pinned(
    pids: Sequence[int],
    cpus: Sequence[int],
    pin_to: Callable[[Sequence[int], Sequence[int]], None],
) -> Iterator[None]:
    """Pin processes to CPUs, and let them go at the end."""
    pin_to(pids, cpus)
    try:
        yield
    finally:
        pin_to(pids, sorted(os.sched_getaffinity(0)))
