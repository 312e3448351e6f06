"""CTranslate2's path: it does the work that transformers does, and says what it does not offer."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from tests.conftest import TINY_EN
from whisperbench.asked.checkout import CLIPS_FOLDER, NANO_FOLDER
from whisperbench.asked.clips import Audio, load_audio, read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import (
    DeviceError,
    InvalidMeasurementError,
    ModelError,
    NotOfferedError,
)
from whisperbench.results.environment import cache_folder
from whisperbench.whisper import ctranslate2_loading
from whisperbench.whisper.checkpoints import Checkpoint, resolve_checkpoint
from whisperbench.whisper.ctranslate2_errors import runtime_errors
from whisperbench.whisper.ctranslate2_files import WEIGHTS, ensure_converted, stored_bytes
from whisperbench.whisper.ctranslate2_transcriber import said_in
from whisperbench.whisper.loading import LoadedModel, load_model, loaded_files, require_attention
from whisperbench.whisper.residency import ModelCache

MANIFEST = read_manifest(CLIPS_FOLDER)
NANO = ModelSpec.parse("nano")


@pytest.fixture(scope="module", autouse=True)
def own_cache(shared_folder: Any) -> Any:
    """Keep what is converted in a folder of this test session's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHISPERBENCH_CACHE", str(shared_folder / "cache"))
        yield


def load(checkpoint: Checkpoint, precision: str) -> LoadedModel:
    """Load a checkpoint on the CPU."""
    key = CheckpointKey(model=checkpoint.spec, precision=PRECISIONS[precision], attention="sdpa")
    return load_model(checkpoint, key, CpuAccelerator())


@pytest.fixture(scope="module")
def nano() -> LoadedModel:
    """nano, which was trained, in CTranslate2's 32-bit floats."""
    return load(resolve_checkpoint(NANO), "ct2-float32")


@pytest.fixture(scope="module")
def short() -> Audio:
    """A clip of 1.6 s."""
    return load_audio(MANIFEST["yes"])


@pytest.mark.parametrize("name", ["nano", "dummy:tiny:1", "tiny.en"])
def test_it_decodes_the_same_ids_as_transformers(
    name: str, shallow: Checkpoint, short: Audio
) -> None:
    """In 32-bit floats: with a fixed count, at natural length, in a batch, beyond 30 s."""
    if name == "tiny.en" and not TINY_EN.is_dir():
        pytest.skip("WHISPERBENCH_TINY_EN names no folder with OpenAI's tiny.en")
    spec = ModelSpec.parse(str(TINY_EN)) if name == "tiny.en" else NANO
    checkpoint = shallow if name.startswith("dummy") else resolve_checkpoint(spec)
    ours, theirs = (
        load(checkpoint, precision).transcriber([short] * 2)
        for precision in ("ct2-float32", "fp32")
    )
    made, expected = ours.transcribe(6), theirs.transcribe(6)
    assert [ids.tolist() for ids in made.sequences] == [ids.tolist() for ids in expected.sequences]
    assert made.texts == expected.texts
    ours.require_fixed(made, 6)
    # Whichever count it is: its limit is made of half of what it is told, and of the prompt.
    for count in range(1, 6) if name == "dummy:tiny:1" else (1,):
        assert tuple(ours.generate(ours.front_end(), count).shape) == (2, count)
    states = [each.encode(each.front_end()).last_hidden_state for each in (ours, theirs)]
    assert torch.allclose(states[0], states[1], atol=1e-2, rtol=1e-3)
    if not checkpoint.spec.trained:
        return
    for clip in ("yes", "mountain") if name == "nano" else ("yes",):
        audio = load_audio(MANIFEST[clip])
        texts = [each.loaded.transcriber([audio]).transcribe(None).texts for each in (ours, theirs)]
        assert texts[0] == texts[1]


def test_the_longest_decode_fits(nano: LoadedModel, short: Audio) -> None:
    """The documented maximum of tokens is one that it takes."""
    assert nano.transcriber([short]).transcribe(444).sequences[0].shape == (1, 444)


def test_clips_of_several_lengths_go_at_once(nano: LoadedModel) -> None:
    """Shorter transcripts of a batch are padded by the end of text, which counts as no token."""
    batch = [load_audio(MANIFEST[name]) for name in ("yes", "bridge")]
    transcriber = nano.transcriber(batch, bounded=True)
    done = transcriber.transcribe(None)
    alone = [nano.transcriber([each]).transcribe(None) for each in batch]
    assert done.texts == tuple(each.texts[0] for each in alone)
    end = transcriber.end_of_text
    assert done.token_count(end) == sum(each.token_count(end) for each in alone)
    encoder_s, token_s = nano.paces[2]
    assert 0 < token_s < encoder_s


