"""Speech of several durations, run: natural length where there is one, and else a count."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import RunSuite
from whisperbench.results.passes import LatencyResult
from whisperbench.results.run_file import read_run


def test_a_second_of_speech_is_timed_of_trained_and_of_random_weights(
    run_here: RunSuite, tmp_path: Path
) -> None:
    """nano writes its word; the dummy decodes four tokens; both have the share of the window."""
    asked = ("--model", "nano,dummy:tiny:1", "--precision", "fp32", "--rounds", "1", "--all")
    done = run_here(*asked, "-k", "speech-1s")
    assert done.returncode == 0, done.stdout
    rows = {row.cell.model: row for row in read_run(tmp_path / "run.json").measurements}
    nano, dummy = rows["nano"], rows["dummy:tiny:1"]
    assert isinstance(nano.found, LatencyResult)
    assert nano.found.transcripts[0].strip() == "Yes."
    assert (nano.cell.audio_s, nano.cell.tokens, nano.cell.clip) == (1.0, None, "speech-1s")
    assert dummy.cell.tokens == 4
    for row, rate in ((nano, "rtfx"), (dummy, "rtfx_fixed_tokens")):
        assert row.metric(rate) is not None
        share = row.metric("window_share")
        assert share is not None
        assert 0 < share.figures[0] <= 1
    assert nano.metric("wer") is not None
    assert "speech of several durations" in done.stdout
