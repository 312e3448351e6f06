"""Shared by the tests of the gate's workflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.github.gates import Gate
from tests.pulls.server import Hub, served


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A repository without commits, and a server that knows it."""
    with served(Hub()) as hub:
        yield Gate(tmp_path, hub)
