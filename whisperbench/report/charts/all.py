"""All charts of a run: which there are, in the order in which a reader needs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from whisperbench.judge.comparison import Comparison
from whisperbench.judge.pairs import Course
from whisperbench.report.charts.changes import changes
from whisperbench.report.charts.chart import Chart
from whisperbench.report.charts.durations import durations
from whisperbench.report.charts.kernels import kernels
from whisperbench.report.charts.memory_course import memory_course
from whisperbench.report.charts.rounds import Process, rounds
from whisperbench.report.charts.soak import soak_course
from whisperbench.report.charts.time_memory import time_memory
from whisperbench.report.charts.times import times
from whisperbench.report.charts.turns import turns
from whisperbench.report.durations import durations_of
from whisperbench.report.standing import Subject, subjects_of
from whisperbench.results.passes import CostResult, MemoryResult, SoakResult
from whisperbench.results.records import Measurement, Place, Run, unusual

FEW = 4
"""Models, clips and batch sizes up to which each has charts of its own. Of more the first one has:
drawing a chart takes 0.1 s and more, and tables tell of all."""


@dataclass(frozen=True, kw_only=True)
class Pictured:
    """What charts and pages are made of."""

    run: Run
    base: Run | None = None
    compared: Comparison | None = None
    """The run against the base, where there is one."""
    processes: Sequence[Process] = ()
    """Those whose rounds are drawn; where there are none, those of the run and the base."""
    runs: int = 1
    """How many the run was put together of."""
    courses: Sequence[Course] = field(default=())
    """Figures that were measured in turns."""

    @cached_property
    def subjects(self) -> list[Subject]:
        """The run's measurements, joined by model, clip and batch size."""
        return subjects_of(self.run)


def charts_of(about: Pictured) -> dict[str, Chart]:
    """Make all charts of a run, by their names; what the files do not hold has no chart."""
    return {chart.name: chart for chart in _charts(about) if chart is not None}


def _charts(about: Pictured) -> Iterator[Chart | None]:
    run = about.run
    most = FEW if len(about.subjects) <= FEW else 1
    for at, subject in enumerate(about.subjects[:most]):
        yield time_memory(f"time-memory{_numbered(at)}", subject, run.machine, about.runs)
    if about.compared is not None:
        yield changes("changes", about.compared.judged)
    yield rounds("rounds", about.processes or _processes(about))
    for at, found in enumerate(durations_of(run)[:FEW]):
        yield durations(f"durations{_numbered(at)}", found)
    for at, (place, rows) in enumerate(_by_place(run, MemoryResult, most)):
        yield memory_course(f"memory{_numbered(at)}", place, rows)
    for at, (place, rows) in enumerate(_by_place(run, SoakResult, most)):
        yield soak_course(f"soak{_numbered(at)}", place, rows)
    for at, (place, rows) in enumerate(_by_place(run, CostResult, most)):
        yield kernels(f"kernels{_numbered(at)}", place, rows)
        yield times(f"times{_numbered(at)}", place, rows)
    yield turns("pairs", about.courses)


def _numbered(at: int) -> str:
    return f"-{at + 1}" if at else ""


def _processes(about: Pictured) -> list[Process]:
    if about.base is None:
        return [Process(side="run", name="", run=about.run)]
    return [
        Process(side="base", name="", run=about.base),
        Process(side="head", name="", run=about.run),
    ]


def _by_place(run: Run, kind: type, most: int) -> list[tuple[str, list[Measurement]]]:
    """Return the measurements of a pass by the first places, each with its name."""
    found: dict[Place, list[Measurement]] = {}
    for row in run.measurements:
        if isinstance(row.found, kind):
            found.setdefault(row.cell.place, []).append(row)
    return [(_named(place), rows) for place, rows in list(found.items())[:most]]


def _named(place: Place) -> str:
    model, clip, batch_size, attention = place
    return f"{model}{unusual(batch_size, attention)}, {clip}"
