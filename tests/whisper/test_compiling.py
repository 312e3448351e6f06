"""A decoder that torch.compile compiles: what is compiled, when, and that all of it is given back.

All but one of the tests let torch.compile read the program and then run its ops as they are
("aot_eager"), for what they claim does not depend on the kernels that it would build.
"""

from __future__ import annotations

import logging
import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo import config as dynamo
from transformers import CompileConfig

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import Audio, load_audio, read_manifest
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import (
    DeviceError,
    InvalidMeasurementError,
    ModelError,
    NotOfferedError,
)
from whisperbench.measure.cost.counting import measure_cost
from whisperbench.measure.cost.device_rates import Rates
from whisperbench.measure.quality.numerics import difference, force
from whisperbench.whisper import transformers_transcriber
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.compiled_decoder import compile_config, set_compiled
from whisperbench.whisper.compiling import (
    Compiled,
    as_written,
    compiled_so_far,
    not_compiled,
    nothing_compiled,
    require_compiler,
    seen,
)
from whisperbench.whisper.loading import LoadedModel, load_model
from whisperbench.whisper.quiet import quieten
from whisperbench.whisper.residency import ModelCache
from whisperbench.whisper.transcriber import Transcriber
from whisperbench.whisper.what_ran import what_ran

RATES = Rates(bytes_per_s=1e10, operations_per_s={"float32": 1e11})


def quick(mode: str | None = None, *, on_host: bool) -> CompileConfig:
    """Tell generate() to compile as it is measured, but to build no kernels."""
    config = compile_config(mode, on_host=on_host)
    config.backend, config.mode = "aot_eager", None
    return config


@pytest.fixture(scope="module")
def audio() -> Audio:
    """The shortest clip."""
    return load_audio(read_manifest(CLIPS_FOLDER)["yes"])


def load(checkpoint: Checkpoint, precision: str) -> LoadedModel:
    """Load the smallest model."""
    key = CheckpointKey(model=checkpoint.spec, precision=PRECISIONS[precision], attention="sdpa")
    return load_model(checkpoint, key, CpuAccelerator())


@pytest.fixture(scope="module")
def plain(speck: Checkpoint, audio: Audio) -> Transcriber:
    """What is not compiled."""
    return load(speck, "fp32").transcriber([audio])


@pytest.fixture(scope="module")
def compiled(speck: Checkpoint, audio: Audio) -> Iterator[Transcriber]:
    """The same, compiled, after its first call.

    torch has two threads, as users have at least, where the tests themselves keep it to one.
    """
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        torch.set_num_threads(2)
        patch.setattr(transformers_transcriber, "compile_config", quick)
        loaded = load(speck, "fp32-compiled")
        found = loaded.transcriber([audio])
        found.transcribe(4)
        yield found
        loaded.close()
    torch.set_num_threads(threads)


def test_one_graph_serves_every_call(compiled: Transcriber, plain: Transcriber) -> None:
    """Other numbers of tokens, natural length, single tokens and logits compile nothing anew."""
    before = seen()
    assert (before.graphs, before.reasons) == (1, ())
    assert before.seconds > 0
    with nothing_compiled("any call"):
        for tokens in (2, 9, None):
            one, other = compiled.transcribe(tokens), plain.transcribe(tokens)
            assert all(map(torch.equal, one.sequences, other.sequences))
        compiled.token_step(3).step()
        compiled.logits_of(compiled.front_end(), compiled.prompt().repeat(1, 2))
    found = compiled_so_far()
    assert found is not None
    assert (found.graphs, found.compiled_anew) == (1, ())


def test_a_compiled_step_is_the_plain_one(compiled: Transcriber, plain: Transcriber) -> None:
    """It makes the same logits, and the same again once it is rewound; not without that."""
    step = compiled.token_step(3)
    first = step.logits().clone()
    step.rewind()
    assert torch.equal(step.logits(), first)
    torch.testing.assert_close(first, plain.token_step(3).logits(), atol=1e-4, rtol=1e-4)
    assert not torch.equal(step.logits(), first)


