"""Several runs of one device as one: passes, and precisions, may stand in several files."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from whisperbench.errors import InputError
from whisperbench.results.records import Cell, Run, name_of


def joined(runs: Sequence[tuple[str, Run]]) -> Run:
    """Put the measurements of runs together.

    Args:
        runs: what to call each in an error, and the run; one at least.

    Raises:
        InputError: they are of several devices, take ratios against several precisions, hold one
            benchmark of one cell twice, or are of other checkpoints of one name.
    """
    first, base = runs[0]
    held: dict[tuple[str, Cell], str] = {}
    checkpoints: dict[str, tuple[str, str]] = {}
    for name, run in runs:
        key = run.machine.device_key
        if key != base.machine.device_key:
            raise InputError(
                f"{name}: is of {key}, and {first} of {base.machine.device_key}: contenders are "
                "held against each other on one device, so name its runs alone"
            )
        if run.info.reference != base.info.reference:
            raise InputError(
                f"{name}: its ratios are against {run.info.reference}, those of {first} against "
                f"{base.info.reference}: name runs of one reference precision"
            )
        for row in run.measurements:
            if (where := held.setdefault((row.benchmark, row.cell), name)) != name:
                raise InputError(
                    f"{name}: has {row.benchmark} of {name_of(row.cell)}, and so has {where}: "
                    "leave one of the two out"
                )
            known, of = checkpoints.setdefault(row.cell.model, (row.cell.checkpoint, name))
            if known != row.cell.checkpoint:
                raise InputError(
                    f"{name}: its {row.cell.model} is another checkpoint than that of {of}: leave "
                    "one of the two out"
                )
    return msgspec.structs.replace(
        base,
        info=msgspec.structs.replace(
            base.info,
            manifest=tuple(entry for _, run in runs for entry in run.info.manifest),
            remarks=tuple(dict.fromkeys(each for _, run in runs for each in run.info.remarks)),
        ),
        measurements=tuple(row for _, run in runs for row in run.measurements),
    )
