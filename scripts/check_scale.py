"""What measuring on several cards at once changes, against the same run on one card alone.

    python scripts/check_scale.py ALONE.json FOLDER [FOLDER ...]

ALONE.json is a run of one process; a FOLDER is what `whisperbench run --gpus N` has made: its
shards and the run that they were merged into. Printed are the speed-up and, for each kind of
figure, how far it lies from the same figure of ALONE. It exits with 1 where the manifest is another
one, a count moved, or GPU time grew past its tolerance; wall time and memory are told.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from whisperbench.errors import WhisperbenchError  # noqa: E402 - of this checkout
from whisperbench.judge.compare import identity_of  # noqa: E402
from whisperbench.results.kinds import KINDS, Kind  # noqa: E402
from whisperbench.results.records import ManifestEntry, Run, name_of  # noqa: E402
from whisperbench.results.run_file import read_run  # noqa: E402


class Change(NamedTuple):
    """A figure that both have."""

    kind: Kind
    what: str
    growth: float
    """As a share of what it was alone."""


def changes(alone: Run, together: Run) -> Iterator[Change]:
    """Yield how far each figure lies from the same one of a run alone, but for derived ones."""
    known = {identity_of(row): row for row in alone.measurements}
    for row in together.measurements:
        base = known.get(identity_of(row))
        for metric in row.metrics:
            old = base.metric(metric.name) if base is not None else None
            if old is None or metric.derived:
                continue
            was, now = median(old.figures), median(metric.figures)
            if was or now:
                growth = now / was - 1 if was else float("inf")
                what = f"{row.benchmark}, {name_of(row.cell, with_clip=True)}: {metric.name}"
                yield Change(metric.kind, what, growth)


def manifest_of(run: Run) -> list[ManifestEntry]:
    """Return a manifest without the times, which no two runs have in common."""
    return [
        msgspec.structs.replace(entry, setup_s=None, took_s=None) for entry in run.info.manifest
    ]


def faults(alone: Run, together: Run, found: Sequence[Change]) -> list[str]:
    """Name what must not differ and does."""
    lines = []
    if manifest_of(alone) != manifest_of(together):
        lines.append("the manifest is another one")
    rule = KINDS["device_time"]
    allowed = rule.share
    if alone.machine.gpu_uuid != together.machine.gpu_uuid:
        allowed += rule.other_card
    moved = (
        change
        for change in found
        if (change.kind == "exact" and change.growth)
        or (change.kind == "device_time" and change.growth > allowed)
    )
    return [*lines, *(f"{change.what}: {100 * change.growth:+.2f} %" for change in moved)]


def table(found: Sequence[Change]) -> Iterator[str]:
    """Yield a line a kind: how many figures, the middle growth, the least and the largest."""
    yield "| kind | figures | middle | least | largest | largest of |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for kind in KINDS:
        own = [change for change in found if change.kind == kind]
        if own:
            worst = max(own, key=lambda change: change.growth)
            least = min(change.growth for change in own)
            figures = (median(change.growth for change in own), least, worst.growth)
            shown = " | ".join(f"{100 * figure:+.2f} %" for figure in figures)
            yield f"| {kind} | {len(own)} | {shown} | {worst.what} |"


def speed_up(alone: Run, shards: Sequence[Run]) -> str:
    """Say how long the longest process was, of how long one process is."""
    longest = max((shard.info.process_s or 0.0) for shard in shards)
    whole = alone.info.process_s or 0.0
    return (
        f"{len(shards)} shards: the longest process took {longest:.0f} s, one process alone "
        f"{whole:.0f} s: {whole / longest:.2f} times as fast"
    )


def main(arguments: Sequence[str]) -> int:
    """Print what each folder changes; return the exit code."""
    if len(arguments) < 2:
        print(__doc__)
        return 2
    code = 0
    try:
        alone = read_run(Path(arguments[0]))
        for folder in map(Path, arguments[1:]):
            together = read_run(folder / "run.json")
            shards = [read_run(path) for path in sorted(folder.glob("shard-*.json"))]
            found = list(changes(alone, together))
            print(f"\n{folder}: {speed_up(alone, shards)}")
            print("\n".join(table(found)))
            for line in faults(alone, together, found):
                print(f"FAULT: {line}")
                code = 1
    except WhisperbenchError as error:
        print(error, file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
