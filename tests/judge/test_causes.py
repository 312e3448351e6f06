"""What is named as the cause of a regression."""

from __future__ import annotations

import msgspec

from tests.judge.compared import (
    a_cost,
    part,
    verdicts,
)
from tests.runs import make_run
from whisperbench.judge.causes import causes_of
from whisperbench.judge.compare import compare
from whisperbench.judge.comparison import Comparison
from whisperbench.report.verdicts import as_text


def test_a_regression_names_its_cause() -> None:
    """The parts that grew most are named, per token, with their module; others' shares are not."""
    base = a_cost(100, (part("aten::to", 8), part("aten::mul", 40), part("aten::add", 4, "Linear")))
    head = a_cost(
        244,
        (
            part("aten::to", 136),
            part("aten::copy_", 400, op="aten::to"),
            part("aten::mul", 40),
            part("aten::add", 20, "Linear"),
            part("aten::to", 999, stage="encoder"),
            part("gemm", 999, kind="kernel"),
        ),
    )
    assert verdicts(base, head)["decode_aten_ops"].sentence == (
        "100 to 244 (+144.00 %): +32 aten::to a token, from Linear8bitLt, "
        "+4 aten::add a token, from Linear"
    )


def test_a_slower_kernel_is_named_by_its_time() -> None:
    """Of GPU time the cause is what took longer, though as many ran."""
    kernel = part("gemm", 40, kind="kernel", op="aten::mm", time_us=400.0)
    other = part("add", 40, kind="kernel", op="aten::add", time_us=100.0)
    base, head = a_cost(parts=(kernel, other)), a_cost()
    slow = msgspec.structs.replace(kernel, time_us=800.0)
    metrics = tuple(
        msgspec.structs.replace(metric, samples=(10.4,)) if metric.samples else metric
        for metric in head.metrics
    )
    head = msgspec.structs.replace(a_cost(parts=(slow, other)), metrics=metrics)
    lines = as_text(Comparison(judged=compare(make_run(base), make_run(head))))
    assert (
        "decode_gpu_time_ms: 10 to 10.4 ms (+4.00 %), at most 10.06: +100.0 us gemm a token, from"
        in lines
    )


def test_copies_are_told_apart() -> None:
    """A wait's or a copy's cause is of its own direction, with the op that made it."""
    made = [
        part(name, 4 * times, kind=kind, op="aten::item")
        for times, (kind, name) in enumerate(
            [("copy", "dtoh"), ("copy", "htod"), ("sync", "cudaStreamSynchronize")], start=1
        )
    ]
    base, head = a_cost(), a_cost(parts=tuple(made))
    causes = {
        name: causes_of(base, head, f"decode_{name}") for name in ("copies_dtoh", "stream_syncs")
    }
    assert causes == {
        "copies_dtoh": ["+1 copy dtoh in aten::item a token, from Linear8bitLt"],
        "stream_syncs": ["+3 sync cudaStreamSynchronize in aten::item a token, from Linear8bitLt"],
    }
    assert causes_of(base, head, "decode_device_syncs") == []


def test_ops_are_told_apart_by_their_library() -> None:
    """Of torch's ops a grown count names torch's, of bitsandbytes' its own."""
    made = (part("aten::mul", 4), part("bitsandbytes::int8_scaled_mm", 8))
    base, head = a_cost(), a_cost(parts=made)
    assert causes_of(base, head, "decode_aten_ops") == ["+1 aten::mul a token, from Linear8bitLt"]
    assert causes_of(base, head, "decode_other_ops") == [
        "+2 bitsandbytes::int8_scaled_mm a token, from Linear8bitLt"
    ]


def test_grown_calls_name_their_functions() -> None:
    """Of Python calls the functions are the cause, and what is new before what was there."""
    before = {"decode": {"modules.forward": 4, "compiler.inner": 40}}
    after = {"decode": {"modules.forward": 8, "compiler.inner": 48, "hooks.new": 4}}
    base, head = a_cost(calls=before), a_cost(calls=after)
    assert causes_of(base, head, "decode_python_calls") == [
        "+1 hooks.new a token",
        "+2 compiler.inner a token",
        "+1 modules.forward a token",
    ]
    old = a_cost()  # its file keeps no functions
    assert causes_of(old, head, "decode_python_calls") == []
    assert causes_of(head, old, "decode_python_calls") == []


def test_grown_allocations_name_what_allocates() -> None:
    """Of allocations the ops that made them are the cause; of least work no part is known to be."""
    few, many = (part("", count, kind="allocation", op="aten::mul") for count in (8, 16))
    base, head = a_cost(parts=(few,)), a_cost(parts=(many, part("aten::view", 80)))
    assert causes_of(base, head, "decode_allocations") == [
        "+2 allocation in aten::mul a token, from Linear8bitLt"
    ]
    assert causes_of(a_cost(), head, "decode_allocations") == []  # its file keeps none
    assert causes_of(base, head, "decode_gflop") == []
    assert causes_of(base, head, "decode_allocated_peak_mib") == []
