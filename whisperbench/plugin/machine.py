"""The machine's description in the result file, and what pytest-benchmark does with it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from whisperbench.devices import usable
from whisperbench.errors import printable
from whisperbench.plugin.session import session_of
from whisperbench.results.environment import operating_system, versions
from whisperbench.results.records import Machine

if TYPE_CHECKING:
    from whisperbench.plugin.session import Prepared


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_compare_machine_info(
    machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
) -> None:
    """Leave our part out of --benchmark-compare, which looks before the device is known.

    Otherwise pytest-benchmark warns of a difference on the very same machine.
    """
    for info in (machine_info, compared_benchmark["machine_info"]):
        info.pop("whisperbench", None)


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Add the facts of the device and the stack; take out the host's name."""
    machine_info["node"] = ""
    session = session_of(config)
    if session is None or session.prepared is None:
        return
    machine = msgspec.to_builtins(_machine(session.prepared, machine_info))
    machine_info["whisperbench"] = {
        name: printable(fact) if isinstance(fact, str) else fact for name, fact in machine.items()
    }


def machine_of(config: pytest.Config) -> Machine:
    """Ask pytest-benchmark and its plugins for the machine's description, and return our part.

    Only of a session that is prepared: before, the device is not known.
    """
    hook = config.hook
    machine_info: dict[str, Any] = hook.pytest_benchmark_generate_machine_info(config=config)
    hook.pytest_benchmark_update_machine_info(config=config, machine_info=machine_info)
    return msgspec.convert(machine_info["whisperbench"], Machine)


def _machine(prepared: Prepared, machine_info: dict[str, Any]) -> Machine:
    facts = prepared.facts
    capability = facts.compute_capability
    return Machine(
        device_key=prepared.device_key,
        device=facts.name,
        device_kind=facts.kind,
        memory_mib=facts.memory_mib,
        cpu=str((machine_info.get("cpu") or {}).get("brand_raw") or "unknown CPU"),
        cpu_cores=usable.cores(),
        os=operating_system(),
        python=platform.python_version(),
        versions=versions(),
        threads=prepared.accelerator.threads(),
        gpu_uuid=facts.uuid,
        compute_capability=".".join(map(str, capability)) if capability else None,
        driver=facts.driver,
        cuda=facts.cuda,
        power_limit_w=facts.power_limit_w,
        compute_mode=facts.compute_mode,
        mig=facts.mig,
        is_host=facts.on_host,
    )
