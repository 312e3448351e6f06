"""What a profile tells of how a model ran: attention, products of matrices, families of kernels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from whisperbench.results.families import family_of
from whisperbench.results.passes import Part, PartKind

ATTENTION_OPS: Mapping[str, str] = {
    "flash on a CPU": r"aten::_scaled_dot_product_flash_attention_for_cpu$",
    "flash": r"aten::_scaled_dot_product_flash_attention$",
    "efficient": r"aten::_scaled_dot_product_efficient_attention$",
    "cudnn": r"aten::_scaled_dot_product_cudnn_attention$",
    "fused": r"aten::_scaled_dot_product_fused_attention_overrideable$",
    "math": r"aten::_scaled_dot_product_attention_math",
    "flash-attn": r"flash_attn\w*::",
}
"""The op of each implementation of attention. "math" is the one that torch's
scaled_dot_product_attention takes when no fused kernel will do."""

ATTENTION_KERNELS: Mapping[str, str] = {
    "cudnn": r"cudnn.*(sdpa|fmha)",
    "flash": r"flash_fwd|pytorch_flash",
    "efficient": r"fmha_cutlass",
    "math": r"softmax",
}
"""A GPU's kernels of each, of which nothing else tells where a CUDA graph launched them."""

_PRODUCT = re.compile(r"(mm|::linear|_linear|matmul|MatMul\w*|(gemm|gemv|dequantize)_4bit)$")
_SOFTMAX = "aten::softmax"
_GRAPH = "cudaGraphLaunch"
_REGION = "Torch-Compiled Region"
_COMPILED = (_REGION, "## Call CompiledFxGraph")
"""How the ops begin that torch.compile marks: its call, and in it the one of inductor's graph."""


class Seen(NamedTuple):
    """What was seen, by fields of `Ran`."""

    attention: tuple[str, ...]
    products: dict[str, int]
    kernels: dict[str, int] | None
    graph_launches: int | None
    compiled_calls: int


def seen_in(parts: Iterable[Part], *, on_gpu: bool) -> Seen:
    """Say what a profile's parts tell.

    Args:
        parts: of all stages.
        on_gpu: whether the profiler saw a GPU's side.
    """
    found = list(parts)
    families = Counter[str]()
    for part in found:
        if part.kind == "kernel":
            families[family_of(part) or ""] += part.count
    return Seen(
        attention=_attention(found),
        products=_products(found),
        kernels=dict(families.most_common()) if on_gpu else None,
        graph_launches=_count(found, "graph", _GRAPH) if on_gpu else None,
        compiled_calls=_count(found, "op", _REGION),
    )


def _count(parts: Iterable[Part], kind: PartKind, begins: str) -> int:
    return sum(part.count for part in parts if part.kind == kind and part.name.startswith(begins))


def _attention(parts: Sequence[Part]) -> tuple[str, ...]:
    names = set()
    for part in parts:
        if part.kind == "op":
            names |= {name for name, op in ATTENTION_OPS.items() if re.match(op, part.name)}
            if part.name == _SOFTMAX and not part.op and "Attention" in part.module:
                names.add("eager")
        elif part.kind == "kernel" and (not part.op or part.op.startswith(_COMPILED)):
            kernels = ATTENTION_KERNELS.items()
            names |= {name for name, kernel in kernels if re.search(kernel, part.name)}
    return tuple(sorted(names))


def _products(parts: Iterable[Part]) -> dict[str, int]:
    """Count the ops that multiply matrices; torch's within another library's with that one's."""
    found = Counter[str]()
    for part in parts:
        if part.kind == "op" and _PRODUCT.search(part.name):
            library = "" if part.op.startswith("aten::") else part.op
            if library.startswith(_COMPILED):  # whose name has a digest
                library = "a compiled graph"
            within = library and part.name.startswith("aten::")
            found[f"{part.name} in {library}" if within else part.name] += part.count
    return dict(found.most_common())
