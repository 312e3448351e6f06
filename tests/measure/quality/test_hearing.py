"""Many clips through one model, and the same tokens through two precisions: real models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.conftest import TINY_EN
from whisperbench.asked.checkout import CLIPS_FOLDER, NANO_FOLDER
from whisperbench.asked.clips import Audio, Clip, load_audio, read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import precision_named
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import InputError, InvalidMeasurementError, OutOfMemoryError
from whisperbench.measure.quality.hearing import hear
from whisperbench.measure.quality.numerics import difference, force
from whisperbench.measure.quality.references import NumericReferences
from whisperbench.measure.quality.scoring import rate
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.dummy import ensure_dummy
from whisperbench.whisper.loading import LoadedModel, load_model


def load(folder: Path, precision: str, name: str = "dummy:tiny:1") -> LoadedModel:
    """Load a checkpoint on the CPU."""
    spec = ModelSpec.parse(name)
    key = CheckpointKey(model=spec, precision=precision_named(precision), attention="sdpa")
    return load_model(Checkpoint(spec=spec, folder=folder, fingerprint=""), key, CpuAccelerator())


@pytest.fixture(scope="module")
def shallow(cache: Path) -> Path:
    """The checkpoint of dummy:tiny:1."""
    return ensure_dummy("tiny:1", cache)


@pytest.fixture(scope="module")
def model(shallow: Path) -> LoadedModel:
    """A shallow dummy that soon stops."""
    loaded = load(shallow, "fp32")
    loaded.model.generation_config.max_new_tokens = 8
    return loaded


def clip(name: str, language: str = "en") -> Clip:
    """One of the suite's clips."""
    return msgspec.structs.replace(read_manifest(CLIPS_FOLDER)[name], language=language)


@pytest.fixture
def audio() -> Audio:
    """A short clip."""
    return load_audio(clip("bridge"))


def test_batches_hear_what_single_clips_hear(model: LoadedModel) -> None:
    """Whatever the batch size, in the order asked for; languages are not mixed."""
    clips = [clip("yes"), clip("bridge", "de"), clip("library")]
    seen: list[str] = []

    def progress(clips: object) -> object:
        for each in clips:  # type: ignore[attr-defined]
            seen.append(each.name)
            yield each

    alone = hear(model, clips, 1, progress)  # type: ignore[arg-type]
    together = hear(model, clips, 3, lambda clips: clips)
    assert seen == ["yes", "bridge", "library"]
    assert [each.name for each in together] == seen
    assert alone == together
    assert all(0 < each.tokens <= 8 for each in together)


