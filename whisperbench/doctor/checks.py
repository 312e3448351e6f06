"""The doctor's checks of a device: each looks at one thing, and says how it is and what to do."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Literal

from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.host import process_name
from whisperbench.devices.trials import Trials
from whisperbench.errors import DeviceError
from whisperbench.measure.memory.plausibility import CONTEXT_MIB, HIDDEN_IDLE_MIB
from whisperbench.measure.memory.probe import INTERVAL_S, Pace
from whisperbench.measure.telemetry import SLOWDOWNS
from whisperbench.units import MIB, format_seconds, mib

if TYPE_CHECKING:
    from whisperbench.devices.accelerator import Accelerator
    from whisperbench.devices.device import Device, DeviceFacts, DeviceMemory

State = Literal["fine", "advice", "unfit"]

BLOCK_MIB = 256
"""Taken on the GPU to see whether NVML sees it: far more than what wobbles by itself."""

DESKTOP_MIB = 512
"""Memory that no listed process holds, from which on somebody should look what it is."""

LOW_CLOCK = 0.9
"""Share of its highest clock below which a GPU under load is held back by something."""

DEAR_LIST_S = 0.001
"""A process list that costs more than the interval between polls cannot be read at every one."""

INT8_ERROR = 0.03
"""The relative error up to which an int8 product is right: rounding makes 0.007, garbage 1."""


@dataclass(kw_only=True)
class Patient:
    """The device that is examined, and the means."""

    accelerator: Accelerator
    device: Device
    """Its readings."""
    trials: Trials = field(default_factory=Trials)
    gpu_was_sought: bool = False
    """Whether the CPU is examined because no GPU was found."""

    @property
    def on_gpu(self) -> bool:
        """Whether it is a GPU: known without asking it."""
        return not self.accelerator.on_host

    @cached_property
    def facts(self) -> DeviceFacts:
        """The device's facts, read once."""
        return self.device.facts()


Answer = tuple[State, str]


def device(patient: Patient) -> Answer:
    """Whether torch sees the device."""
    facts = patient.facts
    text = f"{facts.torch_name} is {facts.name}, {facts.memory_mib} MiB"
    if facts.compute_capability is not None:
        text += ", compute capability {}.{}".format(*facts.compute_capability)
    text += f"; torch {patient.trials.torch_version()}"
    if patient.gpu_was_sought:
        text += "; no NVIDIA GPU shows itself: --device cuda says why"
    return "fine", text


def nvml(patient: Patient) -> Answer:
    """Whether the driver and NVML answer."""
    memory = _memory(patient)
    driver = patient.facts.driver or "of unknown version"
    text = f"driver {driver}, torch's CUDA {patient.facts.cuda}"
    if memory.reserved_bytes is None:
        return "fine", f"{text}; it does not tell what it reserves from what is used"
    return "fine", f"{text}; it keeps {mib(memory.reserved_bytes):.0f} MiB for itself"


def compute_mode(patient: Patient) -> Answer:
    """Whether processes may compute on the GPU."""
    mode = patient.facts.compute_mode
    if mode == "prohibited":
        return "unfit", f"nobody may compute on it: {_smi(patient)} -c 0"
    # Exclusive does no harm: a run never has two processes on the GPU at once.
    return "fine", mode or "this driver does not tell it"


def others(patient: Patient) -> Answer:
    """Who else is on the GPU; asked before this process is on it."""
    listed = dict(patient.device.processes(os.getpid()))
    listed.pop(os.getpid(), None)
    if listed:
        who = ", ".join(_process(pid, held) for pid, held in listed.items())
        return "unfit", f"{who}: stop it, wait, or choose another GPU with --device"
    memory = _memory(patient)
    taken_mib = mib(memory.used_bytes)
    if taken_mib > HIDDEN_IDLE_MIB:
        return "unfit", (
            f"{taken_mib:.0f} MiB are taken by processes that NVML does not list, as those of "
            "other containers: see nvidia-smi on the host, and have the GPU to yourself"
        )
    if taken_mib > DESKTOP_MIB and memory.reserved_bytes is not None:
        return "advice", (
            f"{taken_mib:.0f} MiB are taken, but not by a compute process: if a display is "
            "attached, measure without it"
        )
    return "fine", "nobody"


