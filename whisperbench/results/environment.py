"""Where a run happened: the machine and the stack, without a word about who ran it."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from platformdirs import user_cache_path

from whisperbench import __version__
from whisperbench.errors import InputError
from whisperbench.paths import expanded

STACK = (
    "torch",
    "transformers",
    "bitsandbytes",
    "torchao",
    "ctranslate2",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "nvidia-ml-py",
    "jiwer",
    "whisper-normalizer",
    "soundfile",
    "soxr",
    "pytest",
    "pytest-benchmark",
)
"""Packages whose versions a result records: the stack under test, and what measured it."""


CACHE_VARIABLE = "WHISPERBENCH_CACHE"
"""Environment variable that moves the cache folder."""


def cache_folder() -> Path:
    """Return where dummies, measured rates and locks are kept.

    Raises:
        InputError: nobody says where, and there is no home folder.
    """
    override = os.environ.get(CACHE_VARIABLE)
    if override:
        return expanded(override)
    try:
        folder = user_cache_path("whisperbench")
    except RuntimeError:
        folder = Path("~")
    if folder.parts[0] == "~":
        raise InputError(
            f"there is no home folder for the cache: set HOME, or {CACHE_VARIABLE} to a folder "
            "that can be written"
        )
    return folder


def versions() -> dict[str, str]:
    """Return the versions of the stack and of this package; one that is absent has no entry."""
    found = {"whisperbench": __version__}
    for package in STACK:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def device_key(
    name: str,
    *,
    capability: tuple[int, int] | None,
    memory_mib: int,
    cores: float,
    kind: str = "cpu",
    on_host: bool = False,
) -> str:
    """Make the slug of what must be equal before two runs are compared.

    A GPU's is its name, compute capability and memory, another device's its kind, name and memory.
    That of the host itself is its kind, its model and the cores that may be used of it. Memory is
    rounded to GiB, because drivers differ by a few MiB in what they keep for themselves. A
    container's part of a core is not rounded: 1.5 and 2 cores take different times. It is given in
    thousandths, as Kubernetes does.

    >>> device_key("NVIDIA H200", capability=(9, 0), memory_mib=143771, cores=16)
    'nvidia-h200-sm90-140gib'
    >>> device_key("Max 1100", kind="xpu", capability=None, memory_mib=49152, cores=16)
    'xpu-max-1100-48gib'
    >>> device_key("AMD EPYC 9R14", capability=None, memory_mib=24000, cores=2, on_host=True)
    'cpu-amd-epyc-9r14-2c'
    >>> device_key("AMD EPYC 9R14", capability=None, memory_mib=24000, cores=1.5, on_host=True)
    'cpu-amd-epyc-9r14-1500mc'
    """
    if on_host:
        share = f"{cores:.0f}c" if cores == int(cores) else f"{1000 * cores:.0f}mc"
        return _slug(f"{kind} {name} {share}")
    gib = f"{round(memory_mib / 1024)}gib"
    if capability is None:
        return _slug(f"{kind} {name} {gib}")
    return _slug(f"{name} sm{capability[0]}{capability[1]} {gib}")


def instruction_set_key(instruction_set: str) -> str:
    """Make the slug of what CPUs share that run the same code: architecture and level.

    Whether bfloat16 is native is left out: figures that depend on it say so themselves. No device
    key is like it, for those of a CPU end in its cores.

    Args:
        instruction_set: as figures have it among their conditions.

    >>> instruction_set_key("x86_64 AVX2")
    'cpu-x86-64-avx2'
    >>> instruction_set_key("x86_64 AVX512 bf16")
    'cpu-x86-64-avx512'
    """
    return _slug(f"cpu {instruction_set.removesuffix(' bf16')}")


def operating_system() -> str:
    """Name the system and its release, as in "Linux 6.1.0"."""
    return f"{platform.system()} {platform.release()}"


def _slug(text: str) -> str:
    plain = re.sub(r"\((?:r|tm)\)", " ", text.lower())
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
