"""From a plan to sound, on the training device: utterances laid out, noise and rooms added."""

from __future__ import annotations

import math

import torch

from training.config import Augmentation
from training.windows import Plan
from whisperbench.units import SAMPLE_RATE_HZ

_ROOM_S = 0.5
# Until the first echo, as in a room: 2 ms are 70 cm.
_FIRST_ECHO = 32
_MASKED_BINS = 12
_HOP = 160


def lay_out(samples: torch.Tensor, plan: Plan, total: int, size: int) -> torch.Tensor:
    """Play a plan's utterances into its windows.

    An utterance that is played faster or slower is interpolated between its samples.

    Args:
        samples: the corpus, 16 bits, on the plan's device.
        plan: what goes where.
        total: the sum of its counts; to fetch it from a GPU would wait for the GPU.
        size: samples of a window.

    Returns:
        A tensor of shape (windows, size), full scale at 1.0.
    """
    device = plan.source.device
    waves = torch.zeros(len(plan.lengths) * size, device=device)
    if total:
        rows = torch.arange(len(plan.count), device=device)
        row = torch.repeat_interleave(rows, plan.count, output_size=total)
        within = torch.arange(total, device=device) - (plan.count.cumsum(0) - plan.count)[row]
        position = within * plan.speed[row]
        whole = position.long()
        first = plan.source[row] + whole
        # The last sample of all has none after it.
        second = (first + 1).clamp(max=len(samples) - 1)
        left, right = samples[first].float(), samples[second].float()
        played = torch.lerp(left, right, position - whole)
        waves[plan.target[row] + within] = played * (plan.gain[row] / 2**15)
    return waves.view(-1, size)


# Over 60 lines: one effect after the other, each with its own numbers.
def augment(
    waves: torch.Tensor, plan: Plan, settings: Augmentation, generator: torch.Generator
) -> torch.Tensor:
    """Put the windows into rooms, add noise and tones, change the level, clip.

    Args:
        waves: of shape (windows, samples); not changed.
        plan: tells where recordings end and which have no speech.
        settings: how often, and how strongly.
        generator: what all is drawn from, on the device of the waves.
    """
    windows, size = waves.shape
    device = waves.device

    def uniform(low: float, high: float) -> torch.Tensor:
        drawn = torch.rand(windows, 1, device=device, generator=generator)
        return low + (high - low) * drawn

    changed = uniform(0, 1) >= settings.clean

    def some(share: float) -> torch.Tensor:
        return changed & (uniform(0, 1) < share)

    room = round(_ROOM_S * SAMPLE_RATE_HZ)
    length = 1 << (size + room - 1).bit_length()
    frequency = torch.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ, device=device)

    spectrum = torch.fft.rfft(waves, length)
    echo = _echo(uniform(*settings.decay_s), uniform(0.0, 15.0), room, generator)
    spectrum *= torch.where(some(settings.reverberation), torch.fft.rfft(echo, length), 1.0)
    low, high = uniform(20.0, 350.0), uniform(2500.0, 7800.0)
    passed = 1 / (1 + (low / frequency.clamp(min=1.0)) ** 8) / (1 + (frequency / high) ** 8)
    spectrum *= torch.where(some(settings.band), passed, 1.0)
    sound = torch.fft.irfft(spectrum, length)[:, :size]

    # Speech's power where there is speech: pauses don't make noise softer.
    speaking = waves != 0
    power = (sound.square() * speaking).sum(1, keepdim=True) / speaking.sum(1, keepdim=True).clamp(
        min=1
    )
    speechless = plan.speechless[:, None]
    level = torch.where(
        speechless, _ratio(uniform(-70.0, -20.0)), power.sqrt() * _ratio(-uniform(*settings.snr_db))
    )
    colour = uniform(0.0, 2.0)
    noise = _noise(frequency, colour, length, generator)[:, :size]
    sound = sound + torch.where(some(settings.noise), level, 0.0) * noise

    loudness = torch.where(speechless, uniform(-45.0, -6.0), uniform(-50.0, -25.0))
    time = torch.arange(size, device=device) / SAMPLE_RATE_HZ
    pitch = 50.0 * (80.0 ** uniform(0, 1))
    tone = torch.sin(2 * math.pi * pitch * time)
    humming = some(settings.tone) | (speechless & some(0.3))
    sound = sound + torch.where(humming, _ratio(loudness), 0.0) * tone

    gain = _ratio(uniform(*settings.gain_db))
    sound = sound * torch.where(changed, gain, 1.0)
    peak = sound.abs().amax(1, keepdim=True).clamp(min=1e-4)
    over = uniform(1.5, 4.0) / peak
    sound = sound * torch.where(some(settings.clipped) & ~speechless, over, 1.0)
    recorded = torch.arange(size, device=device) < plan.lengths[:, None]
    made: torch.Tensor = sound.clamp(-1.0, 1.0) * recorded
    return made


def mask_mel(mel: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Silence a band of mel bins in some windows (Park et al. 2019, SpecAugment)."""
    windows, bins, _ = mel.shape

    def drawn() -> torch.Tensor:
        return torch.rand(windows, 1, 1, device=mel.device, generator=generator)

    width = drawn() * _MASKED_BINS
    start = drawn() * (bins - width)
    bin_ = torch.arange(bins, device=mel.device)[None, :, None]
    hidden = (bin_ >= start) & (bin_ < start + width) & (drawn() < share)
    return torch.where(hidden, mel.amin(dim=(1, 2), keepdim=True), mel)


def pad_mel(
    mel: torch.Tensor, plan: Plan, share: float, generator: torch.Generator
) -> torch.Tensor:
    """Put zeros after the recording in some windows.

    A spectrogram's silence is far below zero, so that these are loud to a model that never saw
    them; transformers' long-form generation fills up a recording's last window so.
    """
    windows, _, frames = mel.shape
    chosen = torch.rand(windows, 1, 1, device=mel.device, generator=generator) < share
    ends = (plan.lengths[:, None, None] / _HOP).ceil()
    padding = torch.arange(frames, device=mel.device) >= ends
    return torch.where(chosen & padding, 0.0, mel)


def _echo(
    decay: torch.Tensor, direct_db: torch.Tensor, room: int, generator: torch.Generator
) -> torch.Tensor:
    """Make impulse responses: the direct sound, then noise that decays by 60 dB in `decay` s."""
    device = decay.device
    time = torch.arange(room, device=device) / SAMPLE_RATE_HZ
    tail = torch.randn(len(decay), room, device=device, generator=generator)
    tail = tail * torch.exp(-math.log(1000.0) * time / decay)
    tail[:, :_FIRST_ECHO] = 0
    tail *= _ratio(-direct_db) / torch.linalg.vector_norm(tail, dim=1, keepdim=True)
    tail[:, 0] = 1
    return tail


def _noise(
    frequency: torch.Tensor, colour: torch.Tensor, length: int, generator: torch.Generator
) -> torch.Tensor:
    """Make noise of power 1 whose power falls with frequency to the `colour`: 0 is white."""
    shape = (len(colour), len(frequency), 2)
    drawn = torch.view_as_complex(torch.randn(shape, device=frequency.device, generator=generator))
    noise = torch.fft.irfft(drawn * frequency.clamp(min=20.0) ** (-colour / 2), length)
    made: torch.Tensor = noise / noise.std(dim=1, keepdim=True)
    return made


def _ratio(decibel: torch.Tensor) -> torch.Tensor:
    return torch.pow(10.0, decibel / 20)
