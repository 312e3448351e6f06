"""A precision at a batch size, with what was measured of it: what advice chooses between."""

from __future__ import annotations

import msgspec

from whisperbench.judge.frontier import Measure


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A precision at a batch size. What was not measured is None."""

    precision: str
    batch_size: int
    latency_s: float | None = None
    """p50 of a call, which transcribes the whole batch."""
    latency_ratio: float | None = None
    """The same over the call of the reference precision at its smallest batch size."""
    processes: int = 1
    """How many processes it was timed in."""
    audio_per_s: float | None = None
    """Seconds of audio of the whole batch that are transcribed in a second of wall time."""
    weight_mib: float | None = None
    allocated_mib: float | None = None
    """Peak of torch's tensors;"""
    reserved_mib: float | None = None
    """of the tensors and torch's cache;"""
    peak_mib: float | None = None
    """of all that the process holds, or where that is hidden of the device's growth."""
    driver_mib: float | None = None
    """What the driver keeps of the device for itself."""
    wer_increase: float | None = None
    """Word error rate over that of the reference precision, as a difference; 0.01 is one point."""
    wer_interval: tuple[float, float] | None = None
    """Bounds of it: of 95 in 100 such sets of clips."""
    words: int | None = None
    """Words that were compared; None of the reference precision itself."""
    busy_share: float | None = None
    """Share of the decoding in which the GPU worked, by the cost pass."""
    over_limit: tuple[str, ...] = ()
    """Metrics that were over a limit of suite.toml where it was measured."""
    out_of_memory: bool = False
    """Whether the device that was measured had too little memory."""
    beaten_by: dict[str, tuple[Measure, ...]] = {}
    """Precisions that beat it at its batch size, where it was measured, and in what."""

    @property
    def outside_mib(self) -> float | None:
        """What the process holds outside of torch: the context and libraries."""
        if self.peak_mib is None or self.reserved_mib is None:
            return None
        return max(0.0, self.peak_mib - self.reserved_mib)
