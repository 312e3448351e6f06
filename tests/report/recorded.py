"""A made-up history of sixteen recordings. No figure in it was measured."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from tests.judge.compared import a_cost, part
from tests.runs import MACHINE, make_cell, make_measurement, make_memory, make_run, make_run_file
from whisperbench.results.figure import Metric
from whisperbench.results.records import Measurement

RECORDINGS = 16
SLOWER = 9
"""The recording from which on int8 is slower, with another release of transformers."""
LARGER = 12
"""The recording from which on more memory is held."""
_NOISE = (0.4, -1.1, 0.7, -0.2, 1.3, -0.9, 0.1, -0.5)
"""Of one recording after the other, in percent."""


def make_recorded(name: str = "owner/whisper") -> list[dict[str, Any]]:
    """Make the content of each recording's file, the oldest first.

    Args:
        name: of the model.
    """
    return [_file(place, name) for place in range(RECORDINGS)]


def write_recorded(folder: Path, name: str = "owner/whisper") -> Path:
    """Write them into a new folder; return the newest one's place."""
    folder.mkdir(parents=True)
    for place, content in enumerate(make_recorded(name)):
        (folder / f"{place:02}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / f"{RECORDINGS - 1:02}.json"


def _file(place: int, name: str) -> dict[str, Any]:
    rows = [*_rows("fp16", 0.875, place, name), *_rows("int8", 6.0, place, name)]
    ops = 132 if place >= SLOWER else 100
    cost = a_cost(ops, (part("aten::to", ops),))
    rows.append(msgspec.structs.replace(cost, cell=msgspec.structs.replace(cost.cell, model=name)))
    newer = {"transformers": "5.18.0"} if place >= SLOWER else {}
    machine = msgspec.structs.replace(MACHINE, versions=MACHINE.versions | newer)
    content = make_run_file(make_run(*rows, machine=machine))
    when = datetime(2026, 1, 1, 12, 0, tzinfo=UTC) + timedelta(days=7 * place)
    content["datetime"] = when.isoformat()
    content["commit_info"] = {"id": f"{place + 1:02x}" * 20}
    return content


def _rows(precision: str, seconds: float, place: int, name: str) -> list[Measurement]:
    noise = 1 + _NOISE[place % len(_NOISE)] / 100
    grown = 1.25 if precision == "int8" and place >= SLOWER else 1.0
    latency = Metric(
        name="latency_s", unit="s", kind="wall", better="lower", value=seconds * noise * grown
    )
    timed = make_measurement("transcribe", precision, model=name)
    peak = 3000.0 + 2 * noise + (200 if place >= LARGER else 0)
    return [
        msgspec.structs.replace(timed, metrics=(latency,)),
        make_memory(make_cell(precision, model=name), {"peak_process_mib": peak}),
    ]
