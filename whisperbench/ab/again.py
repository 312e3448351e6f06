"""One more execution of each side, of the cells whose GPU time differs alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from whisperbench.ab.sides import (
    NothingSelectedError,
    Side,
    SideError,
    SideProcess,
    ended_at_exit,
    ids_of,
)
from whisperbench.judge.compare import Identity, identity_of
from whisperbench.results.records import Run


def execute_again(
    sides: tuple[Side, Side],
    firsts: tuple[Run, Run],
    cells: Collection[Identity],
    number: int,
    arguments: Sequence[str],
    folder: Path,
    lock: int | None,
) -> tuple[Run, Run]:
    """Count what cells cost once more on each side.

    Args:
        sides: base and head.
        firsts: what they have measured; their files are in the folder.
        cells: to measure.
        number: of this execution; after the first, it is 1.
        arguments: of pytest.
        folder: where the result files are, and are to be.
        lock: a descriptor that the processes inherit.

    Raises:
        SideError: a side failed.
    """
    found: dict[str, Run] = {}
    # The order is swapped each time, so that what drifts counts for both.
    for side, first in sorted(
        zip(sides, firsts, strict=True), key=lambda each: each[0].name, reverse=bool(number % 2)
    ):
        names = ids_of(folder / f"{side.name}.json")
        left_out = [
            f"--deselect={name}"
            for name, row in zip(names, first.measurements, strict=True)
            if identity_of(row) not in cells
        ]
        process = SideProcess(
            side,
            "cost",
            [*arguments, *left_out],
            folder / f"again-{number:02}-{side.name}.json",
            lock=lock,
        )
        with ended_at_exit([process]):
            try:
                found[side.name] = process.finish()
            except NothingSelectedError:
                raise SideError(
                    f"the {side.name}'s process found nothing to execute again"
                ) from None
    return found[sides[0].name], found[sides[1].name]
