"""What was measured on, and with what: a table, with the base beside it where there is one."""

from __future__ import annotations

from collections.abc import Iterator

from whisperbench.errors import printable
from whisperbench.report.charts.chart import Table
from whisperbench.report.page.section import Captioned, Section
from whisperbench.results.records import Machine, Run
from whisperbench.units import counted


def environment(run: Run, base: Run | None) -> Section:
    """Make the section."""
    own = dict(_facts(run.machine))
    known = {} if base is None else dict(_facts(base.machine))
    rows: list[tuple[str, ...]] = []
    for name in own | known:
        head = own.get(name, "absent")
        if base is None:
            rows.append((name, head))
        else:
            before = known.get(name, "absent")
            rows.append((name, before, head, "differs" if head != before else ""))
    headings = ("what", "this run") if base is None else ("what", "base", "head", "change")
    took = run.info.process_s
    return Section(
        id="environment",
        title="The environment",
        paragraphs=(
            *([f"The run took {took:.0f} s."] if took is not None and base is None else []),
            f"Ratios are against {printable(run.info.reference)}.",
        ),
        lines=tuple(map(printable, run.info.remarks)),
        tables=(
            Captioned(
                caption="Machine and versions", table=Table(headings=headings, rows=tuple(rows))
            ),
        ),
    )


def described(machine: Machine) -> str:
    """Name a device in a line."""
    parts = [machine.device]
    if machine.on_host:
        parts.append(counted(int(machine.cpu_cores), "core"))
    parts += [
        f"{name} {machine.versions[name]}"
        for name in ("torch", "transformers", "bitsandbytes")
        if name in machine.versions
    ]
    return printable(", ".join(parts))


def _facts(machine: Machine) -> Iterator[tuple[str, str]]:
    facts: dict[str, object] = {
        "device": machine.device,
        "device key": machine.device_key,
        "memory, MiB": machine.memory_mib,
        "compute capability": machine.compute_capability,
        "driver": machine.driver,
        "CUDA": machine.cuda,
        "power limit, W": machine.power_limit_w,
        "compute mode": machine.compute_mode,
        "MIG": machine.mig,
        "CPU": machine.cpu,
        "cores": f"{machine.cpu_cores:g}",
        "torch's threads": machine.threads,
        "system": machine.os,
        "Python": machine.python,
        **machine.versions,
    }
    for name, value in facts.items():
        if value is not None:
            yield printable(name), printable(value)