def test_its_weights_are_those_of_its_file(short: Audio) -> None:
    """int8 holds int8, a third of the bytes; the type is as CTranslate2 has resolved it."""
    checkpoint = resolve_checkpoint(NANO)
    loaded = load(checkpoint, "ct2-int8")
    whole = sum(load(checkpoint, "ct2-float32").weights_by_dtype.values())
    assert set(loaded.weights_by_dtype) == {"int8", "float32"}
    assert loaded.weight_bytes == sum(loaded.weights_by_dtype.values())
    assert 0.25 < loaded.weight_bytes / whole < 0.35
    ran = loaded.ran()
    assert (ran.computes_in, ran.threads) == ("int8_float32", torch.get_num_threads())
    assert loaded.transcriber([short]).transcribe(None).texts == ("Yes, of course.",)


def test_another_type_than_the_rows_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    """CTranslate2 takes another type in silence where a device lacks one: that is no such cell."""
    import ctranslate2.models

    real = ctranslate2.models.Whisper

    def other(*arguments: Any, **named: Any) -> Any:
        return real(*arguments, **named | {"compute_type": "float32"})

    monkeypatch.setattr(ctranslate2.models, "Whisper", other)
    with pytest.raises(InvalidMeasurementError, match="multiply in float32, not in int8_float32"):
        load(resolve_checkpoint(NANO), "ct2-int8")


def test_what_it_does_not_offer_is_named(nano: LoadedModel, short: Audio) -> None:
    """A single token, given ids and modules: each says so in a line of its own."""
    transcriber = nano.transcriber([short])
    calls = {
        "single token": lambda: transcriber.token_step(3),
        "logits": lambda: transcriber.logits_of(transcriber.front_end(), transcriber.prompt()),
        "encoder": transcriber.encoder,
        "layers": transcriber.layers,
    }
    for part, call in calls.items():
        with pytest.raises(NotOfferedError, match=f"nano-ct2-float32: .* offers no {part}$"):
            call()


@pytest.fixture
def broken(tmp_path: Any) -> Checkpoint:
    """nano with a weight that is NaN."""
    for path in NANO_FOLDER.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(NANO_FOLDER / "model.safetensors")
    weights["model.decoder.layers.0.fc1.weight"][0, 0] = float("nan")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return resolve_checkpoint(ModelSpec.parse(str(tmp_path)))


def test_garbage_is_refused(nano: LoadedModel, short: Audio, broken: Checkpoint) -> None:
    """Too few tokens, ids outside of the vocabulary and logits that are NaN are each refused."""
    transcriber = nano.transcriber([short])
    done = transcriber.transcribe(4)
    with pytest.raises(InvalidMeasurementError, match="instead of"):
        transcriber.require_fixed(done, 5)
    wild = replace(done, sequences=(torch.full_like(done.sequences[0], 99_999),))
    with pytest.raises(InvalidMeasurementError, match="outside of the vocabulary"):
        transcriber.require_fixed(wild, 4)
    other = load(broken, "ct2-float32").transcriber([short])
    with pytest.raises(InvalidMeasurementError, match="not finite"):
        other.require_fixed(other.transcribe(4), 4)


def test_its_memory_is_given_back(short: Audio) -> None:
    """The cache that holds one model at a time sees it gone, and loads the next."""
    checkpoint = resolve_checkpoint(NANO)
    cache: ModelCache[str, LoadedModel] = ModelCache(
        lambda name: load(checkpoint, name), CpuAccelerator()
    )
    model = cache.get("ct2-int8").model
    gone = weakref.ref(model)
    del model
    cache.get("ct2-int8").transcriber([short]).transcribe(2)
    cache.release()
    gc.collect()
    assert gone() is None
    cache.get("fp32")
    cache.release()


def test_a_checkpoint_is_converted_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Its second loading converts nothing, nor does one of the same files in another folder."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))
    said: list[str] = []
    checkpoint = resolve_checkpoint(NANO)
    row = PRECISIONS["ct2-int8"]
    first = loaded_files(checkpoint, row, said.append)
    assert first.parent == cache_folder() / "ctranslate2"
    assert loaded_files(checkpoint, row, said.append) == first
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in NANO_FOLDER.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    again = resolve_checkpoint(ModelSpec.parse(str(copy)))
    assert loaded_files(again, row, said.append) == first
    assert said == ["converting nano for CTranslate2 in int8_float32 (once, into the cache)"]
    # Another text in a small file is another conversion, and so is another type.
    (copy / "generation_config.json").write_text("{}", encoding="utf-8")
    assert loaded_files(resolve_checkpoint(ModelSpec.parse(str(copy))), row) != first
    assert loaded_files(checkpoint, PRECISIONS["fp32"]) == checkpoint.folder


