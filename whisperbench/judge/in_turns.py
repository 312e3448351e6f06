"""How long base and head in turns would take, from what a run says of its own processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from statistics import median

from whisperbench.asked.turns import FEWEST_ROUNDS, ROUNDS_S, SETTLE_S
from whisperbench.results.passes import LatencyResult, MemoryResult, StartupResult
from whisperbench.results.records import Measurement
from whisperbench.units import counted

PAIRS = 6
"""Pairs that are counted on: of the numbers after which a figure may be decided, a middle one."""

WARM_UPS = 1
"""Rounds of a process that are thrown away, as many as suite.toml's profiles have at most."""

_Loaded = tuple[str, str, str]
"""Model, precision and attention: what a process has to load."""


def remedy(head: Sequence[Measurement], base: Sequence[Measurement]) -> str:
    """Say what would decide the wall time of a run, as a clause, with its minutes where known.

    Args:
        head: what the run measured.
        base: what its baseline holds, for the start-up of a process where the head did not time it.
    """
    minutes = minutes_in_turns(head, base)
    within = f" in about {counted(minutes, 'minute')}" if minutes is not None else ""
    cold = any(isinstance(row.found, StartupResult) for row in head)
    but = ", but for load and first call" if cold else ""
    return f"whisperbench ab decides it{within}{but}"


def minutes_in_turns(head: Sequence[Measurement], base: Sequence[Measurement]) -> int | None:
    """Estimate the minutes of `PAIRS` pairs of fresh processes, each of which times all of a run.

    The two of a pair start side by side: each imports, loads each model in each precision and makes
    a first call. Then they take turns, so that their rounds are counted one after the other. The
    cost, memory and quality passes are not counted.

    Args:
        head: what the run measured.
        base: what its baseline holds.

    Returns:
        None where nothing is timed, or neither says what importing and loading take.
    """
    timed = [row for row in head if isinstance(row.found, LatencyResult) and _typical_s(row)]
    import_s = _import_s([*head, *base])
    loads_s, first_calls_s = (_by_model([*base, *head], name) for name in ("load", "first call"))
    loaded = {_loaded(row) for row in timed}
    if not timed or import_s is None or not loaded <= loads_s.keys():
        return None
    start_s = import_s + SETTLE_S
    start_s += sum(loads_s[each] + first_calls_s.get(each, 0.0) for each in loaded)
    rounds_s = sum(max(ROUNDS_S, 2 * (WARM_UPS + FEWEST_ROUNDS) * _typical_s(row)) for row in timed)
    return ceil(PAIRS * (start_s + rounds_s) / 60)


def _typical_s(row: Measurement) -> float:
    metric = row.metric("latency_s")
    return median(metric.figures) if metric is not None else 0.0


def _import_s(rows: Iterable[Measurement]) -> float | None:
    """Return the seconds from a process's start until it has imported what it needs."""
    found = [row.found for row in rows]
    timed = [each.import_s for each in found if isinstance(each, StartupResult)]
    watched = [each.ready_s for each in found if isinstance(each, MemoryResult)]
    known = timed or [seconds for seconds in watched if seconds is not None]
    return median(known) if known else None


def _by_model(rows: Sequence[Measurement], name: str) -> Mapping[_Loaded, float]:
    """Return the seconds of a load or a first call by what was loaded; of several the last one.

    Where start-up was not timed, they are those of the process whose memory was watched.
    """
    watched = {
        _loaded(row): phase.end_s - phase.start_s
        for row in rows
        if isinstance(row.found, MemoryResult) and row.found.course is not None
        for phase in row.found.course.phases
        if phase.name == name
    }
    return watched | {_loaded(row): _typical_s(row) for row in rows if row.benchmark == name}


def _loaded(row: Measurement) -> _Loaded:
    return row.cell.model, row.cell.precision, row.cell.attention
