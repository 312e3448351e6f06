"""Speech from free synthesizers: flite's and espeak-ng's voices, at many rates and pitches."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
import wave
from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from training.config import Config, Voice
from training.corpus import Corpus, Utterance, write_corpus
from training.sentences import Grammar, Kind, make_texts, taken_by
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import read_manifest
from whisperbench.units import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

SYNTHESIZERS = ("flite", "espeak-ng")

# espeak-ng's own defaults: words a minute, and a pitch from 0 to 99.
_ESPEAK_RATE = 175
_ESPEAK_PITCH = 50
# flite's own durations are 1 but for these voices.
_FLITE_STRETCH = {"kal": 1.1, "kal16": 1.1}
# Speech is what rises above this share of the loudest sample, and so much around it.
_FLOOR = 0.01
_MARGIN_S = 0.02


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A voice, how fast it speaks and how high."""

    engine: str
    name: str
    variant: str
    rate: float
    pitch: float

    @property
    def speaker(self) -> str:
        """Who it is, whatever the rate and the pitch."""
        return f"{self.engine} {self.name}" + (f"+{self.variant}" if self.variant else "")


def missing_synthesizers() -> list[str]:
    """Name those that are not installed."""
    return [name for name in SYNTHESIZERS if shutil.which(name) is None]


def draw_settings(
    voices: tuple[Voice, ...], count: int, random: Random, *, heldout: bool
) -> list[Setting]:
    """Draw a setting for each of so many utterances."""
    shares = [voice.share for voice in voices]
    settings = []
    for voice in random.choices(voices, shares, k=count):
        rates, pitches, variants = voice.rates, voice.pitches, voice.variants
        if heldout:
            rates, pitches = voice.heldout_rates, voice.heldout_pitches
            variants = voice.heldout_variants
        settings.append(
            Setting(
                engine=voice.engine,
                name=random.choice(voice.names),
                variant=random.choice(variants),
                rate=random.choice(rates),
                pitch=random.choice(pitches),
            )
        )
    return settings


def speak(text: str, setting: Setting) -> NDArray[np.int16]:
    """Speak a text; return its samples at 16 kHz, without the silence around it.

    flite's pitch is changed by resampling what it spoke accordingly slower or faster: its voice
    rms ignores the features that would.
    """
    path = Path(tempfile.gettempdir()) / f"nano-{os.getpid()}.wav"
    faster = 1.0
    if setting.engine == "flite":
        faster = setting.pitch
        own = _FLITE_STRETCH.get(setting.name, 1.0)
        stretch = f"duration_stretch={own * faster / setting.rate}"
        command = ["flite", "-voice", setting.name, "--setf", stretch, "-t", text, "-o", str(path)]
    else:
        voice = setting.name + (f"+{setting.variant}" if setting.variant else "")
        rate, pitch = _ESPEAK_RATE * setting.rate, _ESPEAK_PITCH * setting.pitch
        command = ["espeak-ng", "-v", voice, "-s", f"{rate:.0f}", "-p", f"{pitch:.0f}"]
        command += ["-w", str(path), text]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with wave.open(str(path)) as stream:
        own_rate = stream.getframerate()
        samples = np.frombuffer(stream.readframes(stream.getnframes()), dtype=np.int16)
    path.unlink()
    return trim(_resampled(samples, own_rate * faster))


def _resampled(samples: NDArray[np.int16], rate: float) -> NDArray[np.int16]:
    import soxr

    if rate == SAMPLE_RATE_HZ:
        return samples
    made: NDArray[np.int16] = soxr.resample(samples, rate, SAMPLE_RATE_HZ)
    return made


def trim(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """Take away the silence before and after speech, so that time stamps say where it is."""
    loud = np.abs(samples.astype(np.int32))
    heard = np.flatnonzero(loud > _FLOOR * loud.max(initial=0))
    if not heard.size:
        return samples[:0]
    margin = round(_MARGIN_S * SAMPLE_RATE_HZ)
    return samples[max(0, heard[0] - margin) : heard[-1] + margin]


def speak_corpora(
    config: Config, folder: Path, *, processes: int, limit: int | None = None, only: str = ""
) -> None:
    """Speak the training and the held-out utterances, unless they are there already.

    Args:
        config: what is spoken by whom.
        folder: gets a folder "train" and a folder "heldout".
        processes: how many speak at once.
        limit: speak only the first so many of each, to try it.
        only: speak this one alone: "heldout" is a matter of seconds, and evaluation needs no more.
    """
    grammar = Grammar.load()
    clips = [clip.text or "" for clip in read_manifest(CLIPS_FOLDER).values()]
    taken = taken_by(clips)
    # The order matters: what is held out must not be among what is trained on.
    parts = {
        "train": make_texts(grammar, config.texts.trained, seed=config.seed, taken=taken),
        "heldout": make_texts(grammar, config.texts.heldout, seed=config.seed + 1, taken=taken),
    }
    digest = config.speech_digest + ("" if limit is None else f"-first-{limit}")
    for part, texts in parts.items():
        if only and part != only:
            continue
        if Corpus.is_complete(folder / part, digest):
            print(f"{part}: spoken already")
            continue
        random = Random(f"whisperbench nano voices {config.seed} {part}")
        settings = draw_settings(config.voice, len(texts), random, heldout=part == "heldout")
        jobs = list(zip(texts, settings, strict=True))[:limit]
        start = time.perf_counter()
        with get_context("spawn").Pool(processes) as pool:
            spoken = pool.imap(_job, jobs, chunksize=16)
            seconds = write_corpus(folder / part, digest, _utterances(jobs, spoken), versions())
        took = time.perf_counter() - start
        print(
            f"{part}: {len(jobs)} utterances, {seconds / 3600:.2f} h of speech, spoken in "
            f"{took:.0f} s by {processes} processes"
        )


def _job(job: tuple[tuple[Kind, str], Setting]) -> NDArray[np.int16]:
    (_, text), setting = job
    return speak(text, setting)


def _utterances(
    jobs: Iterable[tuple[tuple[Kind, str], Setting]], spoken: Iterable[NDArray[np.int16]]
) -> Iterator[tuple[Utterance, NDArray[np.int16]]]:
    """Say of each utterance what it is; one without a sound is left out."""
    start = 0
    for ((kind, text), setting), samples in zip(jobs, spoken, strict=True):
        if samples.size:
            yield (
                Utterance(
                    text=text,
                    kind=kind,
                    speaker=setting.speaker,
                    rate=setting.rate,
                    pitch=setting.pitch,
                    start=start,
                    samples=len(samples),
                ),
                samples,
            )
            start += len(samples)


def versions() -> dict[str, str]:
    """Return what the synthesizers say that they are."""
    made = {}
    for name in SYNTHESIZERS:
        done = subprocess.run([name, "--version"], check=False, capture_output=True, text=True)
        found = re.search(r"\d+\.\d[\w.+-]*", done.stdout)
        made[name] = found[0] if found else "unknown"
    return made
