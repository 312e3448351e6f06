"""Whisper's log-mel spectrogram, for many windows at once on the training device."""

from __future__ import annotations

import torch
from transformers import WhisperFeatureExtractor

_FFT = 400
_HOP = 160


def mel_filters(bins: int, device: str) -> torch.Tensor:
    """Return the extractor's own filters, of shape (bins, frequencies)."""
    filters = WhisperFeatureExtractor(feature_size=bins).mel_filters
    return torch.tensor(filters, dtype=torch.float32, device=device).T.contiguous()


def log_mel(waves: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Return what WhisperFeatureExtractor makes of each window.

    Args:
        waves: of shape (batch, samples), padded to the window.
        filters: as `mel_filters` returns them.

    Returns:
        A tensor of shape (batch, bins, frames), 100 frames a second.
    """
    window = torch.hann_window(_FFT, device=waves.device)
    spectrum = torch.stft(waves, _FFT, _HOP, window=window, return_complex=True)
    power = spectrum[..., :-1].abs().square()
    logarithm = (filters @ power).clamp(min=1e-10).log10()
    loudest = logarithm.amax(dim=(1, 2), keepdim=True)
    return (logarithm.maximum(loudest - 8.0) + 4.0) / 4.0
