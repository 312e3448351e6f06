"""How long base and head in turns would take: what is counted, and when nothing is said."""

from __future__ import annotations

import msgspec
import pytest

from tests.runs import make_cell, make_measurement, make_memory
from whisperbench.judge.in_turns import PAIRS, ROUNDS, WARM_UPS, minutes_in_turns, remedy
from whisperbench.results.figure import Metric
from whisperbench.results.passes import MemoryResult
from whisperbench.results.records import Measurement

TIMED = make_measurement(samples=(2.0, 2.0, 3.0, 2.0, 1.0))
"""10 s of rounds, 2 s each."""
LOAD = make_measurement("load", samples=(20.0, 20.0, 50.0))
FIRST = make_measurement("first call", samples=(4.0,))
IMPORT_S = 2.5
"""Of what `make_measurement` makes up."""

START_S = IMPORT_S + 20.0 + 4.0


def in_minutes(process_s: float) -> int:
    """Return the minutes of all processes, rounded up."""
    return -int(-2 * PAIRS * process_s // 60)


def of_processes(row: Measurement, *seconds: float) -> Measurement:
    """Make a measurement a baseline's, which has no rounds."""
    latency = Metric(name="latency_s", unit="s", kind="wall", better="lower", processes=seconds)
    return msgspec.structs.replace(row, metrics=(latency,))


def test_a_process_starts_and_takes_its_rounds() -> None:
    """Imports, loading, a first call, warm-ups and rounds, of two processes a pair."""
    expected = in_minutes(START_S + WARM_UPS * 2.0 + 10.0)
    assert minutes_in_turns([TIMED, LOAD, FIRST], []) == expected == 9
    assert remedy([TIMED, LOAD, FIRST], []) == "whisperbench ab decides it in about 9 minutes"


def test_each_model_is_loaded_once() -> None:
    """A second benchmark of a model adds its rounds alone; a second precision loads as well."""
    encoder = make_measurement("encoder", samples=(1.0,) * 5)
    rounds_s = WARM_UPS * 3.0 + 15.0
    assert minutes_in_turns([TIMED, encoder, LOAD, FIRST], []) == in_minutes(START_S + rounds_s)
    int8 = [make_measurement(name, "int8", (1.0,) * 5) for name in ("encoder", "load")]
    both = in_minutes(START_S + 1.0 + rounds_s)
    assert minutes_in_turns([TIMED, LOAD, FIRST, *int8], []) == both


def test_the_baseline_says_what_the_head_does_not() -> None:
    """A head that timed no start-up has the baseline's; its own goes before."""
    base = [of_processes(row, 40.0, 20.0, 20.0) for row in (LOAD,)]
    alone = in_minutes(IMPORT_S + 20.0 + WARM_UPS * 2.0 + 10.0)
    assert minutes_in_turns([TIMED], base) == alone
    slow = [of_processes(LOAD, 100.0)]
    assert minutes_in_turns([TIMED, LOAD, FIRST], slow) == minutes_in_turns(
        [TIMED, LOAD, FIRST], []
    )


def test_several_processes_have_a_usual_number_of_rounds() -> None:
    """The file of a recording keeps a figure a process, and not how many rounds it had."""
    head = [of_processes(TIMED, 2.0, 2.0, 9.0), LOAD, FIRST]
    assert minutes_in_turns(head, []) == in_minutes(START_S + (WARM_UPS + ROUNDS) * 2.0)


def test_a_short_run_takes_a_minute() -> None:
    """Nothing takes 0 minutes, and 1 is not 1 minutes."""
    quick = [make_measurement(name, samples=(0.001,)) for name in ("token", "load")]
    assert remedy(quick, []) == "whisperbench ab decides it in about 1 minute"


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
    assert remedy(head, []) == "whisperbench ab decides it"


def test_the_memory_pass_knows_the_import_too() -> None:
    """A file whose load was timed elsewhere says by its memory pass how long importing takes."""
    assert isinstance(WATCHED.found, MemoryResult)
    watched = msgspec.structs.replace(
        WATCHED, found=msgspec.structs.replace(WATCHED.found, ready_s=30.0)
    )
    timed = msgspec.structs.replace(LOAD, found=TIMED.found)
    expected = in_minutes(30.0 + 20.0 + WARM_UPS * (2.0 + 20.0) + 10.0 + 90.0)
    assert minutes_in_turns([TIMED, timed, watched], []) == expected
