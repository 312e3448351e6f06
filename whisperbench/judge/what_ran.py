"""What ran of a cell, held against what ran in the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from whisperbench.results.passes import MemoryResult, SoakResult, StartupResult
from whisperbench.results.ran import Ran
from whisperbench.results.records import Judgement, Machine, Measurement, Verdict
from whisperbench.units import mib

WHAT_RAN = "what ran"
"""What stands for it where verdicts name a metric."""

_SLOW = ("math", "eager")
"""Implementations of attention that no fused kernel is of."""


class Change(NamedTuple):
    """Something ran otherwise."""

    sentence: str
    better: bool = False
    """Whether it is sure to be better. What is merely other is not."""


def judge_what_ran(
    base: Measurement, head: Measurement, was: Machine, now: Machine
) -> Verdict | None:
    """Judge what ran as a count is judged: what is not surely better than the base's is worse.

    Returns:
        The verdict; None where the same ran, and where the base does not say what did, as older
        files do not.
    """
    old, new = base.found.ran, head.found.ran
    if old is None:
        return None
    if new is None:
        return _verdict("missing", "the head does not say what ran")
    same_device = was.device_key == now.device_key
    own_process = isinstance(head.found, MemoryResult | SoakResult | StartupResult)
    found = list(changes(old, new, same_device=same_device, own_process=own_process))
    if found:
        outcome: Judgement = "improved" if all(change.better for change in found) else "regressed"
        return _verdict(outcome, "; ".join(change.sentence for change in found))
    if old.attention is not None and new.attention is None:
        return _verdict("missing", "the head did not look at what attention ran")
    return None


def _verdict(outcome: Judgement, sentence: str) -> Verdict:
    return Verdict(verdict=outcome, metric=WHAT_RAN, unit="1", sentence=sentence)


def changes(old: Ran, new: Ran, *, same_device: bool, own_process: bool = True) -> Iterator[Change]:
    """Name what ran otherwise.

    Ops and kernels are not among it: they are counted, and their counts are judged.

    Args:
        old: the base's.
        new: the head's.
        same_device: whether both are of one device key. On another one, attention is another
            program, and other dtypes are emulated.
        own_process: whether the cell had its process to itself, or both sides ran the same cells.
            Graphs are counted from the loading of the model on, so that those of a model which
            several cells share depend on which of them ran before.
    """
    # People's own code may tell no weights; whether it does is no change of them.
    if old.weights and new.weights and old.weights != new.weights:
        before, after = _held(old.weights), _held(new.weights)
        less = sum(new.weights.values()) < sum(old.weights.values())
        yield Change(f"the weights were {before} and are {after}", better=less)
    elif old.layers is not None and new.layers is not None and old.layers != new.layers:
        yield Change(f"linear layers were {_counts(old.layers)} and are {_counts(new.layers)}")
    if old.computes_in != new.computes_in:
        yield Change(f"layers multiplied in {old.computes_in} and do in {new.computes_in}")
    if old.threads != new.threads:
        yield Change(f"the library's own threads were {old.threads} and are {new.threads}")
    if own_process:
        yield from _compiled(old, new)
    if not same_device:
        return
    if old.emulated != new.emulated:
        yield Change(
            f"{old.emulated or 'nothing'} was emulated and {new.emulated or 'nothing'} is",
            better=new.emulated is None,
        )
    if old.attention is not None and new.attention is not None and old.attention != new.attention:
        yield Change(
            f"attention was {_names(old.attention)} and is {_names(new.attention)}",
            better=_is_slow(old.attention) and not _is_slow(new.attention),
        )


def _compiled(old: Ran, new: Ran) -> Iterator[Change]:
    before, after = old.compiled_graphs, new.compiled_graphs
    if before == after or before is None or after is None:
        return
    yield Change(f"torch.compile made {before} graphs and makes {after}", better=0 < after < before)


def _is_slow(attention: tuple[str, ...]) -> bool:
    return any(name in _SLOW for name in attention)


def _names(names: tuple[str, ...]) -> str:
    return " and ".join(names) or "none that is known"


def _held(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{mib(size):.4g} MiB of {dtype}" for dtype, size in weights.items())


def _counts(layers: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {layer}" for layer, count in layers.items())
