"""Check the memory probe against the truth, on a machine with a GPU. Prints a table a part.

    python scripts/check_probe.py blocks spikes disturbance     # one GPU
    python scripts/check_probe.py outside --runtimes fp16,ct2-int8_float16,tests.own_code:Saying
    python scripts/check_probe.py mapping                       # two GPUs or more

blocks       known blocks in another process: how far off are the device's growth and the process?
spikes       1 GiB held for 5 ms: how many of 100 does the probe see, and how many does a thread
             in the workload's own process see that polls every 10, 50 and 500 ms?
disturbance  large-v3 int8, the case that the host bounds: p50 with the probe on and off, in turns
outside      1 GiB that torch does not allocate, held for 5 ms within a call of each runtime: does
             the memory pass of a real cell see it?
mapping      CUDA_VISIBLE_DEVICES in any order: is the card that fills up the one that is read? And
             does work on one card spoil a cell on another?

Exits with 1 where a part misses what docs/memory.md promises.

Over 300 lines, because a script that is run by hand, maybe on another machine, is one file.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MIB = 2**20
BLOCKS_MIB = (1, 2, 64, 1024, 16384)
SPIKES = 100
SPIKE_S = 0.005
SPIKE_MIB = 1024
THREAD_INTERVALS_S = (0.010, 0.050, 0.500)
DISTURBANCE_S = 360.0
DOSE = 5
SETTLE_S = 0.020
TOKENS = 1

WORST_MIB = 2.0
SEEN = 99
DISTURBANCE = 0.005


def hold_blocks(connection: Connection[Any, Any]) -> None:
    """Make a context, then hold one block after the other; say what torch holds of each."""
    import torch

    torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
    connection.send(torch.cuda.memory_reserved())
    connection.recv()
    for size_mib in BLOCKS_MIB:
        block = torch.empty(size_mib * MIB, dtype=torch.uint8, device="cuda")
        block.fill_(1)
        torch.cuda.synchronize()
        connection.send(torch.cuda.memory_reserved())
        connection.recv()
        del block
        torch.cuda.empty_cache()


def make_spikes(connection: Connection[Any, Any], thread_interval_s: float, busy: bool) -> None:
    """Hold a big block for a moment, again and again; with a polling thread beside it, or not.

    A busy workload computes in Python meanwhile, as a decoding loop does; another one sleeps.
    """
    import torch

    spend = _compute if busy else time.sleep
    watcher = _Watcher(thread_interval_s) if thread_interval_s else None
    torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
    connection.send("ready")
    connection.recv()
    chance = random.Random(1)
    if watcher is not None:
        watcher.start()
    spans = []
    for _ in range(SPIKES):
        spend(0.015 + 0.03 * chance.random())
        block = torch.empty(SPIKE_MIB * MIB, dtype=torch.uint8, device="cuda")
        start_s = time.monotonic()
        spend(SPIKE_S)
        spans.append((start_s, time.monotonic()))
        del block
        torch.cuda.empty_cache()
    seen = watcher.stop() if watcher is not None else []
    connection.send((spans, seen))
    connection.recv()


class _Watcher(threading.Thread):
    """A thread in the workload's own process that polls NVML, as other tools do."""

    def __init__(self, interval_s: float) -> None:
        super().__init__(daemon=True)
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self.readings: list[tuple[float, int]] = []

    def run(self) -> None:
        """Poll until stopped."""
        from whisperbench.devices.nvml import NvmlDevice

        device = NvmlDevice("cuda")
        while not self._stopping.wait(self._interval_s):
            self.readings.append((time.monotonic(), device.memory().used_bytes))

    def stop(self) -> list[tuple[float, int]]:
        """Stop polling; return what was read, and when."""
        self._stopping.set()
        self.join()
        return self.readings


