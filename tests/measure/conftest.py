"""What tests of fresh processes are given."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nobody_is_left() -> Iterator[None]:
    """Whatever becomes of a pass, its process is gone afterwards."""
    yield
    left = multiprocessing.active_children()
    for process in left:
        process.kill()
    assert not left
