"""What tests of the cost pass share: the smallest dummy."""

from __future__ import annotations

from pathlib import Path

import pytest

from whisperbench.asked.models import ModelSpec
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.dummy import ensure_dummy


@pytest.fixture(scope="module")
def shallow(cache: Path) -> Checkpoint:
    """The first layers of dummy:tiny, which are as good for counting."""
    folder = ensure_dummy("tiny:1", cache)
    return Checkpoint(spec=ModelSpec.parse("dummy:tiny:1"), folder=folder, fingerprint="")
