"""Synthesized speech, and the corpus that holds it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np

from tests.training.tones import (
    TEXTS,
    needs_synthesizers,
    write_tones,
)
from training.config import read_config
from training.corpus import Corpus
from training.speech import Setting, draw_settings, speak, trim


def test_silence_around_speech_is_taken_away() -> None:
    """Speech is what rises above a hundredth of its peak, and 20 ms around it."""
    samples = np.zeros(16_000, dtype=np.int16)
    samples[5_000:6_000] = 10_000
    samples[8_000] = 90
    assert len(trim(samples)) == 1_000 + 2 * 320 - 1
    assert len(trim(np.zeros(100, dtype=np.int16))) == 0


def test_held_out_voices_have_settings_of_their_own() -> None:
    """No rate, pitch or variant of a held-out utterance is one that was trained on."""
    voices = read_config().voice
    train = draw_settings(voices, 3000, Random(1), heldout=False)
    heldout = draw_settings(voices, 300, Random(2), heldout=True)
    assert train[:10] == draw_settings(voices, 3000, Random(1), heldout=False)[:10]
    for engine in ("flite", "espeak-ng"):
        of_one = [[one for one in some if one.engine == engine] for some in (train, heldout)]
        assert not {one.rate for one in of_one[0]} & {one.rate for one in of_one[1]}
        assert not {one.pitch for one in of_one[0]} & {one.pitch for one in of_one[1]}
    variants = [{one.variant for one in some if one.variant} for some in (train, heldout)]
    assert variants[1]
    assert not variants[0] & variants[1]


@needs_synthesizers
def test_the_synthesizers_speak_as_asked() -> None:
    """The same setting speaks the same samples; a higher rate is shorter."""
    for engine, name in (("flite", "rms"), ("flite", "kal"), ("espeak-ng", "en-gb")):
        variant = "f2" if engine == "espeak-ng" else ""
        slow, fast = (
            Setting(engine=engine, name=name, variant=variant, rate=rate, pitch=1.1)
            for rate in (0.9, 1.2)
        )
        spoken = speak("The rain fell before noon.", slow)
        assert spoken.dtype == np.int16
        assert np.array_equal(spoken, speak("The rain fell before noon.", slow))
        assert len(speak("The rain fell before noon.", fast)) < 0.9 * len(spoken)
        assert 0.5 < len(spoken) / 16_000 < 4
        assert np.abs(spoken.astype(int)).max() > 2_000


def test_the_corpus_tells_whose_it_is(tmp_path: Path) -> None:
    """A corpus is complete for the configuration that it was made by, and for no other."""
    corpus = write_tones(tmp_path)
    assert Corpus.is_complete(tmp_path, "tones")
    assert not Corpus.is_complete(tmp_path, "others")
    assert corpus.about.utterances == len(TEXTS)
    assert sum(one.samples for one in corpus.utterances) == len(corpus.samples)
