"""The rounds of start-up: fresh processes under telemetry, which load and first call share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from whisperbench.measure.rounds import take_rounds
from whisperbench.results.passes import DeviceConditions, StartupResult

if TYPE_CHECKING:
    from whisperbench.asked.plan import CheckpointKey
    from whisperbench.measure.latency.startup import StartupSample
    from whisperbench.measure.telemetry import Telemetry


@dataclass(kw_only=True)
class Startup:
    """The fresh processes of one cell; each yields the samples of every start-up benchmark."""

    key: CheckpointKey
    run: Callable[[], StartupSample]
    rounds: int
    remeasurements: int
    telemetry: Callable[[], Telemetry]
    say: Callable[[str], object]
    _conditions: DeviceConditions = field(default_factory=DeviceConditions)
    _samples: list[StartupSample] = field(default_factory=list)

    def samples(self) -> list[StartupSample]:
        """Return a sample of each process; the first time, run them.

        Raises:
            InvalidMeasurementError: the GPU was slowed down or shared at every attempt.
        """
        if not self._samples:
            made: list[StartupSample] = []

            def one_round() -> float:
                made.append(self.run())
                return made[-1].load_s + made[-1].first_call_s

            taken = take_rounds(
                one_round,
                rounds=self.rounds,
                remeasurements=self.remeasurements,
                telemetry=self.telemetry,
                say=self.say,
            )
            self._conditions = taken.conditions
            self._samples = made[-self.rounds :]  # without those that were not believed
        return self._samples

    def result(self) -> StartupResult:
        """Return what stands beside the figures."""
        return StartupResult(
            conditions=self._conditions,
            ran=self.samples()[0].ran,
            import_s=min(sample.import_s for sample in self.samples()),
            dropped_page_cache=all(sample.dropped_page_cache for sample in self.samples()),
            compilation=self.samples()[-1].compilation,
        )
