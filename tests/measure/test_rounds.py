"""Rounds: taken under telemetry, and again where that shows trouble."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence

import msgspec
import pytest

from tests.scripted import ScriptedDevice, taken
from whisperbench.devices.device import Conditions
from whisperbench.errors import DeviceError, InvalidMeasurementError
from whisperbench.measure.rounds import Rounds, take_rounds
from whisperbench.measure.telemetry import Telemetry

FINE = Conditions(reasons=frozenset({"power cap"}), sm_clock_mhz=1980)
SLOWED = Conditions(reasons=frozenset({"power brake"}), sm_clock_mhz=900)
BRAKE = "the GPU was slowed down (power brake)"


class _Bench:
    """Rounds of 1 s, 2 s, 3 s and so on, on a device that follows a script."""

    def __init__(self, *conditions: Conditions | Exception) -> None:
        self.events: list[str] = []
        """Looks at the device and ends of rounds, as they came."""
        self.said: list[str] = []
        self.attempts = 0
        self._rounds = 0
        self._device = ScriptedDevice(
            conditions=[self._noting(row) for row in conditions],
            processes={os.getpid(): None},
            memory=taken(1),
        )

    def take(
        self,
        *,
        rounds: int,
        remeasurements: int,
        enough: Callable[[Sequence[float]], bool] = lambda _samples_s: False,
    ) -> Rounds:
        """Take the rounds."""
        return take_rounds(
            self._one_round,
            rounds=rounds,
            remeasurements=remeasurements,
            telemetry=self._telemetry,
            enough=enough,
            say=self.said.append,
        )

    def _noting(self, row: Conditions | Exception) -> Callable[[], Conditions]:
        def read() -> Conditions:
            self.events.append("look")
            if isinstance(row, Exception):
                raise row
            return row

        return read

    def _one_round(self) -> float:
        self._rounds += 1
        self.events += ["round begins", "round ends"]
        return float(self._rounds)

    def _telemetry(self) -> Telemetry:
        self.attempts += 1
        return Telemetry(device=self._device)


def test_undisturbed_rounds_are_kept_in_order() -> None:
    """Without trouble there is one attempt: its samples as they came, and its conditions."""
    bench = _Bench(FINE)
    taken = bench.take(rounds=4, remeasurements=3)
    assert taken.samples_s == (1.0, 2.0, 3.0, 4.0)
    assert msgspec.to_builtins(taken.conditions) == {
        "others": "visible",
        "sm_clock_mhz": 1980,
        "lowest_sm_clock_mhz": 1980,
        "event_reasons": "power cap",
    }
    assert bench.attempts == 1
    assert bench.said == []


def test_the_device_is_read_around_rounds_and_never_inside() -> None:
    """There is a look before the first round and one after each."""
    bench = _Bench(FINE)
    bench.take(rounds=3, remeasurements=1)
    assert bench.events == ["look", *["round begins", "round ends", "look"] * 3]


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_a_disturbed_attempt_is_taken_again_whole(turn: int) -> None:
    """Only the second attempt's samples and conditions are kept; the first is named and told.

    It does not matter which of its looks showed the trouble.
    """
    first: list[Conditions] = [FINE, FINE, FINE]
    first[turn] = SLOWED
    bench = _Bench(*first, FINE)
    taken = bench.take(rounds=2, remeasurements=1)
    assert taken.samples_s == (3.0, 4.0)
    told = f"attempt 1, p50 1.50 s: {BRAKE}"
    assert msgspec.to_builtins(taken.conditions) == {
        "others": "visible",
        "sm_clock_mhz": 1980,
        "lowest_sm_clock_mhz": 1980,
        "event_reasons": "power cap",
        "attempts_not_believed": told,
    }
    assert bench.said == [told]
    assert bench.events == ["look", *["round begins", "round ends", "look"] * 2] * 2


def test_no_round_is_taken_once_they_tell_enough() -> None:
    """Rounds end where they are enough, at the latest at the most; an attempt begins anew."""
    bench = _Bench(FINE)
    taken = bench.take(rounds=9, remeasurements=0, enough=lambda samples: len(samples) == 4)
    assert taken.samples_s == (1.0, 2.0, 3.0, 4.0)
    assert bench.take(rounds=2, remeasurements=0).samples_s == (5.0, 6.0)
    again = _Bench(SLOWED, FINE, FINE, FINE, FINE)
    taken = again.take(rounds=9, remeasurements=1, enough=lambda samples: len(samples) == 2)
    assert taken.samples_s == (3.0, 4.0)


def test_every_attempt_that_is_not_believed_is_kept() -> None:
    """With two in vain, the third names both."""
    taken = _Bench(SLOWED, SLOWED, SLOWED, SLOWED, FINE).take(rounds=1, remeasurements=2)
    assert taken.samples_s == (3.0,)
    assert taken.conditions.attempts_not_believed == (
        f"attempt 1, p50 1.00 s: {BRAKE}; attempt 2, p50 2.00 s: {BRAKE}"
    )


@pytest.mark.parametrize("remeasurements", [0, 1, 2])
def test_lasting_trouble_is_no_measurement(remeasurements: int) -> None:
    """When the last attempt is disturbed too, the error names each with its p50, and the remedy."""
    bench = _Bench(SLOWED)
    with pytest.raises(InvalidMeasurementError) as caught:
        bench.take(rounds=3, remeasurements=remeasurements)
    attempts = remeasurements + 1
    named = [
        f"attempt {turn + 1}, p50 {3 * turn + 2}.00 s: the GPU was slowed down (power brake)"
        for turn in range(attempts)
    ]
    assert bench.said == named
    assert bench.attempts == attempts
    assert str(caught.value) == "; ".join(named) + (
        "; cool the GPU, stop what else uses it, and run `whisperbench doctor`"
    )


def test_a_device_that_does_not_answer_ends_the_rounds() -> None:
    """A lost GPU is not taken for trouble that may pass."""
    bench = _Bench(FINE, DeviceError("GPU is lost"))
    with pytest.raises(DeviceError, match="GPU is lost"):
        bench.take(rounds=2, remeasurements=5)
    assert bench.events == ["look", "round begins", "round ends", "look"]
    assert bench.said == []


def test_an_error_of_a_round_is_its_own() -> None:
    """A round that fails is not taken again."""

    def fails() -> float:
        raise KeyError("round")

    with pytest.raises(KeyError, match="round"):
        take_rounds(
            fails,
            rounds=2,
            remeasurements=3,
            telemetry=lambda: Telemetry(device=ScriptedDevice(conditions=FINE)),
        )


FAULTS = """
import resource
from whisperbench.measure.rounds import settle_allocator

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    buffers = [bytearray(3 << 20) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min(faults() for _ in range(5)))
settle_allocator()
faults()
print(max(faults() for _ in range(5)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's malloc")
def test_buffers_are_not_mapped_anew() -> None:
    """In a new process each call's buffers fault page by page; once settled, they do not."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert before > 1000
    assert after < 100
