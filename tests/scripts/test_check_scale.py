"""What measuring on several cards at once changes: found, and told from what it may change."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from scripts.check_scale import changes, faults, main
from tests.runs import MACHINE, make_cell, make_cost, make_measurement, make_run, make_run_file
from whisperbench.results.records import Run


def make_whole(ops: int = 100, gpu_ms: float = 10.0, seconds: float = 1.0, card: str = "a") -> Run:
    """Make up a run of a transcription and its cost, on a card."""
    run = make_run(
        make_measurement(samples=(seconds,) * 3),
        make_cost(make_cell(tokens=4), {"aten_ops": ops}, gpu_ms=gpu_ms),
        machine=msgspec.structs.replace(MACHINE, gpu_uuid=f"GPU-{card}"),
    )
    info = msgspec.structs.replace(run.info, process_s=100.0)
    return msgspec.structs.replace(run, info=info)


@pytest.mark.parametrize(
    ("together", "found"),
    [
        (make_whole(), 0),
        (make_whole(seconds=3.0), 0),
        (make_whole(gpu_ms=10.05), 0),
        (make_whole(gpu_ms=9.0), 0),
        (make_whole(gpu_ms=10.1), 2),
        (make_whole(gpu_ms=10.1, card="b"), 0),
        (make_whole(gpu_ms=10.3, card="b"), 2),
        (make_whole(ops=101), 2),
        (make_whole(ops=99), 2),
    ],
)
def test_counts_may_not_move_nor_gpu_time_grow(together: Run, found: int) -> None:
    """In both stages of a cost; wall time is told, and another card is allowed for."""
    alone = make_whole()
    assert len(faults(alone, together, list(changes(alone, together)))) == found


def test_another_manifest_is_a_fault() -> None:
    """A benchmark that is absent would not be compared."""
    alone = make_whole()
    info = msgspec.structs.replace(alone.info, manifest=alone.info.manifest[:1])
    lost = msgspec.structs.replace(alone, info=info, measurements=alone.measurements[:1])
    assert faults(alone, lost, list(changes(alone, lost))) == ["the manifest is another one"]


def test_the_speed_up_and_the_table_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One process took 100 s and the longest of two 60, and wall time grew by half."""

    def write(path: Path, run: Run, process_s: float) -> None:
        info = msgspec.structs.replace(run.info, process_s=process_s)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(
            msgspec.json.encode(make_run_file(msgspec.structs.replace(run, info=info)))
        )

    write(tmp_path / "alone.json", make_whole(), 100.0)
    for name, process_s in (("shard-1", 60.0), ("shard-2", 50.0), ("run", 90.0)):
        write(tmp_path / "two" / f"{name}.json", make_whole(seconds=1.5), process_s)
    assert main([str(tmp_path / "alone.json"), str(tmp_path / "two")]) == 0
    said = capsys.readouterr().out
    assert "2 shards: the longest process took 60 s, one process alone 100 s: 1.67 times" in said
    assert "| wall | 1 | +50.00 % | +50.00 % | +50.00 % | transcribe, " in said
    assert main([str(tmp_path / "none.json"), str(tmp_path / "two")]) == 2
