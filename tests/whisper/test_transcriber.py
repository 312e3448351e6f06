"""The transcription path, on a dummy; and on real weights where somebody built them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import TINY_EN
from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import Audio, Clip, load_audio, read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.asked.suite import MAX_TOKENS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import InputError, InvalidMeasurementError
from whisperbench.whisper.checkpoints import Checkpoint, resolve_checkpoint
from whisperbench.whisper.loading import LoadedModel, load_model
from whisperbench.whisper.transcriber import Transcription
from whisperbench.whisper.transformers_transcriber import TransformersStep

MANIFEST = read_manifest(CLIPS_FOLDER)


def load(checkpoint: Checkpoint, precision: str = "fp32") -> LoadedModel:
    """Load a checkpoint on the CPU."""
    key = CheckpointKey(model=checkpoint.spec, precision=PRECISIONS[precision], attention="sdpa")
    return load_model(checkpoint, key, CpuAccelerator())


@pytest.fixture(scope="module")
def loaded(shallow: Checkpoint) -> LoadedModel:
    """dummy:tiny:1 in fp32; tests that change it load their own."""
    return load(shallow)


@pytest.fixture(scope="module")
def short() -> Audio:
    """A clip of 1.6 s."""
    return load_audio(MANIFEST["yes"])


@pytest.fixture(scope="module")
def long() -> Audio:
    """A clip of 36 s: two windows."""
    return load_audio(MANIFEST["mountain"])


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("tokens", [1, 7])
def test_fixed_count_is_kept(
    loaded: LoadedModel, short: Audio, tokens: int, batch_size: int
) -> None:
    """Exactly the asked number of tokens comes out, for each clip of the batch, and passes."""
    transcriber = loaded.transcriber([short] * batch_size)
    done = transcriber.transcribe(tokens)
    assert [tuple(ids.shape) for ids in done.sequences] == [(batch_size, tokens)]
    assert done.token_count(transcriber.end_of_text) == batch_size * tokens
    assert len(done.texts) == batch_size
    assert done.texts[0].split()
    transcriber.require_fixed(done, tokens)


def test_longest_decode_fits(loaded: LoadedModel, short: Audio) -> None:
    """The documented maximum of tokens is one that transformers takes."""
    assert loaded.transcriber([short]).transcribe(MAX_TOKENS).sequences[0].shape[1] == MAX_TOKENS


def test_long_audio_is_decoded_window_by_window(loaded: LoadedModel, long: Audio) -> None:
    """With a fixed count, audio beyond 30 s costs one decode a window."""
    transcriber = loaded.transcriber([long] * 2)
    done = transcriber.transcribe(3)
    assert [tuple(ids.shape) for ids in done.sequences] == [(2, 3), (2, 3)]
    assert done.token_count(transcriber.end_of_text) == 12
    transcriber.require_fixed(done, 3)


def test_front_end_pads_to_the_window(loaded: LoadedModel, short: Audio) -> None:
    """Features are 3000 frames, and the mask covers the real audio alone."""
    features = loaded.transcriber([short] * 2).front_end()
    assert tuple(features.mel.shape) == (2, 80, 3000)
    assert features.mel.dtype == loaded.dtype
    assert int(features.mask[0].sum()) == pytest.approx(short.seconds * 100, abs=1)


@pytest.fixture
def calls(loaded: LoadedModel) -> Iterator[list[dict[str, Any]]]:
    """Keep the arguments of each call of the model, by name."""
    kept: list[dict[str, Any]] = []
    hook = loaded.model.register_forward_pre_hook(
        lambda _model, _arguments, named: kept.append(named), with_kwargs=True
    )
    yield kept
    hook.remove()


def test_a_token_step_repeats_itself(
    loaded: LoadedModel, short: Audio, calls: list[dict[str, Any]]
) -> None:
    """Rewound, the same step gives the same token from a cache of the same length."""
    step = loaded.transcriber([short] * 2).token_step(at=5)
    assert isinstance(step, TransformersStep)
    first = step.step()
    assert tuple(first.shape) == (2, 1)
    cache = calls[-1]["past_key_values"]
    for _ in range(3):
        step.rewind()
        assert cache.get_seq_length() == 4 + 5
        assert torch.equal(step.step(), first)
        assert cache.get_seq_length() == 4 + 5 + 1


def test_a_token_step_continues_what_generate_does(
    loaded: LoadedModel, short: Audio, calls: list[dict[str, Any]]
) -> None:
    """The step after the bare prompt is the first token that generate() makes, suppression off."""
    transcriber = loaded.transcriber([short])
    token = int(transcriber.token_step(at=0).step())
    ids = torch.cat([transcriber.prompt(), calls[-1]["decoder_input_ids"]], dim=1)
    logits = transcriber.logits_of(transcriber.front_end(), ids)
    assert token == int(logits[0, -1].argmax())


def test_garbage_is_refused(shallow: Checkpoint, short: Audio) -> None:
    """Too few tokens, ids outside of the vocabulary and logits that are NaN are each refused."""
    model = load(shallow)
    transcriber = model.transcriber([short])
    done = transcriber.transcribe(4)
    with pytest.raises(InvalidMeasurementError, match="instead of"):
        transcriber.require_fixed(done, 5)
    wild = replace(done, sequences=(torch.full_like(done.sequences[0], 99_999),))
    with pytest.raises(InvalidMeasurementError, match="outside of the vocabulary"):
        transcriber.require_fixed(wild, 4)
    with torch.no_grad():
        model.model.model.decoder.layers[0].fc1.weight[0, 0] = float("nan")
    with pytest.raises(InvalidMeasurementError, match="not finite"):
        transcriber.require_fixed(done, 4)
    untold = replace(short, clip=Clip(name="untold", file="", text=None, language="en"))
    with pytest.raises(InvalidMeasurementError, match="not finite"):
        model.transcriber([untold]).require_words(done, 0.5)
    assert not bool(transcriber.token_step(at=2).logits().isfinite().all())


def test_wrong_words_are_refused(loaded: LoadedModel, short: Audio) -> None:
    """An empty transcript, and one that misses most words, are refused; a good one is rated."""
    transcriber = loaded.transcriber([short] * 2)
    heard = transcriber.transcribe(2)

    def said(*texts: str) -> Transcription:
        return replace(heard, texts=texts)

    assert transcriber.require_words(said("yes of course", "Yes, of course!"), 0.5) == 0.0
    assert transcriber.require_words(said("yes of course", "yes off course"), 0.5) == pytest.approx(
        1 / 3
    )
    with pytest.raises(InvalidMeasurementError, match=r"word error rate 1\.00"):
        transcriber.require_words(said("yes of course", "no idea whatsoever"), 0.5)
    with pytest.raises(InvalidMeasurementError, match="to nothing"):
        transcriber.require_words(said("yes of course", " "), 0.5)
    untold = replace(short, clip=Clip(name="untold", file="", text=None, language="en"))
    assert loaded.transcriber([untold] * 2).require_words(said("anything"), 0.5) is None


def test_language_is_checked(loaded: LoadedModel, short: Audio) -> None:
    """A code that the model does not know is refused; a known one becomes the prompt's token."""
    german = replace(short, clip=Clip(name="a", file="", text=None, language="de"))
    assert int(loaded.transcriber([german]).prompt()[0, 1]) == 50261
    klingon = replace(short, clip=Clip(name="a", file="", text=None, language="tlh"))
    with pytest.raises(InputError, match=r"does not know the language of 1 of 1 clips: a \(tlh\)"):
        loaded.transcriber([klingon])


