"""The doctor's checks of the host: who takes its cores and its memory, and how fast it may run."""

from __future__ import annotations

import time
from pathlib import Path

from whisperbench.devices import usable
from whisperbench.doctor.checks import Answer, Patient
from whisperbench.units import mib

CPU_SECONDS = 0.5
CPU_CALM_PERCENT = 10.0
"""What others may take of all cores: a system at rest takes 1 to 5 %. More shows in wall times."""
CPU_BUSY_PERCENT = 50.0
"""Beyond this a run on a GPU, which needs one core to launch kernels from, has to wait for it."""

HOST_MIB = 3072
"""The memory budget of `pytest benchmarks/` on a CPU; on a GPU weights pass through the host."""

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def cpu_load(patient: Patient) -> Answer:
    """Whether others use the CPU, as far as it is this process's to use."""
    import psutil

    own_s = time.process_time()
    busy_percent = psutil.cpu_percent(interval=CPU_SECONDS, percpu=True)
    own = (time.process_time() - own_s) / CPU_SECONDS
    numbers = usable.cpus() or range(len(busy_percent))
    busy = sum(busy_percent[number] for number in numbers if number < len(busy_percent)) / 100
    return judge_cpu_load(
        taken_percent(max(0.0, busy - own), len(numbers), usable.cores()),
        usable.cores(),
        on_gpu=patient.on_gpu,
    )


def taken_percent(busy: float, allowed: int, cores: float) -> float:
    """Return what others take of the cores that may be used.

    Args:
        busy: how many cores others keep busy, of those that
        allowed: this process may run on.
        cores: how many of them it may take. Of more than these, some may be busy without harm.
    """
    return 100 * min(1.0, max(0.0, busy - (allowed - cores)) / cores)


def judge_cpu_load(percent: float, cores: float, *, on_gpu: bool) -> Answer:
    """Judge what others take of all cores: a GPU needs one of them, a run on the CPU needs all."""
    text = f"others take {percent:.0f} % of {cores:g} cores"
    if percent <= CPU_CALM_PERCENT:
        return "fine", text
    if on_gpu and percent <= CPU_BUSY_PERCENT:
        return "advice", f"{text}, which shows in wall times: end what need not run"
    return "unfit", f"{text}: wait until they are done, or end them (see top)"


def governor(_patient: Patient) -> Answer:
    """Whether the CPU is told to save power."""
    try:
        name = GOVERNOR.read_text(encoding="ascii").strip()
    except OSError:
        return "fine", "none shown, as in virtual machines"
    if name == "powersave":
        return "advice", f"{name}: sudo cpupower frequency-set -g performance"
    return "fine", name


def host_memory(_patient: Patient) -> Answer:
    """Whether a run fits into the memory that this process can get."""
    size_mib, free_mib = mib(usable.memory_bytes()), mib(usable.free_bytes())
    text = f"{free_mib:.0f} of {size_mib:.0f} MiB free"
    if free_mib >= HOST_MIB:
        return "fine", text
    remedy = "free some" if size_mib >= HOST_MIB else "raise the container's limit, or move"
    return "unfit", f"{text}, a run takes up to {HOST_MIB}: {remedy}"