def _compute(seconds: float) -> None:
    """Hold the interpreter for a while."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        pass


def transcribe_often(connection: Connection[Any, Any], request: Any) -> None:
    """Load a model; then time a transcription at each request, until told to stop."""
    from whisperbench.asked.clips import load_audio
    from whisperbench.whisper.loading import load_model

    accelerator = request.accelerator
    loaded = load_model(request.checkpoint(), request.key(), accelerator)
    transcriber = loaded.transcriber([load_audio(request.clip)] * request.batch_size)
    for _ in range(3):
        transcriber.transcribe(request.tokens)
    gc.disable()
    connection.send("ready")
    while connection.recv():
        accelerator.synchronize()
        started_s = time.perf_counter()
        transcriber.transcribe(request.tokens)
        accelerator.synchronize()
        connection.send(time.perf_counter() - started_s)


def check_blocks() -> bool:
    """Compare readings with what torch holds; whether they agree."""
    from whisperbench.devices.nvml import NvmlDevice
    from whisperbench.measure.fresh import start_process

    device = NvmlDevice("cuda")
    idle = device.memory().used_bytes
    process, connection = start_process(hold_blocks)
    assert process.pid is not None

    def read() -> tuple[int, int, int]:
        reserved = connection.recv()
        time.sleep(0.05)
        assert process.pid is not None
        held = device.processes(process.pid).get(process.pid) or 0
        grown = device.memory().used_bytes - idle
        connection.send(None)
        return reserved, held, grown

    reserved, held, grown = read()
    context_process, context_device = held - reserved, grown - reserved
    print(
        f"\nblocks: context {context_process / MIB:.1f} MiB by process, "
        f"{context_device / MIB:.1f} MiB by device; idle level {idle / MIB:.1f} MiB"
    )
    print(f"{'block MiB':>10} {'torch holds':>12} {'process off by':>15} {'device off by':>14}")
    worst = 0.0
    for size_mib in BLOCKS_MIB:
        reserved, held, grown = read()
        off_process = (held - reserved - context_process) / MIB
        off_device = (grown - reserved - context_device) / MIB
        worst = max(worst, abs(off_process), abs(off_device))
        print(f"{size_mib:>10} {reserved / MIB:>12.1f} {off_process:>15.2f} {off_device:>14.2f}")
    process.join()
    time.sleep(0.5)
    left = (device.memory().used_bytes - idle) / MIB
    print(f"worst {worst:.2f} MiB (at most 2 wanted); {left:+.2f} MiB after the process ended")
    return worst <= WORST_MIB


def check_spikes() -> bool:
    """Count the spikes that are seen, from outside and from inside; whether the probe sees them."""
    from whisperbench.devices.nvml import NvmlDevice
    from whisperbench.measure.fresh import start_process
    from whisperbench.measure.memory.probe import Pace, Probe

    device = NvmlDevice("cuda")
    pace = Pace.measure(device, os.getpid())
    print(f"\nspikes of {SPIKE_MIB} MiB for {1e3 * SPIKE_S:.0f} ms, {SPIKES} of each")
    enough = True
    print(f"{'watched by':<42} {'workload':<9} {'seen':>5} {'polls':>7} {'longest gap ms':>15}")
    for interval_s, busy in itertools.product((0.0, *THREAD_INTERVALS_S), (True, False)):
        process, connection = start_process(make_spikes, interval_s, busy)
        connection.recv()
        if interval_s:
            name = f"thread in the workload, every {1e3 * interval_s:.0f} ms"
            connection.send(None)
            spans, readings = connection.recv()
        else:
            name = f"whisperbench's probe, every {1e3 * pace.interval_s:.0f} ms"
            assert process.pid is not None
            with Probe(device, process.pid, ours=frozenset(), pace=pace) as probe:
                connection.send(None)
                spans, _ = connection.recv()
            used = [level for level in probe.trace.device_bytes if level is not None]
            readings = list(zip(probe.trace.times_s, used, strict=True))
        connection.send(None)
        process.join()
        low = min(level for _, level in readings)
        high_s = [at_s for at_s, level in readings if level - low > SPIKE_MIB * MIB * 0.9]
        seen = sum(any(a <= at_s <= b for at_s in high_s) for a, b in spans)
        gaps = [b[0] - a[0] for a, b in itertools.pairwise(readings)]
        kind = "computes" if busy else "sleeps"
        enough &= bool(interval_s) or seen >= SEEN
        print(f"{name:<42} {kind:<9} {seen:>5} {len(readings):>7} {1e3 * max(gaps):>15.1f}")
    return enough


def hold_outside() -> None:
    """Take a GiB from the driver itself, in this process's context, and give it back."""
    import ctypes

    import torch

    torch.cuda.synchronize()
    driver = ctypes.CDLL("libcuda.so.1")
    place = ctypes.c_uint64()
    taken = driver.cuMemAlloc_v2(ctypes.byref(place), ctypes.c_size_t(SPIKE_MIB * MIB))
    time.sleep(SPIKE_S)
    if taken or driver.cuMemFree_v2(place):
        raise RuntimeError(f"the driver gave no block: error {taken}")


