"""Made-up shards of a run of four cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tests.runs import MACHINE, make_measurement, make_run, make_run_file
from whisperbench.judge.baselines import RecordedRun
from whisperbench.results.records import DESELECTED, Machine, ManifestEntry, Measurement, Shard
from whisperbench.results.schema import decode_run

SETTINGS = {"tokens": "32", "suite.toml": "abc"}

PRECISIONS = ("fp32", "fp16", "int8", "nf4")
"""Of the cells of the run: the first and the third are the first shard's."""


def name_of(precision: str) -> str:
    """Name the benchmark of a precision, as pytest does."""
    return f"benchmarks/test_transcribe.py::test_transcribe[m-{precision}]"


def make_shard(
    index: int,
    *,
    of: int = 2,
    machine: Machine = MACHINE,
    settings: dict[str, str] = SETTINGS,
    times: str = "",
    commit: str | None = "c0ffee",
    dirty: bool | None = False,
    precisions: Sequence[str] = PRECISIONS,
    owner: Callable[[int], int] = lambda place: place % 2 + 1,
    change: Callable[[Measurement], Measurement] = lambda row: row,
    **outcome: Any,
) -> RecordedRun:
    """Make up a shard of a run of four cells; `outcome` replaces fields of its own entries."""
    entries = []
    rows = []
    for place, precision in enumerate(precisions):
        own = owner(place) == index
        entry = ManifestEntry(
            benchmark=name_of(precision),
            cell=f"m-{precision}",
            outcome="measured" if own else "skipped",
            reason="" if own else f"belongs to shard {owner(place)} of {of}",
            shard=owner(place),
            setup_s=1.0 if own else None,
            took_s=float(place) if own else None,
        )
        entries.append(msgspec.structs.replace(entry, **outcome) if own else entry)
        if own and entries[-1].outcome != "failed":
            rows.append((precision, change(make_measurement(precision=precision))))
    gone = ManifestEntry(benchmark="x", cell="x", outcome="skipped", reason=DESELECTED)
    run = make_run(*(row for _, row in rows), manifest=(*entries, gone), machine=machine)
    shard = Shard(index=index, of=of, times=times, settings=settings)
    info = msgspec.structs.replace(run.info, shard=shard, process_s=20.0)
    file = make_run_file(msgspec.structs.replace(run, info=info))
    file["commit_info"] = {"id": commit, "dirty": dirty}
    for row, (precision, _) in zip(file["benchmarks"], rows, strict=True):
        row |= {"fullname": name_of(precision), "stats": {"median": 1.0}}
    data = msgspec.json.encode(file)
    return RecordedRun(f"{index}.json", decode_run(data, f"{index}.json"), data)
