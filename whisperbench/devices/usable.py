"""What this process may use of its machine: in a container, the container's cores and memory.

Affinity (taskset, cpusets) and Linux' control groups, of version 1 and 2, may allow less than the
machine has, which is what psutil tells of memory and cores. Of a group and all above it the
tightest limit holds. What cannot be read limits nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from whisperbench.units import mib

ROOT = Path("/")

# Read before torch is there: its OpenMP may bind the thread that imports it to one core
# (OMP_PROC_BIND), and the same machine would then have two device keys.
_CPUS = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def cpus() -> frozenset[int]:
    """Return the numbers of the CPUs that this process may run on; none where none are told."""
    return _CPUS


def cores(root: Path = ROOT) -> int | float:
    """Return how many cores' time this process may take, to a thousandth of a core.

    A quota can be a part of a core, as of `docker run --cpus 1.5`.

    Args:
        root: of the file system that tells; tests have their own.
    """
    import psutil

    shares = [float(len(cpus()) or psutil.cpu_count() or 1)]
    for folder in _groups("cpu", root):
        match _numbers(folder, ["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
            case [quota, period]:
                shares.append(max(0.001, round(quota / period, 3)))
    least = min(shares)
    return int(least) if least.is_integer() else least


def memory_bytes(root: Path = ROOT) -> int:
    """Return how much memory this process may have, with all else in its container."""
    import psutil

    return min([psutil.virtual_memory().total, *(limit for _, limit in _memory_limits(root))])


def free_bytes(root: Path = ROOT) -> int:
    """Return how much memory this process can still get without swapping.

    What a container's files have in the page cache counts as free, as it does of the machine.
    """
    import psutil

    free = [psutil.virtual_memory().available]
    for folder, limit in _memory_limits(root):
        used = sum(_numbers(folder, ["memory.current"], ["memory.usage_in_bytes"]))
        free.append(max(0, limit - used + _cached_bytes(folder)))
    return min(free)


def memory_holder(root: Path = ROOT) -> str:
    """Name what is out of memory when this process's kind is killed for want of it."""
    import psutil

    size_bytes = memory_bytes(root)
    if size_bytes == psutil.virtual_memory().total:
        return "the host"
    return f"the container, which may use {mib(size_bytes):.0f} MiB, or its host"


def out_of_memory_kills(root: Path = ROOT) -> int | None:
    """Count the processes that Linux has killed for want of memory; None where it does not tell.

    The count of this process's own group comes first: /proc/vmstat is the whole machine's.
    """
    files = ("memory.events", "memory.oom_control")
    own = (folder / name for folder in _groups("memory", root) for name in files)
    for path in (*own, root / "proc/vmstat"):
        if (count := _facts(path).get("oom_kill")) is not None:
            return count
    return None


def _memory_limits(root: Path) -> Iterator[tuple[Path, int]]:
    for folder in _groups("memory", root):
        for limit in _numbers(folder, ["memory.max"], ["memory.limit_in_bytes"]):
            yield folder, limit


def _cached_bytes(folder: Path) -> int:
    """Return what a group and those below it hold of files, and would give back."""
    facts = _facts(folder / "memory.stat")
    # Version 1 has both names: without "total_" it is the group's own.
    return sum(
        facts.get(f"total_{name}", facts.get(name, 0)) for name in ("inactive_file", "active_file")
    )


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's group and of those above it, as far as they show."""
    own: dict[str, PurePosixPath] = {}
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # Version 2 has one hierarchy for all, which is named after none.
        own |= {name: PurePosixPath(path) for name in controllers.split(",")}
    for line in _read(root / "proc/self/mountinfo").splitlines():
        where, _, what = line.partition(" - ")
        places, kinds = where.split(), what.split()
        if len(places) < 5 or len(kinds) < 3:
            continue
        if kinds[0] == "cgroup2":
            group = own.get("")
        elif kinds[0] == "cgroup" and controller in kinds[2].split(","):
            group = own.get(controller)
        else:
            continue
        if group is None:
            continue
        top, mounted = places[3], root / places[4].lstrip("/")
        # A container may see its own group as the top one, and a path that leads out of it.
        inside = group.is_relative_to(top) and ".." not in group.parts
        relative = group.relative_to(top) if inside else PurePosixPath()
        yield from (mounted / part for part in (relative, *relative.parents))


def _numbers(folder: Path, *choices: list[str]) -> list[int]:
    """Return the positive numbers of the first files that are there; none where there is no limit.

    No limit is "max" in version 2. In version 1 it is -1 of a quota, and of memory a number that no
    machine has.
    """
    for names in choices:
        if words := [word for name in names for word in _read(folder / name).split()]:
            limited = all(_is_number(word) and int(word) for word in words)
            return [int(word) for word in words] if limited else []
    return []


def _facts(path: Path) -> dict[str, int]:
    """Read lines of a name and a number."""
    pairs = (line.partition(" ")[::2] for line in _read(path).splitlines())
    return {name: int(number) for name, number in pairs if _is_number(number)}


def _is_number(word: str) -> bool:
    return word.isdecimal() and len(word) < 20  # what 64 bits hold, signed


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