def run_with_spikes(connection: Connection[Any, Any], request: Any) -> None:
    """Go through a real cell whose every transcription has a spike in it."""
    from whisperbench.measure.memory.watched import run_cell
    from whisperbench.whisper import loading

    load = loading.load_model

    def load_spiking(*arguments: Any) -> Any:
        loaded: Any = load(*arguments)
        bind = loaded.transcriber

        def bind_spiking(*batch: Any, **options: Any) -> Any:
            made = bind(*batch, **options)
            call = made.transcribe

            def transcribe(tokens: int | None) -> Any:
                hold_outside()
                return call(tokens)

            made.transcribe = transcribe
            return made

        loaded.transcriber = bind_spiking
        return loaded

    loading.load_model = load_spiking  # type: ignore[assignment]
    run_cell(connection, request)


def check_outside(model: str, runtimes: str) -> bool:
    """Measure cells with and without spikes; whether each spike is in its call's peak."""
    from whisperbench.devices.nvml import NvmlDevice
    from whisperbench.errors import WhisperbenchError
    from whisperbench.measure.memory.watching import measure_memory

    device = NvmlDevice("cuda")
    enough = True
    print(f"\n{SPIKE_MIB} MiB outside of torch, within each call; peaks of the steady call in MiB")
    print(f"{'runtime':<28} {'level':<8} {'without':>9} {'with':>9} {'seen':>9}")
    for name in runtimes.split(","):
        request = _request(model, name, "cuda")
        try:
            plain = measure_memory(request, device).values
            spiking = measure_memory(request, device, target=run_with_spikes).values
        except WhisperbenchError as error:
            print(f"{name:<28} {error}")
            enough = False
            continue
        for level in ("process", "device"):
            metric = f"steady_call_peak_{level}_mib"
            if metric in plain and metric in spiking:
                seen = spiking[metric] - plain[metric]
                enough &= seen >= 0.9 * SPIKE_MIB
                print(
                    f"{name:<28} {level:<8} {plain[metric]:>9.0f} {spiking[metric]:>9.0f} "
                    f"{seen:>9.0f}"
                )
    return enough


