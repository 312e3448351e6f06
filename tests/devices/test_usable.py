"""Cores and memory that a process may use, from files as Linux lays them out.

Those of version 1 were read inside real groups, on a host without limits of its own; those of
version 2 are written as the kernel's documentation has them, and as docker and systemd place them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from whisperbench.devices import usable
from whisperbench.devices.usable import (
    cores,
    free_bytes,
    memory_bytes,
    memory_holder,
    out_of_memory_kills,
)
from whisperbench.results.environment import device_key

MIB = 2**20
V1_UNLIMITED = 9223372036854771712

V1_OWN = """\
9:name=systemd:/
4:memory:/job/inner
3:cpuset:/
1:cpu,cpuacct:/job/inner
0::/
"""
V1_MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resv_strict
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2_MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
29 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight cores and 16 GiB, half of which is free."""
    monkeypatch.setattr(usable, "cpus", lambda: frozenset(range(8)))
    memory = psutil.virtual_memory()._replace(total=16384 * MIB, available=8192 * MIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def lay_out(root: Path, own: str, mounts: str, files: dict[str, str]) -> Path:
    """Write a process's account of its groups, and files of them."""
    told = {"proc/self/cgroup": own, "proc/self/mountinfo": mounts}
    for name, text in {**told, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def v1(root: Path, files: dict[str, str]) -> Path:
    """Lay out version 1, with a group inside of a group."""
    return lay_out(
        root, V1_OWN, V1_MOUNTS, {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    )


def v2(root: Path, own: str, files: dict[str, str], mounts: str = V2_MOUNTS) -> Path:
    """Lay out version 2."""
    return lay_out(
        root, f"0::{own}\n", mounts, {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    )


@pytest.mark.parametrize(
    ("own", "quotas", "count"),
    [
        ("/", {"cpu.max": "200000 100000\n"}, 2),  # docker run --cpus 2
        ("/", {"cpu.max": "150000 100000\n"}, 1.5),
        ("/", {"cpu.max": "50000 100000\n"}, 0.5),
        ("/", {"cpu.max": "33333 100000\n"}, 0.333),
        ("/", {"cpu.max": "10 100000\n"}, 0.001),
        ("/", {"cpu.max": "max 100000\n"}, 8),
        ("/", {"cpu.max": "6400000 100000\n"}, 8),  # more than there is
        ("/", {}, 8),
        ("/a/b", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, 3),
        ("/a/b", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "100000 50000\n"}, 2),
        ("/a/b", {"a/cpu.max": "100000 100000\n", "a/b/cpu.max": "400000 100000\n"}, 1),
        ("/not/mounted/here", {"cpu.max": "200000 100000\n"}, 2),
        ("/../../elsewhere", {"cpu.max": "200000 100000\n"}, 2),
        ("/", {"cpu.max": f"{'9' * 30} 100000\n"}, 8),
        *(
            ("/", {"cpu.max": garbage}, 8)
            for garbage in (
                "",
                "\n",
                "x y",
                "200000",
                "200000 0",
                "-1 100000",
                "2 3 4",
                "٢ ٣",
                "é",
                "9" * 5000,
            )
        ),
    ],
)
def test_the_quota_of_version_2(
    tmp_path: Path, own: str, quotas: dict[str, str], count: float
) -> None:
    """The tightest quota of a group and all above it counts, and what is none limits nothing."""
    assert cores(v2(tmp_path, own, quotas)) == count


@pytest.mark.parametrize(
    ("outer", "inner", "count"),
    [("-1", "-1", 8), ("150000", "-1", 1.5), ("150000", "50000", 0.5), ("200000", "400000", 2)],
)
def test_the_quota_of_version_1(tmp_path: Path, outer: str, inner: str, count: float) -> None:
    """The same, from the two files that version 1 has instead of one."""
    files = {}
    for group, quota in (("", "-1"), ("job/", outer), ("job/inner/", inner)):
        files[f"cpu,cpuacct/{group}cpu.cfs_quota_us"] = f"{quota}\n"
        files[f"cpu,cpuacct/{group}cpu.cfs_period_us"] = "100000\n"
    assert cores(v1(tmp_path, files)) == count


def test_a_container_without_a_view_of_the_host(tmp_path: Path) -> None:
    """In docker with version 1 the own group is what is mounted, whatever its path outside."""
    own = "4:memory:/docker/0123\n1:cpu,cpuacct:/docker/0123\n"
    mounts = V1_MOUNTS.replace(" / /sys/fs/cgroup/", " /docker/0123 /sys/fs/cgroup/")
    files = {
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2048 * MIB}\n",
    }
    root = lay_out(tmp_path, own, mounts, files)
    assert (cores(root), memory_bytes(root)) == (2, 2048 * MIB)


@pytest.mark.parametrize("own", ["", "garbage", "0:", "::::", "0::relative\n", "4:memory\n"])
@pytest.mark.parametrize("mounts", ["", "garbage", "1 2 - ", "29 22 0:26 / /x rw - cgroup2\n"])
def test_what_cannot_be_read_limits_nothing(tmp_path: Path, own: str, mounts: str) -> None:
    """Accounts of groups that nobody has seen yet are passed over, and so is their absence."""
    for root in (tmp_path / "none", lay_out(tmp_path, own, mounts, {})):
        assert (cores(root), memory_bytes(root)) == (8, 16384 * MIB)
        assert (free_bytes(root), out_of_memory_kills(root)) == (8192 * MIB, None)
        assert memory_holder(root) == "the host"


def test_memory_of_version_2(tmp_path: Path) -> None:
    """The tightest limit counts; what its files have in the page cache counts as free."""
    root = v2(
        tmp_path,
        "/a/b",
        {
            "a/memory.max": f"{4096 * MIB}\n",
            "a/memory.current": f"{3000 * MIB}\n",
            "a/memory.stat": f"anon 5\ninactive_file {200 * MIB}\nactive_file {100 * MIB}\n",
            "a/b/memory.max": "max\n",
            "a/b/memory.current": f"{9 * MIB}\n",
            "a/b/memory.events": "low 0\nhigh 0\nmax 5\noom 4\noom_kill 3\noom_group_kill 2\n",
            "../../../proc/vmstat": "nr_free_pages 1\noom_kill 9\n",
        },
    )
    assert memory_bytes(root) == 4096 * MIB
    assert free_bytes(root) == (4096 - 3000 + 300) * MIB
    assert memory_holder(root) == "the container, which may use 4096 MiB, or its host"
    assert out_of_memory_kills(root) == 3


def test_memory_of_version_1(tmp_path: Path) -> None:
    """Version 1 writes "no limit" as a huge number, and counts kills in another file."""
    files = {
        "memory/memory.limit_in_bytes": f"{V1_UNLIMITED}\n",
        "memory/job/inner/memory.limit_in_bytes": f"{V1_UNLIMITED}\n",
        "memory/job/inner/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    }
    root = v1(tmp_path, files)
    assert (memory_bytes(root), free_bytes(root)) == (16384 * MIB, 8192 * MIB)
    assert out_of_memory_kills(root) == 1
    stat = f"inactive_file 7\ntotal_inactive_file {30 * MIB}\ntotal_active_file {20 * MIB}\n"
    files["memory/job/memory.limit_in_bytes"] = f"{2000 * MIB}\n"
    files["memory/job/memory.usage_in_bytes"] = f"{150 * MIB}\n"
    files["memory/job/memory.stat"] = stat
    v1(tmp_path, files)
    assert (memory_bytes(root), free_bytes(root)) == (2000 * MIB, 1900 * MIB)


def test_more_in_use_than_allowed(tmp_path: Path) -> None:
    """A limit that was lowered under what is in use leaves nothing, and not less."""
    files = {"memory.max": f"{100 * MIB}\n", "memory.current": f"{120 * MIB}\n"}
    assert free_bytes(v2(tmp_path, "/", files)) == 0


def test_kills_of_the_machine(tmp_path: Path) -> None:
    """Where a group does not count kills, the machine's count is taken."""
    root = v2(tmp_path, "/", {"../../../proc/vmstat": "nr_free_pages 1\noom_kill 9\n"})
    assert out_of_memory_kills(root) == 9


@pytest.mark.parametrize(
    ("count", "end"), [(2, "-2c"), (2.0, "-2c"), (1.5, "-1500mc"), (0.333, "-333mc"), (64, "-64c")]
)
def test_the_key_tells_parts_of_cores_apart(count: float, end: str) -> None:
    """A quota of 1.5 cores is neither one core nor two, and a whole count is written as ever."""
    key = device_key("AMD EPYC", capability=None, memory_mib=1, cores=count, on_host=True)
    assert key == f"cpu-amd-epyc{end}"


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is set as Linux does it")
def test_affinity_counts(tmp_path: Path) -> None:
    """A process that was bound to one CPU has one core, and torch's own binding changes nothing."""
    one = min(os.sched_getaffinity(0))
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "if sys.argv[1] == 'before': os.sched_setaffinity(0, {int(sys.argv[2])})\n"
        "from whisperbench.devices import usable\n"
        "os.sched_setaffinity(0, {int(sys.argv[2])})\n"
        "print(usable.cores(Path(sys.argv[3])))\n"
    )

    def told(when: str) -> int:
        command = [sys.executable, "-c", program, when, str(one), str(tmp_path)]
        return int(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)

    assert told("before") == 1
    assert told("after") == len(os.sched_getaffinity(0))
