"""Names of a GPU's kernels, shortened to what tells them apart."""

from __future__ import annotations

import re
from functools import cache

_NAME_LENGTH = 64
_TEMPLATE = re.compile(r"<[^<>]*>")
_CUTLASS = re.compile(r"void cutlass::(?:Kernel2?|device_kernel)<([^<>(,]+)")


@cache
def short_name(kernel: str) -> str:
    """Shorten a kernel's name: without its return type, template arguments and parameters.

    CUTLASS launches through a wrapper whose template argument is the kernel's name.

    >>> short_name("void at::native::elementwise_kernel<128, 4, F<float> >(int, F<float>)")
    'at::native::elementwise_kernel'
    >>> short_name("sm90_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize64x64x64")
    'sm90_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize64x64x64'
    >>> short_name("void cutlass::Kernel2<cutlass_80_tensorop_i16832gemm_s8>(X::Params)")
    'cutlass_80_tensorop_i16832gemm_s8'
    """
    name = kernel.replace("(anonymous namespace)::", "")
    if wrapped := _CUTLASS.match(name):
        name = wrapped[1]
    while (shorter := _TEMPLATE.sub("", name)) != name:
        name = shorter
    name = (name.partition("(")[0].split() or [kernel])[-1]
    while len(name) > _NAME_LENGTH and "::" in name:
        name = name.partition("::")[2]
    return name[:_NAME_LENGTH]
