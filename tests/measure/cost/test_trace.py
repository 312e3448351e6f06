"""Reading a profiler's trace. The events of a GPU are written here, as torch 2.11 writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from whisperbench.errors import InvalidMeasurementError
from whisperbench.measure.cost.trace import MODULE, STAGE, ProfilerError, Tally, read_trace

MAIN, WORKER = 100, 101


def host(
    name: str, start: float, end: float, cat: str = "cpu_op", tid: int = MAIN, **args: Any
) -> dict[str, Any]:
    """Write an event of the host, from its start to its end."""
    return {
        "ph": "X",
        "cat": cat,
        "name": name,
        "pid": 1,
        "tid": tid,
        "ts": start,
        "dur": end - start,
        "args": args,
    }


def marked(name: str, start: float, end: float) -> dict[str, Any]:
    """Write an annotation."""
    return host(name, start, end, "user_annotation")


def on_gpu(cat: str, name: str, correlation: int, dur: float = 1.0, **args: Any) -> dict[str, Any]:
    """Write an event of the GPU. It runs long after it was launched, on a stream."""
    return host(name, 900.0, 900.0 + dur, cat, 7, correlation=correlation, device=0, **args)


def memory(at: float, size: int, device_type: int = 1) -> dict[str, Any]:
    """Write an allocation, or with a negative size a release."""
    event = host("[memory]", at, at, "cpu_instant_event", Bytes=size) | {"ph": "i"}
    event["args"]["Device Type"] = device_type
    return event


TRACE = [
    marked(f"{STAGE}decode", 10, 100),
    marked(f"{MODULE}WhisperEncoder", 12, 50),
    marked(f"{STAGE}encoder", 13, 49),
    marked(f"{MODULE}Linear8bitLt", 20, 40),
    host("aten::linear", 21, 39),
    host("aten::to", 22, 30),
    host("aten::copy_", 23, 29),
    host("cudaMemcpyAsync", 24, 25, "cuda_runtime", correlation=1),
    host("cudaStreamSynchronize", 26, 27, "cuda_runtime", correlation=2),
    host("bitsandbytes::int8_scaled_mm", 31, 38),
    host("cudaLaunchKernel", 32, 33, "cuda_runtime", correlation=3),
    host("cuLaunchKernelEx", 34, 35, "cuda_driver", correlation=4),
    marked(f"{MODULE}Linear", 60, 70),
    host("aten::addmm", 61, 69),
    host("cudaLaunchKernel", 62, 63, "cuda_runtime", correlation=5),
    host("profiler::_record_function_enter_new", 71, 72),
    host("cudaMemsetAsync", 73, 74, "cuda_runtime", correlation=6),
    host("cudaDeviceSynchronize", 90, 95, "cuda_runtime", correlation=7),
    # Before and after the stages: of no account.
    host("aten::empty", 1, 2),
    host("cudaLaunchKernel", 3, 4, "cuda_runtime", correlation=8),
    host("cudaDeviceSynchronize", 110, 120, "cuda_runtime", correlation=9),
    on_gpu("gpu_memcpy", "Memcpy DtoH (Device -> Pageable)", 1, bytes=4),
    on_gpu("kernel", "void kInt8<128, F<4> >(int, F<float>)", 3, 2.5),
    on_gpu("kernel", "void kInt8<256>(int)", 4, 1.5),
    on_gpu("kernel", "gemm", 5, 4.0),
    on_gpu("gpu_memset", "Memset (Device)", 6, bytes=16),
    on_gpu("kernel", "before", 8),
    memory(14, 100),
    memory(15, 300),
    memory(16, -100),
    memory(16.5, 5000, device_type=0),
    memory(65, 50),
]


def read(folder: Path, events: list[dict[str, Any]], device_type: int = 1) -> Tally:
    """Write events to a file and read it, in an order that time does not give."""
    path = folder / "trace.json"
    content = {"schemaVersion": 1, "traceEvents": list(reversed(events)), "displayTimeUnit": "ms"}
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_trace(path, device_type)


def test_counts_by_stage(tmp_path: Path) -> None:
    """Each thing counts in the innermost stage that called it, wherever the GPU ran it."""
    tally = read(tmp_path, TRACE)
    assert dict(tally.stages["encoder"].counts) == {
        "aten_ops": 3,
        "other_ops": 1,
        "kernels": 2,
        "copies_dtoh": 1,
        "copy_bytes_dtoh": 4,
        "stream_syncs": 1,
        "allocations": 2,
        "peak_bytes": 400,
    }
    assert dict(tally.stages["decode"].counts) == {
        "aten_ops": 1,
        "kernels": 1,
        "memsets": 1,
        "device_syncs": 1,
        "allocations": 1,
        "peak_bytes": 50,
    }
    assert [stage.gpu_time_us for stage in tally.stages.values()] == [4.0, 4.0]
    assert not tally.lost


def test_parts_name_op_and_module(tmp_path: Path) -> None:
    """What ran on the GPU carries the op and the module class that launched it."""
    parts = {
        (part.kind, part.name, part.op, part.module, part.stage): (part.count, part.time_us)
        for part in read(tmp_path, TRACE).rows()
    }
    assert parts["kernel", "kInt8", "bitsandbytes::int8_scaled_mm", "Linear8bitLt", "encoder"] == (
        2,
        4.0,
    )
    assert parts["copy", "dtoh", "aten::copy_", "Linear8bitLt", "encoder"] == (1, 1.0)
    assert parts["sync", "cudaStreamSynchronize", "aten::copy_", "Linear8bitLt", "encoder"][0] == 1
    assert parts["op", "aten::to", "aten::linear", "Linear8bitLt", "encoder"] == (1, 0.0)
    assert parts["op", "aten::linear", "", "Linear8bitLt", "encoder"] == (1, 0.0)
    assert parts["kernel", "gemm", "aten::addmm", "Linear", "decode"] == (1, 4.0)
    assert parts["sync", "cudaDeviceSynchronize", "", "", "decode"][0] == 1


GRAPH = [
    marked(f"{STAGE}decode", 10, 100),
    host("Torch-Compiled Region: 0/0", 20, 40),
    host("cudaGraphLaunch", 30, 31, "cuda_runtime", correlation=1),
    host("cudaGraphLaunch", 50, 51, "cuda_runtime", correlation=2),
    on_gpu("kernel", "triton_poi_fused_add_0", 1, 2.0, **{"graph id": 4, "graph node id": 1}),
    on_gpu("kernel", "gemm", 1, 3.0, **{"graph id": 4, "graph node id": 2}),
    on_gpu("gpu_memcpy", "Memcpy DtoD (Device -> Device)", 1, bytes=8),
    on_gpu("kernel", "gemm", 2, 3.0),
]


def test_what_a_graph_launches_counts_as_ever(tmp_path: Path) -> None:
    """Its kernels and copies have its launch's id; launches count, and captures, which are none."""
    tally = read(tmp_path, GRAPH)
    assert dict(tally.stages["decode"].counts) == {
        "other_ops": 1,
        "graph_launches": 2,
        "graph_captures": 0,
        "kernels": 3,
        "copies_dtod": 1,
        "copy_bytes_dtod": 8,
    }
    assert tally.stages["decode"].gpu_time_us == 8.0
    assert not tally.lost
    graphs = [part for part in tally.rows() if part.kind == "graph"]
    assert [(part.name, part.op, part.count) for part in graphs] == [
        ("cudaGraphLaunch", "", 1),
        ("cudaGraphLaunch", "Torch-Compiled Region: 0/0", 1),
    ]


