"""What each test of a watched cell is given: a card and quick polls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workloads import Card
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.fresh import start_process
from whisperbench.measure.memory import probe as probe_module
from whisperbench.measure.memory import watching


@pytest.fixture
def card() -> Card:
    """A card that nobody uses."""
    return Card()


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the processes in every poll: a phase then takes 5 ms, and not 300."""
    monkeypatch.setattr(probe_module, "STILL_INTERVAL_S", 0.0)
    monkeypatch.setattr(probe_module, "PROCESSES_INTERVAL_S", 0.0)

    def start(target: Any, request: CellRequest, *, forked: bool) -> Any:
        """Fork a cell also where it would be started from nothing, which takes seconds."""
        assert forked == (not request.accelerator.on_host)
        return start_process(target, request)

    monkeypatch.setattr(watching, "start_process", start)