def test_a_reference_without_words_is_refused(loaded: LoadedModel, short: Audio) -> None:
    """A text of marks alone would make any transcript infinitely wrong."""
    marks = replace(short, clip=Clip(name="a", file="", text="[music] ...", language="en"))
    transcriber = loaded.transcriber([marks])
    heard = replace(transcriber.transcribe(2), texts=("anything",))
    with pytest.raises(InputError, match="no words to compare with"):
        transcriber.require_words(heard, 0.5)


def test_silence_and_noise_run(loaded: LoadedModel, short: Audio) -> None:
    """Audio without speech, and of a few samples, goes through all the same."""
    for samples in (np.zeros(16_000, np.float32), np.full(3, 0.5, np.float32)):
        transcriber = loaded.transcriber([replace(short, samples=samples)])
        transcriber.require_fixed(transcriber.transcribe(2), 2)


@pytest.mark.skipif(not TINY_EN.is_dir(), reason="set WHISPERBENCH_TINY_EN to its checkpoint")
@pytest.mark.parametrize(("precision", "name"), [("fp32", "mountain"), ("int8", "harbour")])
def test_real_whisper_hears_the_sentence(precision: str, name: str) -> None:
    """Real tiny.en transcribes the suite's longer clips: two windows in fp32, and one in int8.

    The shorter ones are heard by tests/measure/quality/test_hearing.py, and JFK's sentence by
    tests/plugin/test_run.py.
    """
    model = load(resolve_checkpoint(ModelSpec.parse(str(TINY_EN))), precision)
    transcriber = model.transcriber([load_audio(MANIFEST[name])])
    assert (transcriber.require_words(transcriber.transcribe(None), 0.5) or 0.0) <= 0.12
