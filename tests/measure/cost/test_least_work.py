"""The least that a decoding takes: arithmetic, weights that are read, and rates to do it at."""

from __future__ import annotations

from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import load_audio, read_manifest
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.measure.cost.device_rates import rates_of
from whisperbench.measure.cost.least_work import LeastWork, count_work, floor_s
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.loading import load_model


def test_least_work_is_what_torch_counts(shallow: Checkpoint) -> None:
    """The arithmetic of layers and attention is what torch's own counter finds in fp32."""
    key = CheckpointKey(model=shallow.spec, precision=PRECISIONS["fp32"], attention="eager")
    loaded = load_model(shallow, key, CpuAccelerator())
    path = loaded.transcriber([load_audio(read_manifest(CLIPS_FOLDER)["yes"])])
    features = path.front_end()
    encoder = loaded.model.get_encoder()
    with FlopCounterMode(display=False) as counter:
        path.generate(features, 3)
    work = count_work(lambda: path.generate(features, 3), encoder)
    total = sum(stage.layer_flops + stage.attention_flops for stage in work.values())
    assert total == counter.get_total_flops()
    encoder_bytes = sum(p.numel() * p.element_size() for p in encoder.parameters())
    assert work["encoder"].weight_bytes == encoder_bytes
    assert work["decode"].attention_flops < work["encoder"].attention_flops
    fused = CheckpointKey(model=shallow.spec, precision=PRECISIONS["int8"], attention="sdpa")
    quantized = load_model(shallow, fused, CpuAccelerator()).transcriber([path.audio])
    other = count_work(
        lambda: quantized.generate(features, 3), quantized.loaded.model.get_encoder()
    )
    assert other["encoder"].attention_flops == work["encoder"].attention_flops
    assert other["encoder"].layer_flops == work["encoder"].layer_flops
    assert other["encoder"].weight_bytes < 0.6 * work["encoder"].weight_bytes


def test_the_floor_is_the_greater_of_reading_and_arithmetic() -> None:
    """By hand: 2 GB at 1 GB/s against 3 G of one kind and 1 G of another, at 1 and 4 G/s."""
    work = LeastWork(layer_flops=3 * 10**9, attention_flops=10**9, weight_bytes=2 * 10**9)
    rates = {"bytes_per_s": 1e9, "layer_flops_per_s": 1e9, "attention_flops_per_s": 4e9}
    assert floor_s(work, **rates) == (3.25, "arithmetic")
    assert floor_s(work, **rates | {"layer_flops_per_s": 3e9}) == (2.0, "memory")
    with pytest.raises(ValueError, match="above 0"):
        floor_s(work, **rates | {"bytes_per_s": 0.0})


def test_rates_keep_the_best_that_was_seen(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates are measured for real; a better one of before stays, a broken file does not matter."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(cache))
    first = rates_of(CpuAccelerator(), "cpu-test", ("float32",))
    assert first.bytes_per_s > 1e8
    assert first.operations_per_s["float32"] > 1e9
    (path,) = (cache / "rates").glob("cpu-test*.json")
    path.write_text('{"bytes_per_s": 1e30, "operations_per_s": {"float32": 1.0, "int8": 5.0}}')
    second = rates_of(CpuAccelerator(), "cpu-test", ("float32",))
    assert second.bytes_per_s == 1e30
    assert second.operations_per_s["float32"] > 1e9
    assert second.operations_per_s["int8"] == 5.0
    path.write_text("{")
    assert rates_of(CpuAccelerator(), "cpu-test", ("float32",)).bytes_per_s < 1e15
    assert [*path.parent.glob("*cpu-test*")] == [path]
