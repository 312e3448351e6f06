"""Is this machine fit to measure? One check a question, one line an answer.

A check says that a thing is fine, that it could be better while figures stay valid (advice), or
that nothing should be measured now (unfit), each time with what to do. A new check is a function
of `checks` and a row of `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from whisperbench.devices.choosing import open_accelerator, open_device, preferred, resolve
from whisperbench.doctor import checks, host_checks, runner_checks
from whisperbench.errors import DeviceError, WhisperbenchError, one_line


@dataclass(frozen=True)
class Finding:
    """What one check came to."""

    subject: str
    state: checks.State
    text: str


@dataclass(frozen=True)
class Check:
    """A row of `CHECKS`."""

    subject: str
    look: Callable[[checks.Patient], checks.Answer]
    needs: str = ""
    """The subject of an earlier check, without which this one cannot be made."""
    gpu_only: bool = False


CHECKS: Sequence[Check] = (
    Check("device", checks.device),
    Check("NVML", checks.nvml, needs="device", gpu_only=True),
    Check("compute mode", checks.compute_mode, needs="NVML", gpu_only=True),
    Check("others on it", checks.others, needs="NVML", gpu_only=True),
    Check("UUID mapping", checks.uuid_mapping, needs="compute mode", gpu_only=True),
    Check("process figures", checks.process_figures, needs="UUID mapping", gpu_only=True),
    Check("clocks", checks.clocks, needs="UUID mapping", gpu_only=True),
    Check("persistence", checks.persistence, needs="NVML", gpu_only=True),
    Check("power limit", checks.power_limit, needs="NVML", gpu_only=True),
    Check("poll cost", checks.poll_cost, needs="NVML"),
    Check("energy", checks.energy, needs="NVML", gpu_only=True),
    Check("CPU load", host_checks.cpu_load),
    Check("CPU governor", host_checks.governor),
    Check("host memory", host_checks.host_memory),
    Check("Actions runner", runner_checks.actions_runner),
    Check("int8", checks.bitsandbytes, needs="device"),
)

_SUBJECT_WIDTH = max(len(check.subject) for check in CHECKS)


def examine(asked: str) -> Iterator[Finding]:
    """Examine what `--device` names, which may be "auto"; yield each finding as it is made.

    Raises:
        InputError: it is not the name of a device.
    """
    try:
        name = resolve(asked)
    except DeviceError:  # a GPU that NVML does not show: what is wrong with it is found below
        name = preferred()
    accelerator = open_accelerator(name)
    yield from findings(
        checks.Patient(
            accelerator=accelerator,
            device=open_device(name),
            gpu_was_sought=asked == "auto" and accelerator.on_host,
        )
    )


def findings(patient: checks.Patient) -> Iterator[Finding]:
    """Make every check that applies to a device; a check that cannot be made is unfit, too."""
    lost: set[str] = set()
    unmade = []
    try:
        for check in CHECKS:
            if check.gpu_only and not patient.on_gpu:
                continue
            if check.needs in lost:
                lost.add(check.subject)
                unmade.append(check.subject)
                continue
            finding = Finding(check.subject, *_answer(check, patient))
            if finding.state == "unfit":
                lost.add(check.subject)
            yield finding
    finally:
        patient.device.close()
    if unmade:
        yield Finding("not checked", "unfit", f"{', '.join(unmade)}: see to the above first")


def as_line(finding: Finding) -> str:
    """Write a finding as a line; those of one examination are aligned."""
    return f"{finding.state:<6}  {finding.subject:<{_SUBJECT_WIDTH}}  {finding.text}"


def summary(found: Sequence[Finding]) -> str:
    """Sum an examination up in a line."""
    unfit = sum(finding.state == "unfit" for finding in found)
    advice = sum(finding.state == "advice" for finding in found)
    if unfit:
        return f"not fit: {unfit} of {len(found)}"
    return "fit to measure" + (f"; advice on {advice} of {len(found)}" if advice else "")


def _answer(check: Check, patient: checks.Patient) -> checks.Answer:
    try:
        return check.look(patient)
    except WhisperbenchError as error:
        return "unfit", one_line(error)
    except Exception as error:  # noqa: BLE001 - torch, CUDA and bitsandbytes fail in many ways
        return "unfit", f"the check failed: {type(error).__name__}: {one_line(error)}"
