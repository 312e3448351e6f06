"""torch's threads, held to a number for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_most_threads(most: int) -> Iterator[None]:
    """Keep torch to so many threads, or to fewer where it has fewer."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(min(before, most))
    try:
        yield
    finally:
        torch.set_num_threads(before)
