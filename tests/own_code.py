"""A transcriber as people write one, for fresh processes; and a spike of memory that torch misses.

pytest is not imported: it would be, in every child.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whisperbench.measure.memory.watched import run_cell
from whisperbench.whisper import loading

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

    from whisperbench.measure.cell_request import CellRequest
    from whisperbench.whisper.transcriber import Transcription

SPIKE_BYTES = 2**30
HELD_S = 0.005


class Saying:
    """It says the same of every recording, after as long as a probe needs to look at it."""

    def __init__(self, folder: Path, device: str) -> None:
        self.told = folder, device

    def transcribe(self, samples: NDArray[np.float32], rate: int) -> str:
        """Return what the clip `yes` says."""
        assert len(samples) > rate
        time.sleep(HELD_S)
        return "Yes, of course."


def spike() -> None:
    """Touch a GiB that no allocator of torch's or of Python's knows of, and give it back."""
    with mmap.mmap(-1, SPIKE_BYTES) as block:
        pages = np.frombuffer(block, dtype=np.uint8)[:: mmap.PAGESIZE]
        pages[:] = 1
        time.sleep(HELD_S)
        del pages


def run_with_spikes(connection: Connection[Any, Any], request: CellRequest) -> None:
    """Go through a real cell whose every transcription has a spike in it."""
    load = loading.load_model

    def load_spiking(*arguments: Any) -> Any:
        loaded = load(*arguments)
        bind = loaded.transcriber

        def bind_spiking(*batch: Any, **options: Any) -> Any:
            made: Any = bind(*batch, **options)
            call = made.transcribe

            def transcribe(tokens: int | None) -> Transcription:
                spike()
                done: Transcription = call(tokens)
                return done

            made.transcribe = transcribe
            return made

        loaded.transcriber = bind_spiking  # type: ignore[method-assign]
        return loaded

    loading.load_model = load_spiking  # type: ignore[assignment]
    run_cell(connection, request)