def test_what_was_killed_half_way_loads_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A folder has its name only when it is complete; what the dead have left is taken away."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))
    checkpoint, row = resolve_checkpoint(NANO), PRECISIONS["ct2-float32"]

    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("whisperbench.whisper.ctranslate2_files._say_tokens", stopped)
        with pytest.raises(KeyboardInterrupt):
            ensure_converted(checkpoint, row)
    folder = tmp_path / "cache" / "ctranslate2"
    assert [path for path in folder.iterdir() if path.suffix != ".lock"] == []
    made = ensure_converted(checkpoint, row)
    left = folder / f".{made.name}.999999"
    made.rename(left)
    assert ensure_converted(checkpoint, row) == made
    assert not left.exists()
    with FileLock(folder / f"{made.name}.lock", timeout=0):
        assert (made / WEIGHTS).is_file()


def test_what_cannot_be_converted_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A converter that fails, and a file of another layout, are told with what to do."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))
    checkpoint = resolve_checkpoint(NANO)

    def failing(*_: Any, **__: Any) -> None:
        raise NotImplementedError("no such model")

    monkeypatch.setattr("ctranslate2.converters.TransformersConverter.convert", failing)
    with pytest.raises(ModelError, match="cannot convert it: NotImplementedError: no such model; "):
        ensure_converted(checkpoint, PRECISIONS["ct2-int8"])
    (tmp_path / WEIGHTS).write_bytes(b"\x07\0\0\0")
    with pytest.raises(ModelError, match="layout 7, and 6 is known here"):
        stored_bytes(tmp_path)


@pytest.mark.parametrize(
    ("said", "kind", "match"),
    [
        (
            "Library libcublas.so.12 is not found or cannot be loaded",
            DeviceError,
            "need the libraries of CUDA 12: install nvidia-cublas-cu12",
        ),
        (
            "CUDA failed with error CUDA driver version is insufficient for CUDA runtime version",
            DeviceError,
            "need the libraries of CUDA 12",
        ),
        (
            "Requested int8 compute type, but the target device or backend do not support it",
            DeviceError,
            "name another precision",
        ),
        ("something else", ModelError, "calling it: CTranslate2: something else"),
    ],
)
def test_what_it_raises_says_what_to_do(said: str, kind: type[Exception], match: str) -> None:
    """A library of another CUDA, a device without the type, and the rest: one line each."""
    with pytest.raises(kind, match=match), runtime_errors("calling it"):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="out of memory"), runtime_errors("calling it"):
        raise RuntimeError("CUDA failed with error out of memory")


def test_where_its_rows_do_not_run() -> None:
    """A CPU has no 16-bit floats of its own, old GPUs no int8; and it takes no --attention."""
    for name in ("ct2-float16", "ct2-int8_float16"):
        assert "needs a GPU: " in str(PRECISIONS[name].why_not(None))
        assert PRECISIONS[name].why_not((7, 5)) is None
    assert PRECISIONS["ct2-int8"].why_not(None) is None
    assert "no int8 kernels" in str(PRECISIONS["ct2-int8"].why_not((6, 0)))
    key = CheckpointKey(model=NANO, precision=PRECISIONS["ct2-int8"], attention="eager")
    with pytest.raises(DeviceError, match="--attention eager: ct2-int8 has an attention of its"):
        require_attention(key, None)


STAMPS = range(100, 200)


@pytest.mark.parametrize(
    ("ids", "kept", "steps"),
    [
        ([1, 2], [1, 2], None),
        ([100, 1, 120], [100, 1, 120], None),
        ([100, 1, 120, 120, 2], [100, 1, 120], 20),
        ([100, 1, 120, 125, 2, 140, 141], [100, 1, 120, 125, 2, 140], 40),
        ([100, 1, 120, 120, 2, 150], [100, 1, 120, 120, 2, 150], None),
        ([100, 100, 1, 2], [100, 100, 1, 2], None),
    ],
)
def test_where_the_next_window_begins(ids: list[int], kept: list[int], steps: int | None) -> None:
    """At the end of the last whole piece; else at the window's own, and never where it was."""
    assert said_in(ids, STAMPS) == (kept, steps)


def test_a_model_on_a_gpu_is_made_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device's index and the type reach CTranslate2 as it calls them. No GPU is needed."""
    told: dict[str, Any] = {}

    class Whisper:
        compute_type = "int8_float16"

        def __init__(self, folder: str, **named: Any) -> None:
            told.update(named, folder=folder)

    monkeypatch.setattr("ctranslate2.models.Whisper", Whisper)
    accelerator = SimpleNamespace(
        torch_device="cuda:1", on_host=False, threads=lambda: 3, fill=lambda: ""
    )
    checkpoint = resolve_checkpoint(NANO)
    key = CheckpointKey(model=NANO, precision=PRECISIONS["ct2-int8_float16"], attention="sdpa")
    loaded = ctranslate2_loading.load(checkpoint, key, accelerator)
    assert (told["device"], told["device_index"]) == ("cuda", 1)
    assert (told["compute_type"], told["intra_threads"]) == ("int8_float16", 3)
    assert set(loaded.weights_by_dtype) == {"int8", "float16", "float32"}
    assert loaded.matrix_dtypes() == ("int8", "float16")