def test_a_graph_that_left_no_trace_is_lost(tmp_path: Path) -> None:
    """A launch without a kernel is told, and a graph that is captured anew counts as such."""
    more = [
        host("cudaStreamBeginCapture", 60, 61, "cuda_runtime", correlation=7),
        host("cudaGraphLaunch", 62, 63, "cuda_runtime", correlation=8),
    ]
    tally = read(tmp_path, GRAPH + more)
    assert tally.lost == {"cudaGraphLaunch": 1}
    assert tally.stages["decode"].counts["graph_captures"] == 1


def test_what_is_captured_is_not_lost(tmp_path: Path) -> None:
    """While a graph is captured, launches do nothing yet; those after it, and of others, do."""
    more = [
        host("cudaStreamBeginCapture", 60, 61, "cuda_runtime", correlation=7),
        host("cuLaunchKernel", 62, 63, "cuda_driver", correlation=8),
        host("cudaMemcpyAsync", 63, 64, "cuda_runtime", correlation=9),
        host("cudaStreamEndCapture", 64, 65, "cuda_runtime", correlation=10),
        host("cudaLaunchKernel", 66, 67, "cuda_runtime", correlation=11),
        host("cuLaunchKernelEx", 62, 63, "cuda_driver", tid=2, correlation=12),
    ]
    tally = read(tmp_path, GRAPH + more)
    assert tally.lost == {"cudaLaunchKernel": 1, "cuLaunchKernelEx": 1}


