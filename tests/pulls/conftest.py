"""Fixtures of the tests of pull requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pulls.server import Hub, served


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A server that knows nothing yet."""
    with served(Hub()) as running:
        yield running
