"""A plugin that lets each benchmark of one run fail in a way of its own.

What it does to which:

- memory in int8 is killed, in bf16 finds little memory, and in fp32 is over a lowered limit;
- the front end fails at the first attempt, passes at the second, and leaves facts that JSON cannot
  hold;
- the encoder fails after it was timed;
- the token passes, and leaves what is no result;
- a hook for pytest-benchmark's file fails.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from _pytest.runner import runtestprotocol

import whisperbench.plugin.session
from tests import workloads
from whisperbench.asked.checkout import SUITE_FILE
from whisperbench.asked.suite import Suite, read_suite
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.memory import watching
from whisperbench.measure.memory.watching import Footprint, measure_memory

LIMIT_MIB = 100.5
"""Less than any process takes that has imported torch."""


class Mute:
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("says nothing")


def lowered(path: Path = SUITE_FILE) -> Suite:
    """Read suite.toml, and leave fp32 two limits on memory: it is over one, and keeps the other."""
    suite = read_suite(path)
    row = next(row for row in suite.limit if row.metric == "peak_process_mib")
    low = msgspec.structs.replace(row, precisions=("fp32",), max=LIMIT_MIB)
    others = (row for row in suite.limit if row.metric != low.metric)
    kept = msgspec.structs.replace(low, metric="weight_mib", max=1e6)
    return msgspec.structs.replace(suite, limit=(low, kept, *others))


def sabotaged(request: CellRequest, device: Any) -> Footprint:
    """Measure memory: of a process that is killed, of one with little memory, or as ever."""
    if request.precision.name == "int8":
        return measure_memory(request, device, target=workloads.die)
    if request.precision.name == "bf16":
        little = partial(workloads.run_with_little_memory, 500)
        return measure_memory(
            msgspec.structs.replace(request, batch_size=500), device, target=little
        )
    return measure_memory(request, device)


def pytest_configure() -> None:
    """Put the sabotage in the place of what is sabotaged."""
    whisperbench.plugin.session.read_suite = lowered  # type: ignore[attr-defined]
    watching.measure_memory = sabotaged  # type: ignore[assignment]


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Give stages a second attempt, as pytest-rerunfailures does; the encoder gets none."""
    if "test_stages" not in item.nodeid or "encoder" in item.name:
        return None
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any(report.failed for report in reports):
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True


tried: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Fail after the body, and leave behind what nobody can write."""
    result = yield
    if "encoder" in pyfuncitem.name:
        raise AssertionError("failed after it was timed")
    if "test_stages" in pyfuncitem.nodeid:
        benchmark: Any = pyfuncitem.funcargs["benchmark"]
        info = benchmark.extra_info
        info["odd"] = {"a name": "caf\udce9", 1: Mute(), "itself": info}
        if "token" in pyfuncitem.name:
            info["whisperbench"]["cell"]["clip"] = "new\nline"
        if pyfuncitem.name not in tried:
            tried.add(pyfuncitem.name)
            raise RuntimeError("\ud800 the first time")
    return result


def pytest_benchmark_update_json() -> None:
    """Fail where pytest-benchmark's file is about to be written."""
    raise KeyError("not there")
