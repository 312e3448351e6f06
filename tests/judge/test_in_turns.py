"""How long base and head in turns would take: what is counted, and when nothing is said."""

from __future__ import annotations

import msgspec
import pytest

from tests.runs import make_cell, make_measurement, make_memory
from whisperbench.asked.turns import FEWEST_ROUNDS, ROUNDS_S, SETTLE_S
from whisperbench.judge.in_turns import PAIRS, WARM_UPS, minutes_in_turns, remedy
from whisperbench.results.figure import Metric
from whisperbench.results.passes import MemoryCourse, MemoryPhase, MemoryResult
from whisperbench.results.records import Measurement

TIMED = make_measurement(samples=(2.0, 2.0, 3.0, 2.0, 1.0))
"""2 s a round."""
LOAD = make_measurement("load", samples=(20.0, 20.0, 50.0))
FIRST = make_measurement("first call", samples=(4.0,))
IMPORT_S = 2.5
"""Of what `make_measurement` makes up."""

START_S = IMPORT_S + 20.0 + 4.0 + SETTLE_S

TIMED_S = 2 * (WARM_UPS + FEWEST_ROUNDS) * 2.0
"""Of both processes of a pair, in turns."""


BUT = ", but for load and first call"


def in_minutes(pair_s: float) -> int:
    """Return the minutes of all pairs, rounded up."""
    return -int(-PAIRS * pair_s // 60)


def of_processes(row: Measurement, *seconds: float) -> Measurement:
    """Make a measurement a baseline's, which has no rounds."""
    latency = Metric(name="latency_s", unit="s", kind="wall", better="lower", processes=seconds)
    return msgspec.structs.replace(row, metrics=(latency,))


def test_a_pair_starts_side_by_side_and_takes_turns() -> None:
    """Imports, loading and a first call count once, warm-ups and rounds of both processes."""
    expected = in_minutes(START_S + TIMED_S)
    assert minutes_in_turns([TIMED, LOAD, FIRST], []) == expected
    said = f"whisperbench ab decides it in about {expected} minutes"
    assert remedy([TIMED, LOAD, FIRST], []) == said + BUT


def test_each_model_is_loaded_once() -> None:
    """A second benchmark of a model adds its rounds alone; a second precision loads as well."""
    encoder = make_measurement("encoder", samples=(1.0,) * 5)
    rounds_s = 1.5 * TIMED_S
    assert minutes_in_turns([TIMED, encoder, LOAD, FIRST], []) == in_minutes(START_S + rounds_s)
    int8 = [make_measurement(name, "int8", (9.0,)) for name in ("encoder", "load")]
    both = in_minutes(START_S + 9.0 + (1.0 + 4.5) * TIMED_S)
    assert minutes_in_turns([TIMED, LOAD, FIRST, *int8], []) == both


def test_short_rounds_are_taken_for_their_time() -> None:
    """A benchmark whose rounds are over at once goes on for as long as one has to take."""
    short = [make_measurement(f"stage {each}", samples=(0.001,)) for each in range(12)]
    assert minutes_in_turns([*short, LOAD, FIRST], []) == in_minutes(START_S + 12 * ROUNDS_S)


def test_the_baseline_says_what_the_head_does_not() -> None:
    """A head that timed no start-up has the baseline's; its own goes before."""
    base = [of_processes(LOAD, 40.0, 20.0, 20.0)]
    assert minutes_in_turns([TIMED], base) == in_minutes(IMPORT_S + 20.0 + SETTLE_S + TIMED_S)
    head, slow = [TIMED, LOAD, FIRST], [of_processes(LOAD, 100.0)]
    assert minutes_in_turns(head, slow) == minutes_in_turns(head, [])


def test_a_recording_says_as_much_as_a_run() -> None:
    """The file of several processes has no rounds, but the figure of each process."""
    head = [of_processes(TIMED, 2.0, 2.0, 9.0), LOAD, FIRST]
    assert minutes_in_turns(head, []) == minutes_in_turns([TIMED, LOAD, FIRST], [])


def test_minutes_are_whole() -> None:
    """6 pairs of what takes 12.5 s are 2 minutes, which are no 1.25.

    What ab leaves out, load and first call, is said only of a run that timed it.
    """
    quick = [make_measurement(name, samples=(0.001,)) for name in ("token", "load")]
    said = "whisperbench ab decides it in about 2 minutes"
    assert remedy(quick, []) == said + BUT
    assert remedy(quick[:1], quick[1:]) == said


WATCHED = make_memory(make_cell(), {"peak_process_mib": 1.0})


@pytest.mark.parametrize(
    "head",
    [
        [],
        [LOAD, FIRST],
        [TIMED],
        [TIMED, FIRST],
        [TIMED, make_measurement("load", "int8")],
        [TIMED, WATCHED],
    ],
)
def test_no_minutes_are_made_up(head: list[Measurement]) -> None:
    """Nothing timed, no load of the model, or no import: what would decide it is said without."""
    assert minutes_in_turns(head, []) is None
    assert remedy(head, []).removesuffix(BUT) == "whisperbench ab decides it"


def test_the_memory_pass_knows_the_import_too() -> None:
    """A file whose load was timed elsewhere says by its memory pass how long importing takes."""
    assert isinstance(WATCHED.found, MemoryResult)
    watched = msgspec.structs.replace(
        WATCHED, found=msgspec.structs.replace(WATCHED.found, ready_s=30.0)
    )
    timed = msgspec.structs.replace(LOAD, found=TIMED.found)
    expected = in_minutes(30.0 + 20.0 + SETTLE_S + (1.0 + 10.0) * TIMED_S)
    assert minutes_in_turns([TIMED, timed, watched], []) == expected


def test_the_memory_pass_knows_the_load_where_no_start_up_was_timed() -> None:
    """The default run times no start-up; the process whose memory is watched loads as well."""
    assert isinstance(WATCHED.found, MemoryResult)
    course = MemoryCourse(
        of="process",
        at_s=(34.0,),
        held_mib=(1.0,),
        phases=(
            MemoryPhase(name="load", start_s=10.0, end_s=30.0),
            MemoryPhase(name="first call", start_s=30.0, end_s=34.0),
        ),
    )
    found = msgspec.structs.replace(WATCHED.found, ready_s=IMPORT_S, course=course)
    watched = msgspec.structs.replace(WATCHED, found=found)
    assert minutes_in_turns([TIMED, watched], []) == in_minutes(START_S + TIMED_S)
    own = minutes_in_turns([TIMED, watched, LOAD, FIRST], [])
    assert own == minutes_in_turns([TIMED, LOAD, FIRST], []), "what was timed goes before"
