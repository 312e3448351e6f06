"""How loud a recording is, and whether anything can be heard in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from whisperbench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNDIVIDED = 8.0
"""A peak over this is no recording: +18 dB over full scale, where mastered music and a decoder's
overshoot stay under +6 dB, and 8-bit integers that were taken for floats come to 127."""

LARGEST = 2.0**31
"""No integer of 32 bits is beyond this. Only damage is."""

OVER = 1.1
"""Up to this (+0.8 dB) the decoders of lossy formats overshoot full scale."""

SILENT = 2.0**-15
"""One step of 16 bits. What swings no further, around whatever offset, is digital silence."""

QUIET = 0.001
"""-60 dBFS: of 16 bits, five are in use. Speech that was recorded at all peaks above -40 dBFS."""

CANCELLED = 0.01
"""Of the power that unrelated channels keep when they are averaged: 20 dB are lost."""

WEAKENED = 0.25
"""Of the same: 6 dB are lost."""

OFFSET = 0.02
"""Cheap sound cards are off by up to 1 % of full scale."""

AT_FULL_SCALE = 0.9995
CLIPPED_SHARE = 0.001
"""Speech that was normalized to full scale touches it in a few samples of a hundred thousand. Of
integers that were stored as floats, all that are not 0 reach it; of a click, hardly any."""


class Levels:
    """What is known of a recording's levels, gathered block by block."""

    def __init__(self, channels: int) -> None:
        self._low = np.full(channels, np.inf)
        self._high = np.full(channels, -np.inf)
        self._sums = np.zeros(channels + 1)
        """Of each channel, and of their mean."""
        self._squares = np.zeros(channels + 1)
        self._frames = 0
        self._at_full_scale = 0

    def add(self, frames: NDArray[np.float32], mono: NDArray[np.float32]) -> None:
        """Take in a block: of shape (n, channels), and the mean of its channels."""
        # A row each: across rows, numpy takes ten times as long.
        signals = np.empty((frames.shape[1] + 1, len(frames)))
        signals[:-1], signals[-1] = frames.T, mono
        channels = signals[:-1]
        low, high = channels.min(axis=1), channels.max(axis=1)
        self._low = np.minimum(self._low, low)
        self._high = np.maximum(self._high, high)
        self._sums += signals.sum(axis=1)
        self._squares += np.einsum("ij,ij->i", signals, signals)
        self._frames += len(frames)
        if max(-low.min(), high.max()) >= AT_FULL_SCALE:
            self._at_full_scale += int(np.count_nonzero(np.abs(channels) >= AT_FULL_SCALE))

    @property
    def peak(self) -> float:
        """The largest sample of any channel; full scale is 1."""
        return float(max(-self._low.min(), self._high.max()))

    def remarks(self, name: str, file: str, text: str | None) -> list[str]:
        """Say what is odd about the levels.

        Args:
            name: what to call the recording.
            file: where it lies.
            text: what is said in it; empty for silence, None where nobody wrote it down.

        Raises:
            InputError: nothing sensible can be heard.
        """
        where = f"clip {name}: {file}"
        self._require_scale(where)
        peak, share = self.peak, self._clipped_share
        swing = float((self._high - self._low).max()) / 2
        if swing <= SILENT:
            if text:
                raise InputError(
                    f"{where} is silent (its peak is {_db(peak)}, its samples move by {_db(swing)} "
                    "around their offset), and its text has words; record it again"
                )
            # A text that is empty says that it is silent.
            return [f"Clip {name} is silent."] if text is None else []
        said = self._of_channels(where)
        if peak > OVER:
            said.append(f"peaks at {peak:.2f} times full scale ({_db(peak)})")
        if peak <= 1 and share > CLIPPED_SHARE:
            said.append(f"is clipped: {share:.1%} of its samples are at full scale")
        if swing < QUIET and text != "":
            said.append(f"is very quiet: its samples move by {_db(swing)}")
        means = self._sums / self._frames
        offset = float(means[np.abs(means).argmax()])
        if abs(offset) > OFFSET:
            said.append(f"has an offset: its samples are {offset:+.3f} of full scale on average")
        return [f"Clip {name} {what}." for what in said]

    @property
    def _clipped_share(self) -> float:
        return self._at_full_scale / max(1, self._frames * len(self._low))

    def _require_scale(self, where: str) -> None:
        """Refuse samples that are no share of full scale."""
        peak, share = self.peak, self._clipped_share
        if peak > LARGEST:
            raise InputError(
                f"{where} is damaged: it peaks at {peak:.0e} times full scale, which no recording "
                "does; copy it again from where it came from"
            )
        if peak > UNDIVIDED and share <= CLIPPED_SHARE:
            raise InputError(
                f"{where} peaks at {peak:,.0f} times full scale ({_db(peak)}), in {share:.3%} of "
                "its samples: a click, or damage; copy it again from where it came from, or cut "
                "it down to full scale, as by ffmpeg with -c:a pcm_s16le"
            )
        if peak > UNDIVIDED:
            divisor = next((step for step in (2**7, 2**15, 2**23) if peak <= step), 2**31)
            raise InputError(
                f"{where} peaks at {peak:,.0f} times full scale ({_db(peak)}): integers that were "
                f"stored as floats; divide them, as by ffmpeg with -af volume=1/{divisor}"
            )

    def _of_channels(self, where: str) -> list[str]:
        """Say whether channels weaken each other when they are averaged.

        Raises:
            InputError: they cancel each other out.
        """
        peak = self.peak
        means = self._sums / self._frames
        power = self._squares / self._frames - np.square(means)
        channels = len(self._low)
        # Channels that have nothing to do with each other, one that is heard among silent ones
        # too, keep a share of 1 / channels when they are averaged; equal ones keep all.
        kept = float(power[-1] / power[:-1].mean()) * channels
        if channels > 1 and kept < CANCELLED:
            raise InputError(
                f"{where} peaks at {_db(peak)}, and its {channels} channels cancel each other out "
                "when they are averaged: they are of opposite phase; keep one, as by ffmpeg with "
                '-af "pan=mono|c0=c0"'
            )
        if channels > 1 and kept < WEAKENED:
            return [
                f"loses {-10 * math.log10(kept):.0f} dB when its {channels} channels are averaged: "
                "they are partly of opposite phase"
            ]
        return []


def _db(level: float) -> str:
    """Write a level in decibels of full scale."""
    return f"{20 * math.log10(level):+.1f} dBFS" if level > 0 else "0"
