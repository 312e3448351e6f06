"""Baselines that CPUs of one instruction set share. No figure here was measured."""

from __future__ import annotations

import msgspec
import pytest

from tests.runs import CPU_MACHINE, make_cell, make_cost, make_measurement, make_run
from whisperbench.errors import InputError
from whisperbench.judge.baselines import shared_key
from whisperbench.judge.compare import compare
from whisperbench.results.records import Measurement


def a_cost(*sets: str) -> Measurement:
    """Make up a cost whose counts are of instruction sets, in turn."""
    row = make_cost(make_cell(device="cpu", tokens=4), {"aten_ops": 100})
    metrics = tuple(
        msgspec.structs.replace(metric, conditions={"instruction set": name} if name else {})
        for metric, name in zip(row.metrics, sets, strict=True)
    )
    return msgspec.structs.replace(row, metrics=metrics)


def test_a_key_is_of_the_level() -> None:
    """Whether bfloat16 is native makes no folder of its own: figures say it where it matters."""
    rows = [a_cost("x86_64 AVX512", ""), a_cost("x86_64 AVX512", "x86_64 AVX512 bf16")]
    for row in rows:
        run = make_run(row, machine=CPU_MACHINE)
        assert shared_key(run, "it") == "cpu-x86-64-avx512"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (make_measurement(), "latency_s of transcribe needs the machine that it was measured on"),
        (a_cost("", ""), "it: its counts are of no instruction set"),
        (
            a_cost("x86_64 AVX2", "x86_64 AVX512"),
            "its counts are of cpu-x86-64-avx2, cpu-x86-64-avx512; CPUs share counts of one",
        ),
    ],
)
def test_what_cpus_cannot_share_is_refused(row: Measurement, said: str) -> None:
    """Times, a GPU's counts, and counts of two instruction sets: one line each."""
    with pytest.raises(InputError, match=said) as caught:
        shared_key(make_run(row, machine=CPU_MACHINE), "it")
    assert len(str(caught.value).splitlines()) == 1


def test_what_a_shared_baseline_lacks_is_told_by_why() -> None:
    """A count that it has not is new; a time cannot be in it, for it is of another machine."""
    other = msgspec.structs.replace(CPU_MACHINE, device_key="cpu-other-8c")
    base = make_run(a_cost("x86_64 AVX2", "x86_64 AVX2"), machine=other)
    more = make_cost(make_cell("int8", device="cpu", tokens=4), {"aten_ops": 7})
    head = make_run(*base.measurements, more, make_measurement(), machine=CPU_MACHINE)
    found = {each.verdict.metric: each.verdict for each in compare(base, head)[2:]}
    assert [verdict.verdict for verdict in found.values()] == ["new", "new", "not-comparable"]
    assert found["latency_s"].sentence == (
        "device key was cpu-other-8c and is cpu-some-cpu-2c, and this needs a baseline of this "
        "machine"
    )