def check_disturbance(model: str, precision: str) -> bool:
    """Time transcriptions with the probe on and off, in turns; whether the p50 surely stays.

    What a probe does to the p50 is less than what a host wobbles by. So a third arm's probe reads
    everything `DOSE` times as often: a `DOSE`-th of its effect is known that much better. Before
    each call every arm waits alike: a workload that has idled for longer starts colder.
    """
    from whisperbench.devices.nvml import NvmlDevice
    from whisperbench.measure.fresh import start_process
    from whisperbench.measure.memory.probe import Pace, Probe

    device = NvmlDevice("cuda")
    process, connection = start_process(transcribe_often, _request(model, precision, "cuda:0"))
    connection.recv()
    assert process.pid is not None
    pace = Pace.measure(device, os.getpid())
    paces = {"off": None, "on": pace, "dosed": replace(pace, interval_s=pace.interval_s / DOSE)}
    samples: dict[str, list[float]] = {arm: [] for arm in paces}
    chance = random.Random(1)
    end_s = time.monotonic() + DISTURBANCE_S
    while time.monotonic() < end_s:
        # The order is drawn anew each time, so that a drift of the host falls on all alike.
        for arm in chance.sample(list(paces), len(paces)):
            at = paces[arm]
            probe = Probe(device, process.pid, ours=frozenset(), pace=at) if at else nullcontext()
            with probe:
                time.sleep(SETTLE_S)
                connection.send(True)
                samples[arm].append(connection.recv())
    connection.send(False)
    process.join()
    rounds = len(samples["off"])
    print(f"\ndisturbance: {model} {precision}, {TOKENS} token, {rounds} of each in turns, {pace}")
    off_s = median(samples["off"])
    print(f"p50 off {off_s:.4f} s")
    for arm, times in (("on", 1), ("dosed", DOSE)):
        p50_s = median(samples[arm])
        middle, least, most = (value / times for value in _change(samples[arm], samples["off"]))
        print(
            f"{arm:<6} p50 {p50_s:.4f} s, {100 * (p50_s / off_s - 1):+.2f} %; "
            f"change by pairs, over {times}: {middle:+.2f} % (95 %: {least:+.2f} to {most:+.2f} %)"
        )
    on_s = median(samples["on"])
    return on_s / off_s - 1 < DISTURBANCE and most < 100 * DISTURBANCE


def _change(on_s: list[float], off_s: list[float]) -> tuple[float, float, float]:
    """Return the pairs' change in percent and its 95 % interval.

    The estimate of Hodges and Lehmann: the median of the means of every two logarithms of a ratio,
    and the interval that belongs to Wilcoxon's signed ranks (Hollander and Wolfe, *Nonparametric
    Statistical Methods*, 3.2 and 3.3, with the normal approximation).
    """
    import numpy as np

    ratios = np.log(np.array(on_s) / np.array(off_s))
    count = len(ratios)
    means = np.sort(np.add.outer(ratios, ratios)[np.triu_indices(count)] / 2)
    spread = (count * (count + 1) * (2 * count + 1) / 24) ** 0.5
    low = max(0, round(len(means) / 2 - 1.96 * spread))
    middle, least, most = 100 * np.expm1([np.median(means), means[low], means[-1 - low]])
    return middle, least, most


def check_mapping() -> bool:
    """Show which card is read, for several orders of the cards; whether it is the right one."""
    fill = (
        "import sys, torch\n"
        "from whisperbench.devices.nvml import NvmlDevice\n"
        "import pynvml as nvml\n"
        "nvml.nvmlInit()\n"
        "cards = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]\n"
        "name = sys.argv[1]\n"
        "device = NvmlDevice(name)\n"
        "before = [nvml.nvmlDeviceGetMemoryInfo(card).used for card in cards]\n"
        "probed = device.memory().used_bytes\n"
        "block = torch.ones(2**30, dtype=torch.uint8, device=name)\n"
        "torch.cuda.synchronize(name)\n"
        "grown = [nvml.nvmlDeviceGetMemoryInfo(c).used - b for c, b in zip(cards, before)]\n"
        "seen = device.memory().used_bytes - probed\n"
        "full = max(range(len(cards)), key=lambda i: grown[i])\n"
        "uuid = nvml.nvmlDeviceGetUUID(cards[full])\n"
        "right = device.facts().uuid == uuid and seen >= 2**30\n"
        "print(f'{name} fills NVML card {full} ({uuid[:12]}), the probe saw {seen >> 20} MiB:',\n"
        "      'right' if right else 'WRONG')\n"
        "sys.exit(not right)\n"
    )
    right = True
    print("\nmapping: torch's device, the card that fills up, and the one that the probe reads")
    for visible in (None, "1", "1,0", "0,1"):
        for name in ("cuda:0", "cuda:1") if visible != "1" else ("cuda:0",):
            environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
            if visible is not None:
                environment["CUDA_VISIBLE_DEVICES"] = visible
            print(f"CUDA_VISIBLE_DEVICES={visible or '(unset)'}: ", end="", flush=True)
            done = subprocess.run([sys.executable, "-c", fill, name], env=environment, check=False)
            right &= done.returncode == 0
    return _check_neighbour() and right


