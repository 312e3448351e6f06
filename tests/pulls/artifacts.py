"""Made-up folders of `whisperbench ab`, as a measuring job leaves them. Nothing was measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.runs import (
    MACHINE,
    make_cell,
    make_cost,
    make_measurement,
    make_memory,
    make_run,
    make_run_file,
)
from whisperbench.results.comparison_file import COMPARISON_FILE, Compared, encode_compared
from whisperbench.results.passes import LatencyResult, Turns
from whisperbench.results.records import Machine, ManifestEntry, Measurement, Verdict

HEAD, BASE, MERGE_BASE, OTHER = ("1" * 40, "2" * 40, "3" * 40, "4" * 40)

COST, MEMORY, TOKEN = "benchmarks/c.py::a", "benchmarks/m.py::a", "benchmarks/t.py::a"
ENCODER = "benchmarks/t.py::b"


@dataclass(kw_only=True)
class Side:
    """What one side measured."""

    aten_ops: float = 100.0
    gpu_ms: float = 10.0
    kernels: float | None = None
    """Per stage; None where they were not counted."""
    peak_mib: float = 1000.0
    token_s: tuple[float, ...] = (1.0, 1.0, 1.0)
    """Of each pair."""
    machine: Machine = MACHINE
    model: str = "dummy:tiny"
    verdicts: tuple[Verdict, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    """Why benchmarks failed, by their ids."""
    left_out: tuple[str, ...] = ()
    """Benchmarks that it was not asked for."""
    added: bool = False
    """Whether its pairs have one more benchmark of wall time."""

    def counts(self) -> bytes:
        """Write the run of what one execution decides."""
        cell = make_cell("int8", model=self.model, tokens=4)
        counts = {"aten_ops": self.aten_ops}
        if self.kernels is not None:
            counts["kernels"] = self.kernels
        rows = {
            COST: make_cost(cell, counts, gpu_ms=self.gpu_ms),
            MEMORY: make_memory(cell, {"peak_process_mib": self.peak_mib}, verdicts=self.verdicts),
        }
        return self._file(rows)

    def pair(self, number: int) -> bytes:
        """Write the run of a pair, from 1."""
        seconds = self.token_s[number - 1]
        row = make_measurement("token", "int8", (seconds,) * 4, model=self.model)
        turns = Turns(cpus=(0,), reference_ms=(1.0,) * 4)
        row = msgspec.structs.replace(row, found=LatencyResult(turns=turns))
        more = {ENCODER: msgspec.structs.replace(row, benchmark="encoder")} if self.added else {}
        return self._file({TOKEN: row} | more)

    def _file(self, rows: dict[str, Measurement]) -> bytes:
        rows = {name: row for name, row in rows.items() if name not in self.left_out}
        manifest = [
            ManifestEntry(
                benchmark=name,
                cell=name,
                outcome="failed" if name in self.failed else "measured",
                reason=self.failed.get(name, ""),
            )
            for name in rows
        ]
        kept = {name: row for name, row in rows.items() if name not in self.failed}
        run = make_run(*kept.values(), manifest=tuple(manifest), machine=self.machine)
        content = make_run_file(run)
        for name, row in zip(kept, content["benchmarks"], strict=True):
            row["fullname"] = name
        return msgspec.json.encode(content)


@dataclass(kw_only=True)
class Left:
    """A folder of `whisperbench ab`."""

    base: Side = field(default_factory=Side)
    head: Side = field(default_factory=Side)
    compared: dict[str, Any] = field(default_factory=dict)
    """Fields of the comparison's own file that are otherwise."""
    files: dict[str, bytes | None] = field(default_factory=dict)
    """Files that are otherwise; None takes one away."""

    def content(self) -> dict[str, bytes]:
        """Return all files by name."""
        pairs = len(self.base.token_s)
        said: dict[str, Any] = {
            "base": MERGE_BASE,
            "head": HEAD,
            "arguments": (),
            "fast": not pairs,
            "largest": 16,
            "pairs": pairs,
            "exit_code": 0,
        }
        found: dict[str, bytes | None] = {
            COMPARISON_FILE: encode_compared(Compared(**(said | self.compared))),
            "base.json": self.base.counts(),
            "head.json": self.head.counts(),
            "base.log": b"::error::a line that a process has printed\n",
            "verdicts.json": b'{"exit_code": 0, "verdicts": []}',
        }
        for number in range(1, pairs + 1):
            found[f"pair-{number:02}-base.json"] = self.base.pair(number)
            found[f"pair-{number:02}-head.json"] = self.head.pair(number)
        found |= self.files
        return {name: data for name, data in found.items() if data is not None}

    def write(self, folder: Path) -> Path:
        """Write the files into a new folder."""
        folder.mkdir(parents=True)
        for name, data in self.content().items():
            (folder / name).write_bytes(data)
        return folder