def test_a_language_that_is_not_known_is_found_before_any_clip_is_heard(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All such clips are one line with what the model knows, and nothing is read, let alone heard.

    A model that knows English alone says so.
    """
    clips = [clip("yes"), clip("bridge", "tlh"), clip("library", "xx")]

    def progress(_clips: object) -> Any:
        pytest.fail("a clip was read")

    with pytest.raises(InputError, match="language of 2 of 3 clips") as caught:
        hear(model, clips, 1, progress)
    assert "2 of 3 clips: bridge (tlh), library (xx); it knows af, am, ar, " in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(model, "tokens", replace(model.tokens, languages={}, tasks={}))
    with pytest.raises(InputError, match=r"1 of 2 clips: bridge \(de\); it knows en: "):
        hear(model, [clip("yes"), clip("bridge", "de")], 1, progress)


def test_a_precision_differs_from_32_bit_floats(
    shallow: Path, model: LoadedModel, audio: Audio
) -> None:
    """Nothing of itself; int8 by a few percent; by more where a layer is scaled, which is named."""
    reference = force(model.transcriber([audio]))
    same = difference(force(model.transcriber([audio])), reference)
    assert (same.logit_error, same.top1_agreement, same.worst_layer_error) == (0.0, 1.0, 0.0)
    quantized = load(shallow, "int8")
    untold = replace(audio, clip=msgspec.structs.replace(audio.clip, text=None))
    assert force(model.transcriber([untold])).logits.shape[0] > 10
    found = difference(force(quantized.transcriber([audio])), reference)
    assert 0.001 < found.logit_error < 0.1
    quantized.model.model.decoder.layers[0].fc2.bias.data[:9] += 5.0
    broken = difference(force(quantized.transcriber([audio])), reference)
    assert broken.logit_error > 2 * found.logit_error
    assert broken.worst_layer == "decoder 0"


def test_logits_that_are_not_finite_are_refused(speck: Checkpoint, audio: Audio) -> None:
    """An overflow is no difference, but a failure."""
    broken = load(speck.folder, "fp32", str(speck.folder))
    broken.model.model.decoder.layers[0].fc2.bias.data[0] = float("inf")
    with pytest.raises(InvalidMeasurementError, match="logits are not finite"):
        force(broken.transcriber([audio]))


@pytest.mark.skipif(not TINY_EN.is_dir(), reason="set WHISPERBENCH_TINY_EN to a folder of tiny.en")
def test_real_speech_is_heard(tmp_path: Path) -> None:
    """tiny.en hears the suite's short clips, and words in silence; two clips of it in int8 too.

    In int8 more is heard by tests/whisper/test_transcriber.py and tests/plugin/test_run.py.
    """
    import soundfile

    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    silence = Clip(name="silence", file=str(tmp_path / "silence.wav"), text="", language="en")
    clips = [clip("yes"), clip("bridge"), clip("library"), silence]
    for precision, asked in (("fp32", clips), ("int8", clips[:2])):
        heard = hear(load(TINY_EN, precision, str(TINY_EN)), asked, len(asked), lambda all_: all_)
        found = rate(heard, None)
        assert found.values["wer"] < 0.1
        assert found.found.clips[0].word_edits == 0


def test_each_layers_states_are_kept(audio: Audio) -> None:
    """They are what transformers itself calls hidden states, but for the first, an input."""
    transcriber = load(NANO_FOLDER, "int8", "nano").transcriber([audio])
    found = force(transcriber).layers
    plain = transcriber.loaded.model.forward

    def tell(**inputs: Any) -> Any:
        made.append(plain(**inputs, output_hidden_states=True))
        return made[-1]

    made: list[Any] = []
    transcriber.loaded.model.forward = tell
    force(transcriber)
    for half, layers in (("encoder", 5), ("decoder", 2)):
        states = made[0][f"{half}_hidden_states"][1:]
        assert len(states) == layers
        for number, state in enumerate(states):
            np.testing.assert_array_equal(found[f"{half} {number}"], state[0].float().numpy())


def test_forcing_leaves_the_model_as_it_was(speck: Checkpoint, audio: Audio) -> None:
    """No hook stays: the cost pass counts calls, and must not count what ran before it."""
    fresh = load(speck.folder, "fp32", str(speck.folder))
    force(fresh.transcriber([audio]))
    for module in fresh.model.modules():
        # torch has no public name for the hooks that a module has.
        assert not module._forward_hooks  # noqa: SLF001
        assert not module._forward_pre_hooks  # noqa: SLF001


def test_a_reference_that_does_not_fit_fails_the_numerics_alone(audio: Audio) -> None:
    """Where 32-bit floats are too large, others are measured, and what needs them fails."""
    asked = []

    class Full:
        def get(self, key: CheckpointKey) -> LoadedModel:
            asked.append(key.precision.name)
            raise OutOfMemoryError("the card is full")

    spec = ModelSpec.parse("dummy:tiny")
    keys = [
        CheckpointKey(model=spec, precision=precision_named(name), attention="sdpa")
        for name in ("fp16", "int8", "nf4")
    ]
    cache: Any = Full()
    references = NumericReferences(CpuAccelerator(), (), cache, {("dummy:tiny", "sdpa")})
    references.prepare(replace(keys[0], model=ModelSpec.parse("dummy:base")))
    assert asked == []
    for key in keys:
        references.prepare(key)
        with pytest.raises(OutOfMemoryError, match="the card is full"):
            references[audio]
    assert asked == ["fp32"]
