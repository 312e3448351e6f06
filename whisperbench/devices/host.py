"""The CPU as a device: memory by process, from psutil."""

from __future__ import annotations

import platform
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from whisperbench.devices import usable
from whisperbench.devices.device import Conditions, DeviceFacts, DeviceMemory
from whisperbench.errors import DeviceError, printable
from whisperbench.units import mib

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psutil

CHILDREN_INTERVAL_S = 0.25
"""How often the children of a watched process are looked up, which costs milliseconds."""


_ASKED = (
    (["lscpu"], r"^Model name:(.*\S.*)$"),  # Linux on Arm
    (["sysctl", "-n", "machdep.cpu.brand_string"], r"^(.*\S.*)$"),  # macOS
)
"""Programs that tell the CPU's model where /proc/cpuinfo does not, and where in what they say."""


class HostDevice:
    """The CPU and the host's memory.

    A process's figure is its resident set (RSS): what it would take on a machine of its own. PSS
    splits pages with every other process that maps them, and so depends on what else runs.
    """

    def __init__(self) -> None:
        self._family: list[psutil.Process] = []
        self._looked_up_s = float("-inf")

    def facts(self) -> DeviceFacts:
        """Return the host's facts."""
        return DeviceFacts(
            kind="cpu",
            torch_name="cpu",
            on_host=True,
            name=cpu_name(),
            memory_mib=round(mib(usable.memory_bytes())),
        )

    def memory(self) -> DeviceMemory | None:
        """Return None: hundreds of processes share the host's memory."""
        return None

    def processes(self, pid: int) -> Mapping[int, int | None]:
        """Return the resident bytes of a process, those that it started counted in.

        Raises:
            DeviceError: there is no such process.
        """
        import psutil

        now_s = time.monotonic()
        try:
            same = bool(self._family) and self._family[0].pid == pid
            if not same or now_s - self._looked_up_s > CHILDREN_INTERVAL_S:
                parent = self._family[0] if same else psutil.Process(pid)
                self._family = [parent, *parent.children(recursive=True)]
                self._looked_up_s = now_s
            held = self._family[0].memory_info().rss
            if not held:  # ended, and not waited for yet: psutil reads zeros of such a process
                raise psutil.ZombieProcess(pid)
            for child in self._family[1:]:
                with suppress(psutil.NoSuchProcess):
                    held += child.memory_info().rss
        except psutil.Error as error:
            raise DeviceError(f"process {pid} cannot be watched: {error}") from error
        return {pid: held}

    def conditions(self) -> Conditions:
        """Return nothing: a host does not say why its clocks are what they are."""
        return Conditions()

    def energy_j(self) -> float | None:
        """Return None: reading a CPU's energy needs root on most systems."""
        return None

    def close(self) -> None:
        """Forget the process that was watched."""
        self._family = []


def process_name(pid: int) -> str:
    """Name a process, as far as it can be seen from here; without its user or path."""
    import psutil

    try:
        return f"process {pid} ({printable(psutil.Process(pid).name())})"
    except (psutil.Error, ValueError):  # of another namespace, or without an id
        return f"process {pid}" if pid > 0 else "a process without an id"


def named(pids: Iterable[int]) -> str:
    """Name processes as the subject of a sentence, with its verb."""
    names = [process_name(pid) for pid in sorted(pids)]
    return ", ".join(names) + (" is" if len(names) == 1 else " are")


def cpu_name(root: Path = Path("/")) -> str:
    """Name the CPU's model, as the system gives it.

    Args:
        root: of the file system that tells; tests have their own.
    """
    with suppress(OSError):
        for line in (root / "proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    for command, wanted in _ASKED:
        with suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            if found := re.search(wanted, said.stdout, re.MULTILINE):
                return found[1].strip()
    return platform.processor() or "unknown CPU"