def _check_neighbour() -> bool:
    """Run a cell on one card while another process works on the other, then on the same."""
    from whisperbench.devices.nvml import NvmlDevice
    from whisperbench.errors import InvalidMeasurementError
    from whisperbench.measure.memory.watching import measure_memory

    work = "import torch\nx = torch.randn(8192, 8192, device='cuda:0')\nwhile True: x @ x\n"
    neighbour = subprocess.Popen([sys.executable, "-c", work])
    answers = {}
    try:
        time.sleep(15.0)
        for name in ("cuda:1", "cuda:0"):
            try:
                footprint = measure_memory(_request("dummy:tiny", "fp16", name), NvmlDevice(name))
                figures = footprint.values
                answer = f"measured, peak {figures['peak_device_mib']:.0f} MiB"
            except InvalidMeasurementError as error:
                answer = f"invalid: {error}"
            answers[name] = answer
            print(f"work on cuda:0, cell on {name}: {answer}")
    finally:
        neighbour.kill()
        neighbour.wait()
    return answers["cuda:1"].startswith("measured") and answers["cuda:0"].startswith("invalid")


def _request(model: str, precision: str, device: str) -> Any:
    import msgspec

    from whisperbench.asked.checkout import CLIPS_FOLDER
    from whisperbench.asked.clips import read_manifest
    from whisperbench.asked.models import ModelSpec
    from whisperbench.asked.precisions import own_precision, precision_named
    from whisperbench.devices.choosing import open_accelerator
    from whisperbench.measure.cell_request import CellRequest
    from whisperbench.whisper.backend_choice import BACKENDS
    from whisperbench.whisper.checkpoints import resolve_checkpoint
    from whisperbench.whisper.loading import loaded_files

    checkpoint = resolve_checkpoint(ModelSpec.parse(model))
    row = own_precision(precision) if ":" in precision else precision_named(precision)
    loaded_files(checkpoint, row, print)
    clip = msgspec.structs.replace(read_manifest(CLIPS_FOLDER)["harbour"], language="en")
    return CellRequest(
        model=model,
        folder=str(checkpoint.folder),
        precision=row,
        attention="sdpa",
        accelerator=open_accelerator(device),
        clip=clip,
        batch_size=1,
        tokens=TOKENS if BACKENDS[row.backend].fixed_count else None,
        fingerprint=checkpoint.fingerprint,
    )


def main() -> None:
    """Run the parts that are asked for."""
    parts: dict[str, Callable[[], bool]] = {
        "blocks": check_blocks,
        "spikes": check_spikes,
        "outside": lambda: check_outside(options.model, options.runtimes),
        "disturbance": lambda: check_disturbance(options.model, options.precision),
        "mapping": check_mapping,
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="+", choices=parts)
    parser.add_argument("--model", default="dummy:large-v3")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--runtimes", default="fp16,tests.own_code:Saying")
    options = parser.parse_args()
    failed = [part for part in options.parts if not parts[part]()]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    # As a module of a package, so that a fresh process can import the functions that it is to run.
    sys.path.insert(0, str(ROOT))
    from scripts import check_probe

    check_probe.main()
