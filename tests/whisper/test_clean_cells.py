"""A hundred cells as they are: what runs of each is what it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from tests.whisper.running import load, run
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.suite import Attention
from whisperbench.results.ran import Ran
from whisperbench.whisper.checkpoints import Checkpoint, resolve_checkpoint

QUICK = ("fp32", "int8", "int8-t0", "nf4")
SLOW = ("fp16", "bf16", "as-saved")
"""Those whose arithmetic an x86 CPU of old emulates: the models were saved in 16-bit floats."""

ATTENTION: dict[Attention, tuple[str, ...]] = {"sdpa": ("flash on a CPU",), "eager": ("eager",)}
"""What runs of each on a CPU."""

CLIPS = ("bridge", "harbour", "library", "mountain", "yes")
ONE: tuple[tuple[str, int], ...] = (("yes", 1),)
ALL = (*((clip, batch_size) for clip in CLIPS for batch_size in (1, 2)), ("yes", 3))


def cells(
    checkpoint: Checkpoint,
    rows: Iterable[str],
    attentions: Iterable[Attention],
    batches: Iterable[tuple[str, int]],
) -> Iterator[Ran]:
    """Load a checkpoint in each row and attention, and run it on each batch."""
    for row in rows:
        for attention in attentions:
            loaded = load(checkpoint, row, attention)
            for clip, batch_size in batches:
                ran = run(loaded, clip, batch_size, tokens=1)
                assert ran.attention == ATTENTION[attention], (row, clip, batch_size)
                yield ran
            loaded.close()


@pytest.fixture(scope="module")
def counts() -> Counter[str]:
    """How many cells ran, by the dtypes that their weights are held in."""
    return Counter()


@pytest.mark.parametrize("attention", ATTENTION)
def test_cells_of_the_smallest_model(
    speck: Checkpoint, attention: Attention, counts: Counter[str]
) -> None:
    """Each row on five clips, one and two and three at a time: none of 94 cells is invalid."""
    found = [
        *cells(speck, QUICK, [attention], ALL),
        *cells(speck, SLOW, [attention], ONE),
    ]
    counts.update(", ".join(ran.weights) for ran in found)
    assert len(found) == 47


def test_cells_of_other_models(shallow: Checkpoint, counts: Counter[str]) -> None:
    """A trained one and one of another shape: none of 6 is invalid, which are a hundred in all."""
    nano = resolve_checkpoint(ModelSpec.parse("nano"))
    found = [*cells(nano, QUICK, ["sdpa"], ONE), *cells(shallow, ("int8", "nf4"), ["sdpa"], ONE)]
    counts.update(", ".join(ran.weights) for ran in found)
    assert counts.total() == 100