def test_other_threads_count_in_the_stage_of_their_time(tmp_path: Path) -> None:
    """An op that another thread runs while a stage does is the stage's."""
    elsewhere = [host("aten::mul", 30, 31, tid=WORKER), host("aten::mul", 200, 201, tid=WORKER)]
    more = read(tmp_path, TRACE + elsewhere).stages["encoder"].counts
    assert more["aten_ops"] == 4


def test_on_a_cpu_the_hosts_allocations_count(tmp_path: Path) -> None:
    """Allocations of the other kind of device are not the cell's."""
    counts = read(tmp_path, TRACE, 0).stages["encoder"].counts
    assert (counts["allocations"], counts["peak_bytes"]) == (1, 5000)


def test_work_of_an_unknown_call_belongs_to_the_whole(tmp_path: Path) -> None:
    """A copy or kernel whose call the profiler has no record of counts in the outermost stage."""
    orphans = [
        on_gpu("gpu_memset", "Memset (Device)", 77, bytes=4),
        on_gpu("kernel", "hidden", 78, 3.0),
    ]
    counts = read(tmp_path, TRACE + orphans).stages["decode"]
    assert (counts.counts["memsets"], counts.counts["kernels"]) == (2, 2)
    assert counts.gpu_time_us == 7.0
    assert counts.gpu_busy_us == 9.0


def test_a_copy_of_an_unknown_kind_is_counted(tmp_path: Path) -> None:
    """A direction that nobody has heard of is a figure all the same, under one name."""
    copy = on_gpu("gpu_memcpy", "Memcpy XtoY (Device -> Moon)", 1, bytes=4)
    counts = read(tmp_path, [*TRACE, copy]).stages["encoder"].counts
    assert (counts["copies_other"], counts["copy_bytes_other"]) == (1, 4)


@pytest.mark.parametrize(
    ("record", "call"),
    [
        ("gemm", "cudaLaunchKernel"),
        ("Memcpy DtoH (Device -> Pageable)", "cudaMemcpyAsync"),
        ("Memset (Device)", "cudaMemsetAsync"),
    ],
)
def test_lost_work_is_noticed(tmp_path: Path, record: str, call: str) -> None:
    """A call without what it gave the GPU to do is counted as lost, and not as nothing."""
    kept = [event for event in TRACE if event["name"] != record]
    assert read(tmp_path, kept).lost == {call: 1}


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"traceEvents": 3}'])
def test_what_is_no_trace_is_refused(tmp_path: Path, content: str) -> None:
    """A file of another shape is one line, and no count."""
    path = tmp_path / "trace.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidMeasurementError, match="profile cannot be read"):
        read_trace(path, 0)


def test_a_trace_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that would not fit is named with the remedy, before it is read."""
    monkeypatch.setattr("whisperbench.measure.cost.trace.MAX_BYTES", 10)
    with pytest.raises(ProfilerError, match="lower cost_tokens"):
        read(tmp_path, TRACE)
