"""What machines must have in common."""

from __future__ import annotations

import msgspec
import pytest

from tests.runs import MACHINE
from whisperbench.results.records import Machine
from whisperbench.results.sameness import ONE_KIND, ONE_MACHINE, STACK, differing


def test_each_fact_of_a_machine_is_in_one_list() -> None:
    """A fact that is new must be put into one. `is_host` follows from the kind of the device."""
    assert sorted((*ONE_MACHINE, *STACK, "is_host")) == sorted(Machine.__struct_fields__)
    assert set(ONE_MACHINE) - set(ONE_KIND) == {"gpu_uuid"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"gpu_uuid": "GPU-a"}, "gpu uuid was None and is GPU-a"),
        ({"cpu_cores": 1.5}, "cpu cores was 16 and is 1.5"),
        ({"threads": 1, "python": "3.13.0"}, "python was 3.12.3 and is 3.13.0"),
        (
            {"versions": MACHINE.versions | {"torch": "3"}},
            "the version of torch was 2.11.0 and is 3",
        ),
        (
            {"versions": {**MACHINE.versions, "jiwer": "4"}},
            "the version of jiwer was absent and is 4",
        ),
    ],
)
def test_the_first_difference_is_named(changes: dict[str, object], said: str | None) -> None:
    """One clause says what it was and is, and nothing where all is alike."""
    other = msgspec.structs.replace(MACHINE, **changes)
    assert differing(MACHINE, other, (*ONE_MACHINE, *STACK)) == said
