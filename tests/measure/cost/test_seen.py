"""What a profile tells of how a model ran, on parts as profilers write them."""

from __future__ import annotations

import msgspec
import pytest

from tests.runs import cost_of
from whisperbench.asked.checkout import ROOT
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.measure.cost.seen import ATTENTION_OPS, Seen, seen_in
from whisperbench.results.passes import Part, PartKind
from whisperbench.results.ran import Ran
from whisperbench.results.records import Measurement
from whisperbench.results.run_file import read_run
from whisperbench.whisper.backend_choice import BACKENDS
from whisperbench.whisper.must import Must, departures

BASELINE = ROOT / "baselines" / "nvidia-h200-sm90-140gib" / "default.json"
"""dummy:large-v3 on an H200 in six precisions, with the parts of its cost."""

LAYERS = 32 * 6 + 32 * 10
"""Linear layers of large-v3 that are quantized."""


def recorded() -> dict[str, Measurement]:
    """Return what an H200 did, by precision."""
    run = read_run(BASELINE)
    return {row.cell.precision: row for row in run.measurements if row.benchmark == "cost"}


def ran_of(row: Measurement, parts: tuple[Part, ...]) -> tuple[Must, Ran]:
    """Return what must be true of a precision on a GPU, and what a profile of it shows."""
    precision = PRECISIONS[row.cell.precision]
    must = BACKENDS[precision.backend].must(precision.options, precision.dtype, on_host=False)
    assert must.layers is not None
    ran = Ran(
        weights=dict.fromkeys(must.holds, 1),
        computes_in=must.computes_in[0],
        layers={f"{must.layers.name} of {must.layers.dtype}": LAYERS},
        **seen_in(parts, on_gpu=True)._asdict(),
    )
    return must, ran


def test_what_an_h200_did_is_what_it_is_called() -> None:
    """Six precisions of a real GPU: each ran its own products, kernels and fused attention."""
    attention = {}
    for precision, row in recorded().items():
        must, ran = ran_of(row, cost_of(row).parts)
        assert list(departures(must, row.cell.attention, ran)) == [], precision
        attention[precision] = ran.attention
    assert len(attention) == 6
    assert attention.pop("fp32") == ("efficient",)
    assert set(attention.values()) == {("cudnn",)}


def test_a_profile_of_another_precision_departs() -> None:
    """What an H200 did of fp16 is neither int8 nor 4 bits, and of these each is only itself."""
    rows = recorded()
    for name in ("int8", "int8-t0", "nf4"):
        for other, row in rows.items():
            must, ran = ran_of(rows[name], cost_of(row).parts)
            same = other == name or {name, other} == {"int8", "int8-t0"}
            assert (list(departures(must, "sdpa", ran)) == []) == same, (name, other)


def test_int8_that_cublaslt_has_no_way_of_is_found() -> None:
    """bitsandbytes then multiplies 32-bit floats within its int8 op, and only warns."""
    row = recorded()["int8"]
    op = "bitsandbytes::int8_linear_matmul"
    within = part("op", "aten::matmul", op=op)
    must, ran = ran_of(row, (*cost_of(row).parts, within))
    assert list(departures(must, "sdpa", ran)) == [
        "bitsandbytes multiplied int8 as 32-bit floats, as it does where cuBLASLt has no way of "
        "its own"
    ]
    floats = tuple(
        msgspec.structs.replace(each, name="ampere_sgemm_64x64_tn") if each.op == op else each
        for each in cost_of(row).parts
        if each.kind == "kernel"
    )
    ops = tuple(each for each in cost_of(row).parts if each.kind == "op")
    must, ran = ran_of(row, (*ops, *floats))
    (said,) = departures(must, "sdpa", ran)
    assert said.startswith("no kernel of the family 8-bit matrix products ran; those that did are ")


def part(
    kind: PartKind, name: str, *, op: str = "", module: str = "Linear", count: int = 1
) -> Part:
    """Make up a part."""
    return Part(kind=kind, name=name, op=op, module=module, stage="decode", count=count)


@pytest.mark.parametrize("name", ATTENTION_OPS)
def test_each_attention_has_its_own_op(name: str) -> None:
    """No implementation's op is taken for another's: some begin alike."""
    op = ATTENTION_OPS[name].rstrip("$").replace(r"\w*", "_2")
    assert seen_in([part("op", op)], on_gpu=False).attention == (name,)


def test_eager_attention_is_a_softmax_of_its_own() -> None:
    """That of torch's math kernel is within its op, and that of a sampler in no attention."""
    eager = part("op", "aten::softmax", module="WhisperAttention")
    math = msgspec.structs.replace(eager, op="aten::_scaled_dot_product_attention_math")
    other = msgspec.structs.replace(eager, module="WhisperDecoder")
    found = [seen_in([each], on_gpu=False).attention for each in (eager, math, other)]
    assert found == [("eager",), (), ()]


def test_what_a_cuda_graph_launched_is_told_by_its_kernels() -> None:
    """Its kernels have no op of torch's above them; those that have are told by it."""
    region = "Torch-Compiled Region: 0/0"
    kernels = (
        part("kernel", "pytorch_flash::flash_fwd_kernel", op=region, count=2),
        part("kernel", "triton_per_fused__softmax_3", op=region),
        part("kernel", "fmha_cutlassF_f16", op="aten::_efficient_attention_forward"),
        part("graph", "cudaGraphLaunch", op=region, count=3),
        part("graph", "cudaStreamBeginCapture", op=region),
        part("op", region, count=3),
        part("op", "aten::addmm", op="## Call CompiledFxGraph fuw5z5yu ##", count=21),
    )
    assert seen_in(kernels, on_gpu=True) == Seen(
        attention=("flash", "math"),
        products={"aten::addmm in a compiled graph": 21},
        kernels={"attention": 4},
        graph_launches=3,
        compiled_calls=3,
    )
    unseen = seen_in(kernels, on_gpu=False)
    assert (unseen.kernels, unseen.graph_launches) == (None, None)