def test_forced_tokens_go_through_what_is_compiled(
    compiled: Transcriber, plain: Transcriber
) -> None:
    """Numerics are of the compiled call, one token after the other; its layers are not offered."""
    forced = force(compiled)
    found = difference(forced, force(plain))
    assert found.logit_error < 1e-5
    assert found.top1_agreement == 1.0
    assert (found.worst_layer, found.worst_layer_error, forced.layers) == (None, None, {})
    assert set(found.values) == {"logit_error", "top1_agreement"}
    with pytest.raises(NotOfferedError, match="layers, which are compiled"):
        compiled.layers()


def test_a_compiled_call_that_breaks_shows_in_the_numerics(
    compiled: Transcriber, plain: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compiled is what is looked at: a wrong result of it is a large error."""
    model: Any = compiled.loaded.model
    right = model.get_compiled_call

    def wrong(config: object) -> Any:
        def call(**inputs: Any) -> Any:
            made = right(config)(**inputs)
            made.logits = made.logits + 5.0
            return made

        return call

    monkeypatch.setattr(model, "get_compiled_call", wrong, raising=True)
    assert difference(force(compiled), force(plain)).logit_error > 0.1


def test_another_shape_is_compiled_anew_and_said(compiled: Transcriber, audio: Audio) -> None:
    """Within a steady state that is an error, with the reason that torch.compile gives."""
    both = compiled.loaded.transcriber([audio, audio])
    with (
        pytest.raises(InvalidMeasurementError, match=r"1 more .*: .*size mismatch") as caught,
        nothing_compiled("two clips at once"),
    ):
        both.transcribe(2)
    assert str(caught.value).startswith("two clips at once: ")
    assert "\n" not in str(caught.value)
    with nothing_compiled("the same again"):
        both.transcribe(3)
        compiled.transcribe(3)


def test_a_step_runs_as_written_on_request(compiled: Transcriber) -> None:
    """Nothing compiled runs then, so that hooks of all layers are called; and nothing is anew."""
    calls: list[str] = []
    layer = compiled.loaded.model.model.decoder.layers[0]
    hook = layer.register_forward_hook(lambda *_: calls.append("called"))
    try:
        with nothing_compiled("both"):
            compiled.transcribe(4)
            prompt_alone = len(calls)
            with as_written():
                compiled.transcribe(4)
    finally:
        hook.remove()
    assert (prompt_alone, len(calls) - prompt_alone) == (1, 4)


def test_the_cost_of_what_is_compiled(compiled: Transcriber, plain: Transcriber) -> None:
    """It is counted alike each time, its hooks compile nothing, and its work is that of layers.

    torch.compile has a program for each number of threads, and a profile is of one.
    """
    found = [measure_cost(compiled, 3, RATES, "cpu") for _ in range(2)]
    assert found[0].values == found[1].values
    # Four tokens of the prompt, then two: as many products as without compiling.
    uncompiled = measure_cost(plain, 3, RATES, "cpu").values
    assert found[0].values["decode_weight_mib_read"] == uncompiled["decode_weight_mib_read"]
    assert found[0].values["encoder_aten_ops"] == uncompiled["encoder_aten_ops"]
    ran = found[0].found.ran
    assert ran is not None
    assert ran.compiled_graphs is not None
    assert ran.compiled_graphs >= 1


@pytest.mark.parametrize(("on_host", "programs"), [(True, 2), (False, 1)])
def test_the_cost_on_a_gpu_takes_one_program(
    speck: Checkpoint,
    audio: Audio,
    monkeypatch: pytest.MonkeyPatch,
    on_host: bool,
    programs: int,
) -> None:
    """To build one takes minutes there. On a CPU the wall time is of all of torch's threads."""

    def quick_here(mode: str | None, *, on_host: bool) -> CompileConfig:  # noqa: ARG001
        return quick(mode, on_host=True)

    monkeypatch.setattr(transformers_transcriber, "compile_config", quick_here)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    key = CheckpointKey(model=speck.spec, precision=PRECISIONS["fp32-compiled"], attention="sdpa")
    loaded = load_model(speck, key, CpuAccelerator(on_host=on_host))
    try:
        measure_cost(loaded.transcriber([audio], bounded=True), 2, RATES, "cpu")
        assert seen().graphs == programs
        assert torch.get_num_threads() == 2
    finally:
        loaded.close()
        torch.set_num_threads(threads)


def test_pytest_makes_the_compiler_write_no_trace(
    compiled: Transcriber, caplog: pytest.LogCaptureFixture
) -> None:
    """Writing it takes time, which would count as compile time; its records have no text."""
    trace = logging.getLogger("torch.__trace")
    trace.addHandler(caplog.handler)  # as pytest does from 9.1 on
    quieten()
    assert trace.handlers == []
    torch.compiler.reset()
    with caplog.at_level(0):
        compiled.transcribe(2)
    assert not [each for each in caplog.records if each.name == trace.name]


def test_a_trace_that_was_asked_for_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """TORCH_TRACE keeps its handler, and its records go to nobody else."""
    trace = logging.getLogger("torch.__trace")
    monkeypatch.setenv("TORCH_TRACE", "somewhere")
    monkeypatch.setattr(trace, "propagate", False)
    quieten()
    assert not trace.propagate


def test_a_cost_that_compiles_is_refused(
    compiled: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts of compiling are not those of the cell."""
    right, calls = compiled.generate, []

    def forgetting(features: Any, tokens: int) -> torch.Tensor:
        calls.append(tokens)
        if len(calls) == 6:  # of which five warm up
            torch.compiler.reset()
        return right(features, tokens)

    monkeypatch.setattr(compiled, "generate", forgetting)
    with pytest.raises(InvalidMeasurementError, match=r"counting the cost of .* compiled"):
        measure_cost(compiled, 2, RATES, "cpu")


def test_a_compiler_that_gives_up_is_told(
    speck: Checkpoint, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch.compile could not compile runs as it is, and is invalid under that name."""

    def fails(*_: object) -> Any:
        raise RuntimeError("no kernel today")

    def failing(mode: str | None, *, on_host: bool) -> CompileConfig:
        config = quick(mode, on_host=on_host)
        config.backend = fails
        return config

    monkeypatch.setattr(transformers_transcriber, "compile_config", failing)
    loaded = load(speck, "fp32-compiled")
    try:
        with (
            dynamo.patch(suppress_errors=True),
            pytest.raises(InvalidMeasurementError, match=r"a call: torch\.compile compiled"),
            nothing_compiled("a call"),
        ):
            loaded.transcriber([audio]).transcribe(3)
        assert seen().failed > 0
        assert seen().graphs == 0
        with pytest.raises(InvalidMeasurementError, match="made no graph, so it ran eagerly"):
            what_ran(loaded, generated=True)
    finally:
        loaded.close()


def test_transformers_that_does_not_compile_is_told(
    speck: Checkpoint, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU it compiles what it is told to alone. A single token is then not compiled either."""

    def untold(mode: str | None, *, on_host: bool) -> CompileConfig:
        return quick(mode, on_host=not on_host)

    monkeypatch.setattr(transformers_transcriber, "compile_config", untold)
    loaded = load(speck, "fp32-compiled")
    try:
        found = loaded.transcriber([audio])
        found.transcribe(3)
        found.token_step(2).step()
        assert seen() == Compiled()
        assert compiled_so_far() is None
        with pytest.raises(InvalidMeasurementError, match="made no graph, so it ran eagerly"):
            what_ran(loaded, generated=True)
    finally:
        loaded.close()


def test_tuning_in_the_first_call_counts() -> None:
    """Kernels that a GPU tunes in the first call are time of the compiler, as torch records it."""
    from torch._dynamo import utils

    before = seen().seconds
    column = "runtime_triton_autotune_time_us"
    context = utils.get_runtime_metrics_context()
    context.increment(column, 20_000_000, {"is_runtime": True})
    context.finish()  # as what is compiled does after each call
    assert seen().seconds - before == pytest.approx(20.0)


def test_each_shape_is_compiled_for(
    speck: Checkpoint, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default torch.compile runs the ninth as it is written, and no count of graphs shows it."""
    monkeypatch.setattr(transformers_transcriber, "compile_config", quick)
    with dynamo.patch(recompile_limit=1):
        loaded = load(speck, "fp32-compiled")
        try:
            for size in (1, 2):
                loaded.transcriber([audio] * size).transcribe(2)
            assert seen().graphs == 2
        finally:
            loaded.close()
        assert dynamo.recompile_limit == 1


def test_all_of_it_is_given_back(
    speck: Checkpoint, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model, its graphs, the compiler's cache on the disk, and settings that were changed."""
    monkeypatch.setattr(transformers_transcriber, "compile_config", quick)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/where/it/was")
    from torch._inductor import config

    tuned, precise = config.coordinate_descent_tuning, torch.get_float32_matmul_precision()
    cache = ModelCache[str, LoadedModel](lambda name: load(speck, name), CpuAccelerator())
    for _ in range(2):
        loaded = cache.get("fp32-compiled")
        folder = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
        assert folder.is_dir()
        assert not list(folder.rglob("*.so"))
        loaded.transcriber([audio]).transcribe(3)
        assert seen().graphs == 1
        config.coordinate_descent_tuning = not tuned  # as torchao does
        torch.set_float32_matmul_precision("medium")
        del loaded
        cache.release()
        assert seen() == Compiled()
        assert config.coordinate_descent_tuning == tuned
        assert torch.get_float32_matmul_precision() == precise
        assert not folder.exists()
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/where/it/was"


def test_a_model_that_cannot_be_loaded_leaves_nothing(
    speck: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made ready for it is gone, too."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/where/it/was")

    def fail(*_: object, **__: object) -> Any:
        raise OSError("the disk is gone")

    monkeypatch.setattr("transformers.WhisperForConditionalGeneration.from_pretrained", fail)
    with pytest.raises(ModelError, match="the disk is gone"):
        load(speck, "fp32-compiled")
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/where/it/was"


def test_an_old_transformers_is_refused_in_one_line() -> None:
    """Without a length for its cache, each number of tokens would be compiled for."""
    settings: Any = object()
    with pytest.raises(ModelError, match=r"\S+ gives a static cache no length") as caught:
        set_compiled(settings, compile_config(None, on_host=True))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("on_host", "absent", "said"),
    [
        (
            True,
            "g++",
            r"a C\+\+ compiler, and there is no (g|clang)\+\+; install one, or name it by CXX",
        ),
        (False, "triton", "the package triton"),
        (False, "gcc", "a C compiler, and there is no clang or gcc; install one, or name it by CC"),
        (True, "Python.h", "Python's C headers"),
    ],
)
def test_what_compiling_needs_is_asked_for_at_once(
    on_host: bool, absent: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A compiler, Triton on a GPU, Python's headers: one line each; other rows need none."""
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    here = "whisperbench.whisper.compiling"
    monkeypatch.setattr(f"{here}.find_spec", lambda name: None if name == absent else "it is there")
    monkeypatch.setattr(
        shutil, "which", lambda name: None if absent in ("g++", "gcc") else f"/bin/{name}"
    )
    include = tmp_path if absent == "Python.h" else Path(sysconfig.get_paths()["include"])
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(include)})
    with pytest.raises(DeviceError, match=said) as caught:
        require_compiler(PRECISIONS["fp16-compiled"], on_host=on_host)
    assert str(caught.value).startswith("--precision fp16-compiled: torch.compile needs ")
    assert "\n" not in str(caught.value)
    require_compiler(PRECISIONS["fp16"], on_host=on_host)


def test_functions_are_left_alone_on_request() -> None:
    """torch.compile neither compiles them, nor is kept from compiling what calls them."""
    torch.compiler.reset()
    calls: list[int] = []
    aside = not_compiled(lambda: calls.append(1))

    @torch.compile(backend="eager")
    def outer(number: torch.Tensor) -> torch.Tensor:
        aside()
        return number + 1

    assert [int(outer(torch.tensor(1))) for _ in range(3)] == [2, 2, 2]
    assert len(calls) == 3
    torch.compiler.reset()


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_built_kernels_make_the_same_words(
    speck: Checkpoint, audio: Audio, plain: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the kernels that are measured: the same ids, one graph, and a library built anew."""
    # Of `compiled`, which lives as long as the module, the settings still stand.
    monkeypatch.setattr(transformers_transcriber, "compile_config", compile_config)
    loaded = load(speck, "fp32-compiled")
    try:
        found = loaded.transcriber([audio]).transcribe(6)
        assert all(map(torch.equal, found.sequences, plain.transcribe(6).sequences))
        assert seen().graphs == 1
        assert list(Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).rglob("*.so"))
    finally:
        loaded.close()
