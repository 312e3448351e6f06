"""What a GPU's kernel does, told by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from whisperbench.results.passes import Part

FAMILIES: Mapping[str, str] = {
    "attention": r"sdpa|flash|fmha|attention|softmax",
    "quantizing": r"quant",
    "8-bit matrix products": r"gemm_(?:s8|i8|u8)|i\d+gemm|imma|igemm|int8|_s8_",
    "matrix products": r"gemm|gemv|nvjet|cutlass|xmma|matmul|conv|ampere_|splitk|dot_k",
    "search and sort": r"sort|select|scan|compact|nonzero|unique|searchsorted|adjacent|cub::",
    "norms and sums": r"norm|reduc|sum|mean|welford|argmax|topk",
    "moving data": r"copy|cat|index|gather|scatter|transpose|nchw|nhwc|embedding|memset|permute",
    "element by element": r"elementwise|fill|arange|pointwise|gelu|masked|where|triton_poi",
}
"""Families, in the order in which they are tried, and what in a kernel's name tells of them."""

OTHER = "other"

_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in FAMILIES.items()}


def family_of(part: Part) -> str | None:
    """Return the family of what the GPU did; None of a part that is no work of a GPU.

    >>> gemm = Part(kind="kernel", name="cutlass_80_i16832gemm_s8", op="", module="",
    ...             stage="decode", count=1)
    >>> family_of(gemm)
    '8-bit matrix products'
    """
    if part.kind in ("copy", "memset"):
        return "moving data"
    if part.kind != "kernel":
        return None
    found = (name for name, pattern in _PATTERNS.items() if pattern.search(part.name))
    return next(found, OTHER)
