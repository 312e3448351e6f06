"""What a failure of a benchmark makes of it in the manifest."""

from __future__ import annotations

import pytest

from whisperbench.errors import (
    DeviceError,
    IncomparableError,
    InputError,
    InvalidMeasurementError,
    OutOfMemoryError,
    OverLimitError,
    RegressedError,
)
from whisperbench.plugin.outcomes import failed_as
from whisperbench.results.records import Outcome


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (OverLimitError("x"), "over-limit"),
        (OutOfMemoryError("x"), "over-limit"),
        (RegressedError("x"), "regressed"),
        (IncomparableError("x"), "not-comparable"),
        (InvalidMeasurementError("x"), "invalid"),
        (DeviceError("x"), "invalid"),
        (InputError("x"), "failed"),
        (ValueError("x"), "failed"),
        (None, "failed"),
    ],
)
def test_each_failure_has_its_outcome(failure: Exception | None, outcome: Outcome) -> None:
    """What cannot be compared has not regressed: each has an outcome of its own."""
    assert failed_as(failure) == outcome