def uuid_mapping(patient: Patient) -> Answer:
    """Whether NVML watches the GPU that torch uses: what torch takes must show in NVML."""
    facts = patient.facts
    before = _memory(patient).used_bytes
    with patient.trials.hold(patient.accelerator, BLOCK_MIB * MIB):
        grown_mib = mib(_memory(patient).used_bytes - before)
    if grown_mib < BLOCK_MIB:
        return "unfit", (
            f"torch took {BLOCK_MIB} MiB on {facts.torch_name}, but {facts.uuid} grew by "
            f"{grown_mib:.0f} MiB in NVML: it watches another GPU, or somebody else left; set "
            "CUDA_VISIBLE_DEVICES to one UUID of nvidia-smi -L and try again"
        )
    if grown_mib > BLOCK_MIB + CONTEXT_MIB:
        return "unfit", (
            f"NVML saw {grown_mib:.0f} MiB more when torch took {BLOCK_MIB}: somebody else came "
            "onto the GPU; wait until it is gone"
        )
    part = ", a part of a GPU that MIG has divided" if facts.mig else ""
    name = f"{(facts.uuid or '')[:8]}…"
    return "fine", (
        f"{facts.torch_name} is {name}{part}, and NVML saw its {BLOCK_MIB} MiB block come "
        f"(with {grown_mib - BLOCK_MIB:.0f} MiB of context)"
    )


def process_figures(patient: Patient) -> Answer:
    """Whether NVML tells what one process holds."""
    with patient.trials.hold(patient.accelerator, BLOCK_MIB * MIB):
        listed = patient.device.processes(os.getpid())
    held = listed.get(os.getpid())
    instead = "the growth of the whole GPU is judged instead"
    if held is not None and mib(held) < BLOCK_MIB:
        return "unfit", (
            f"NVML says that this process holds {mib(held):.0f} MiB while it holds {BLOCK_MIB}: "
            "update the driver"
        )
    if held is not None:
        return "fine", f"visible: this process holds {mib(held):.0f} MiB"
    if listed and os.getpid() not in listed:
        pids = ", ".join(map(str, listed))
        return "advice", (
            f"listed under a process id of another namespace ({pids}): start the container with "
            f"--pid=host; until then {instead}"
        )
    return "advice", (
        f"hidden, as in containers (start docker with --pid=host) and under WSL: {instead}"
    )


_HELD = {
    "application clocks": "held by application clocks, unless you set them: {smi} -rac",
    "sync boost": "held to the pace of other GPUs by sync boost: end its group",
    "display clocks": "held by a display: measure without it",
}
"""What keeps clocks down without harm to the figures' validity, by event reason."""


def clocks(patient: Patient) -> Answer:
    """What the clocks do under load, and what holds them down."""
    facts, read = patient.facts, patient.device.conditions
    before = read().slowdown_ns
    under_load = [read() for _ in patient.trials.keep_busy(patient.accelerator)]
    all_mhz = [found.sm_clock_mhz for found in under_load if found.sm_clock_mhz is not None]
    clock_mhz, max_mhz = median(all_mhz) if all_mhz else None, facts.max_sm_clock_mhz
    text = (
        "the driver does not tell the clock"
        if clock_mhz is None
        else f"{clock_mhz:.0f} of {max_mhz} MHz under load"
    )
    told = [found.reasons for found in under_load if found.reasons is not None]
    reasons: set[str] = set().union(*told)
    for name, spent_ns in under_load[-1].slowdown_ns.items():
        if spent_ns > before.get(name, spent_ns):
            reasons.add(name)
    slowed = ", ".join(sorted(reasons & SLOWDOWNS))
    if slowed:
        return "unfit", (
            f"{text}: {slowed}; let it cool, and see to its fans, airflow and power supply"
        )
    held = [advice for reason, advice in _HELD.items() if reason in reasons]
    if held:
        return "advice", f"{text}, {'; '.join(held).format(smi=_smi(patient))}"
    if not told:
        return "advice", f"{text}; why is not readable, so a throttled run would not be noticed"
    capped = "power cap" in reasons  # as full load is: the power limit has a line of its own
    if clock_mhz is not None and max_mhz and not capped and clock_mhz < LOW_CLOCK * max_mhz:
        return "advice", f"{text}, for no told reason: if it is locked, {_smi(patient)} -rgc"
    return "fine", f"{text}, {'at its power limit' if capped else 'nothing slows it down'}"


