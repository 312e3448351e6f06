"""Loads and hears with torchao in a process of its own, and tells a test what it saw.

An installed torchao is imported by transformers at every start; so it lies in a folder of its own,
which this process alone has on its path.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import CompileConfig

from whisperbench.asked.checkout import CLIPS_FOLDER, NANO_FOLDER
from whisperbench.asked.clips import load_audio, read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import DeviceError, InvalidMeasurementError
from whisperbench.measure.cost.counting import measure_cost
from whisperbench.measure.cost.device_rates import Rates
from whisperbench.whisper import transformers_transcriber
from whisperbench.whisper.backends.torchao import BACKEND
from whisperbench.whisper.checkpoints import Checkpoint, resolve_checkpoint
from whisperbench.whisper.compiled_decoder import compile_config
from whisperbench.whisper.compiling import seen
from whisperbench.whisper.loading import LoadedModel, load_model
from whisperbench.whisper.residency import ModelCache

RATES = Rates(bytes_per_s=1e10, operations_per_s={"float32": 1e11})


def quick(mode: str | None, *, on_host: bool) -> CompileConfig:
    """Compile without building kernels."""
    config = compile_config(mode, on_host=on_host)
    config.backend, config.mode = "aot_eager", None
    return config


def load(checkpoint: Checkpoint, name: str) -> LoadedModel:
    """Load a checkpoint in a precision."""
    key = CheckpointKey(model=checkpoint.spec, precision=PRECISIONS[name], attention="sdpa")
    return load_model(checkpoint, key, CpuAccelerator())


def heard(checkpoint: Checkpoint, name: str) -> str:
    """Hear a clip in a row."""
    loaded = load(checkpoint, name)
    clip = read_manifest(CLIPS_FOLDER)["yes"]
    return loaded.transcriber([load_audio(clip)]).transcribe(None).texts[0]


def row(cache: ModelCache[str, LoadedModel], name: str) -> dict[str, Any]:
    """Load a row, count what a call of it costs, and give all of it back."""
    loaded = cache.get(name)
    clip = read_manifest(CLIPS_FOLDER)["yes"]
    found = loaded.transcriber([load_audio(clip)])
    cost = measure_cost(found, 2, RATES, "cpu")
    assert cost.found.ran is not None
    told = {
        "weights": dict(loaded.weights_by_dtype),
        "layers": cost.found.ran.layers,
        "products": cost.found.ran.products,
        "tied": loaded.model.proj_out.weight is loaded.model.model.decoder.embed_tokens.weight,
        "least_mib": cost.values["decode_weight_mib_read"],
        "graphs": seen().graphs,
    }
    del loaded, found, cost
    cache.release()
    return told


def refusals(checkpoint: Checkpoint) -> dict[str, str]:
    """Load with a list of modules that leaves the wrong ones out, and with other faults."""
    import torchao.quantization as quantization
    from transformers import TorchAoConfig

    right = type(BACKEND).loading_options
    found: dict[str, str] = {}
    made: Any = quantization

    def refused(what: str, options: Callable[..., dict[str, Any]]) -> None:
        type(BACKEND).loading_options = options  # type: ignore[method-assign]
        try:
            load(checkpoint, "ao-int8wo").close()
        except InvalidMeasurementError as error:
            found[what] = str(error)
        finally:
            type(BACKEND).loading_options = right  # type: ignore[method-assign]

    def told(config: Any, **options: Any) -> Callable[..., dict[str, Any]]:
        made = TorchAoConfig(config, **options)
        return lambda *_: {"quantization_config": made}

    weights_only = quantization.Int8WeightOnlyConfig
    dynamic = quantization.Int8DynamicActivationInt8WeightConfig
    refused("skipped", told(weights_only(), modules_to_not_convert=[".*fc1", "proj_out"]))
    refused("dynamic", told(dynamic()))
    refused("float", lambda *_: {})
    made.Int8WeightOnlyConfig = int  # a class without versions
    try:
        load(checkpoint, "ao-int8wo").close()
    except DeviceError as error:
        found["old"] = str(error)
    finally:
        made.Int8WeightOnlyConfig = weights_only
    return found


def main() -> None:
    """Write what was seen of the smallest checkpoint, and heard by nano, to a file."""
    path, folder = sys.argv[1:]
    whisper: Any = transformers_transcriber
    whisper.compile_config = quick
    checkpoint = Checkpoint(spec=ModelSpec.parse(folder), folder=Path(folder), fingerprint="")
    nano = resolve_checkpoint(ModelSpec.parse(str(NANO_FOLDER)))
    cache = ModelCache[str, LoadedModel](lambda name: load(checkpoint, name), CpuAccelerator())
    try:
        told: dict[str, Any] = {
            name: row(cache, name)
            for name in ("fp32", "ao-int8wo", "ao-int8dq", "ao-int8wo-compiled")
        }
        told["heard"] = {name: heard(nano, name) for name in ("ao-int8wo", "ao-int8dq")}
        told["refused"] = refusals(checkpoint)
    except Exception:  # noqa: BLE001 - the test shows it
        told = {"failed": traceback.format_exc()}
    Path(path).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
