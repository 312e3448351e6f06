"""The windows of a training step, and what they are labelled with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.tones import (
    WINDOW,
    lay,
    plan_of,
    replace,
    tiny_config,
)
from training.corpus import Corpus
from training.model import IGNORED
from training.sound import lay_out
from training.tokenizer import Vocabulary


def test_a_plan_follows_from_the_step(corpora: Path, vocabulary: Vocabulary) -> None:
    """A step's windows are the same, whichever steps came before; another step has others."""
    config = tiny_config()
    first, again, other = (plan_of(corpora, vocabulary, config, step) for step in (4, 4, 5))
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.target, again.target)
    assert first.lengths.tolist() != other.lengths.tolist()


@pytest.mark.parametrize("stamps", [0.0, 1.0])
def test_a_window_is_labelled_with_what_it_plays(
    corpora: Path, vocabulary: Vocabulary, stamps: float
) -> None:
    """Labels are the tokens one further on; time stamps are where sound begins and ends."""
    config = tiny_config()
    config = replace(
        config,
        windows=replace(
            config.windows, timestamps=stamps, cut=0.5, tails=0.0, stretched=0.0, misheard=0.0
        ),
        training=replace(config.training, batch=40),
    )
    plan = plan_of(corpora, vocabulary, config, 3000)
    waves = lay(corpora, plan)
    kinds = set()
    for row in range(40):
        given, said = plan.tokens[row].tolist(), plan.labels[row].tolist()
        said = said[: said.index(vocabulary.end) + 1]
        assert given[0] == vocabulary.start
        assert given[2 : len(said)] == said[1:-1]
        assert (given[1] == vocabulary.no_timestamps) is (stamps == 0.0)
        assert said[0] == (IGNORED if stamps == 0.0 else given[1])
        text = [token for token in said[1:] if token < vocabulary.pieces]
        heard = plan.heard[row, : plan.heard_lengths[row]].tolist()
        assert text == heard
        sounding = waves[row].nonzero()
        assert bool(plan.speechless[row]) is (len(sounding) == 0)
        if stamps and len(sounding):
            times = [0.02 * (id_ - vocabulary.first_stamp) for id_ in said if id_ > vocabulary.end]
            assert times == sorted(times)
            assert times[0] == pytest.approx(float(sounding[0]) / 16_000, abs=0.011)
            cut = said[-2] >= vocabulary.first_stamp and said[-3] >= vocabulary.first_stamp
            if cut:
                assert plan.lengths[row] == WINDOW
                assert float(plan.heard_s[row]) == pytest.approx(times[-1], abs=0.011)
            else:
                assert times[-1] == pytest.approx(float(sounding[-1] + 1) / 16_000, abs=0.011)
            kinds.add("cut" if cut else "whole")
    assert kinds == ({"cut", "whole"} if stamps else set())


def test_the_decoder_is_given_wrong_pieces_and_told_the_right_ones(
    corpora: Path, vocabulary: Vocabulary
) -> None:
    """So many pieces differ from what is to be said; time stamps and the rest never do."""
    config = replace(tiny_config(), training=replace(tiny_config().training, batch=400))
    windows = replace(config.windows, timestamps=1.0, misheard=0.25)
    plan = plan_of(corpora, vocabulary, replace(config, windows=windows), 3000)
    given, said = plan.tokens[:, 1:], plan.labels[:, :-1]
    pieces = (said >= 0) & (said < vocabulary.pieces)
    others = (said > vocabulary.end) & (given != vocabulary.end)
    assert float((given != said)[pieces].float().mean()) == pytest.approx(0.25, abs=0.03)
    assert others.any()
    assert torch.equal(given[others], said[others])


def test_the_end_of_a_word_is_not_written(corpora: Path, vocabulary: Vocabulary) -> None:
    """A window may begin with the end of an utterance, of which its transcript has nothing."""
    config = tiny_config()
    windows = replace(
        config.windows, timestamps=1.0, tails=1.0, passage=0, sentence=0, word=0, silence=1
    )
    plan = plan_of(corpora, vocabulary, replace(config, windows=windows), 0)
    waves = lay(corpora, plan)
    ends = [one.start + one.samples for one in Corpus.load(corpora / "train").utterances]
    for row in range(len(plan.lengths)):
        assert 0.02 < int(plan.count[row]) / 16_000 <= 0.25
        assert int(plan.source[row] + plan.count[row]) in ends
        assert bool(waves[row, : plan.count[row]].any())
        assert plan.labels[row, :3].tolist() == [vocabulary.stamp(0.0), vocabulary.end, IGNORED]
    assert not plan.heard_lengths.any()


def test_utterances_are_played_as_they_are(corpora: Path, vocabulary: Vocabulary) -> None:
    """At its own speed an utterance is copied; played faster, it is shorter and higher."""
    corpus = Corpus.load(corpora / "train")
    samples = torch.from_numpy(np.array(corpus.samples))
    plan = plan_of(corpora, vocabulary, tiny_config(), 0)
    for name, value in {
        "source": [corpus.utterances[1].start] * 2,
        "count": [11_000, 10_000],
        "target": [500, WINDOW],
        "speed": [1.0, 1.1],
        "gain": [1.0, 0.5],
    }.items():
        setattr(plan, name, torch.tensor(value))
    waves = lay_out(samples, plan, 21_000, WINDOW)
    tone = torch.from_numpy(corpus.audio(corpus.utterances[1]))
    assert torch.equal(waves[0, 500:11_500], tone)
    assert not waves[0, :500].any()
    assert not waves[0, 11_500:].any()
    higher = torch.fft.rfft(waves[1, :10_000]).abs().argmax() * 16_000 / 10_000
    assert float(higher) == pytest.approx(440, abs=2)
    assert float(waves[1].abs().max()) == pytest.approx(0.5 * float(tone.abs().max()), rel=0.01)