def persistence(patient: Patient) -> Answer:
    """Whether the driver stays loaded when nobody uses it."""
    if patient.facts.persistence_mode is False:
        return "advice", (
            "off, so the driver starts anew with each first process, and clocks are reset: "
            "sudo nvidia-smi -pm 1"
        )
    return "fine", "on" if patient.facts.persistence_mode else "this driver does not tell it"


def power_limit(patient: Patient) -> Answer:
    """Whether the power limit is what the GPU was made for."""
    limit_w, default_w = patient.facts.power_limit_w, patient.facts.default_power_limit_w
    if limit_w is None or default_w is None:
        return "fine", "this driver does not tell it"
    if limit_w < default_w - 0.5:
        return "advice", (
            f"{limit_w:.0f} W, below the default of {default_w:.0f} W: "
            f"{_smi(patient)} -pl {default_w:.0f}"
        )
    return "fine", f"{limit_w:.0f} W, default {default_w:.0f} W"


def poll_cost(patient: Patient) -> Answer:
    """What the memory probe pays for its readings, and how often it can read."""
    pace = Pace.measure(patient.device, os.getpid())
    text = (
        f"processes {format_seconds(pace.processes_cost_s)}: "
        f"one poll every {format_seconds(pace.interval_s)}"
    )
    if patient.on_gpu:
        text = f"memory {format_seconds(pace.memory_cost_s)}, {text}"
    if pace.processes_every > 1:
        text += f", processes at every {pace.processes_every}th"
    dear = pace.interval_s > INTERVAL_S or pace.processes_cost_s > DEAR_LIST_S
    if patient.on_gpu and dear:
        return "advice", f"{text}; what is shorter can be missed: try a newer driver"
    return "fine", text


def energy(patient: Patient) -> Answer:
    """Whether joules can be counted."""
    if patient.device.energy_j() is None:
        return (
            "advice",
            "there is no counter (before Volta, under WSL, with MIG), so results lack joules",
        )
    return "fine", "the counter is readable"


def bitsandbytes(patient: Patient) -> Answer:
    """Whether bitsandbytes has found its own library, and multiplies right with it."""
    from importlib.metadata import version

    facts = patient.facts
    missing = PRECISIONS["int8"].why_not(facts.compute_capability)
    if missing is not None:
        return "advice", f"{missing}; leave int8 out of --precision"
    library = patient.trials.native_library()
    name = f"bitsandbytes {version('bitsandbytes')}"
    if patient.on_gpu and not library.cuda:
        why = library.trouble or f"it loaded {library.file}"
        return "unfit", (
            f"{name} has no CUDA library for torch's CUDA {facts.cuda}: {why}; update it, "
            "unset BNB_CUDA_VERSION, and see python -m bitsandbytes"
        )
    error = patient.trials.int8_error(patient.accelerator)
    text = f"{name}, {library.file or 'no native library'}"
    if not error <= INT8_ERROR:  # NaN too
        return "unfit", (
            f"{text}: an int8 product is off by {100 * error:.1f} % on {facts.torch_name}: "
            "reinstall it, or take the version of constraints.txt"
        )
    return "fine", f"{text}; an int8 product is right to {100 * error:.1f} %"


def _memory(patient: Patient) -> DeviceMemory:
    memory = patient.device.memory()
    if memory is None:
        raise DeviceError("NVML does not tell how much memory is taken: update the driver")
    return memory


def _process(pid: int, held: int | None) -> str:
    return process_name(pid) + ("" if held is None else f" with {mib(held):.0f} MiB")


def _smi(patient: Patient) -> str:
    return f"sudo nvidia-smi -i {patient.facts.uuid}"
